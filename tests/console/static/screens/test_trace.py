"""One trace in a real browser: both answers next to each other, and whatever is in them is text."""

import pytest
from tests.console.conftest import ROUTE, trace

from freehold.store import open_store
from freehold.types.trace import Trace
from freehold.workflows.project import now

pytestmark = pytest.mark.browser

HOSTILE = (
    "<img src=x onerror=alert(1)><script>document.title='owned'</script>"
    "[click](javascript:alert(1)) \x1b[31mred\x1b[0m \u202edlrow\u202c z" + "\u0301" * 100_000
)


def answered(text):
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}


def test_both_answers_stand_next_to_each_other(visit, project):
    with open_store(project.store_url) as store:
        copy: Trace = next(one for one in store.traces(complete_only=False) if one.parent_id)
    page = visit.open(f"trace?id={copy.parent_id}", waits="[data-arm]")
    assert page.locator("[data-arm]").count() == 2
    tops = [page.locator("[data-arm]").nth(n).bounding_box()["y"] for n in (0, 1)]
    assert tops[0] == tops[1], "side by side where there is room"
    assert "freehold traces show" in page.locator("#screen").inner_text()
    visit.clean()


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_text_is_shown_and_does_nothing(visiting, served, project, width):
    hostile = trace(
        90_001,
        now(),
        id="hostile",
        route=ROUTE,
        user=HOSTILE[:300],
        request={"messages": [{"role": HOSTILE[:90], "content": HOSTILE}], HOSTILE[:60]: HOSTILE},
        response=answered(HOSTILE),
    )
    with open_store(project.store_url) as store:
        store.add_traces([hostile])
    visit = visiting(served, width=width)
    page = visit.open("trace?id=hostile", waits="[data-arm]")
    shown = page.locator("[data-arm]").first.inner_text()
    assert "<script>document.title" in shown and "\\u{1b}[31m" in shown and "\\u{202e}dlrow" in shown
    assert "more marks]" in shown and "\u0301" * 9 not in shown
    assert page.locator("#screen img, #screen script").count() == 0 and "owned" not in page.title()
    assert page.locator("a[href^='javascript']").count() == 0
    visit.clean()


def test_ten_megabytes_are_a_page_in_a_moment(visit, project):
    large = trace(90_002, now(), id="large", response=answered("y" * 10_000_000))
    with open_store(project.store_url) as store:
        store.add_traces([large])
    page = visit.open("trace?id=large", waits="[data-arm]")
    assert "of 10,000,000 characters" in page.locator("[data-arm]").inner_text()
    assert page.evaluate("document.body.textContent.length") < 100_000
    visit.clean()


def test_a_trace_that_is_gone_is_said_to_be(visit):
    page = visit.open("trace?id=gone", waits=".empty")
    assert "no such trace" in page.locator(".empty").inner_text()
    visit.clean()


def test_the_lines_of_a_right_answer_are_kept(visit, project):
    page = visit.open("trace?id=trace-00001", waits="[data-key=feedback]")
    page.get_by_role("button", name="Say what is right").click()
    page.get_by_label("The right answer").fill("first line\n\nthird line")
    page.locator("dialog button[type=submit]").click()
    page.wait_for_selector("[data-key=feedback] pre")
    with open_store(project.store_url) as store:
        assert store.get_trace("trace-00001").gold == "first line\n\nthird line"
    visit.clean()
