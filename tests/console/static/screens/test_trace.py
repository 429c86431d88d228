"""One trace in a real browser: both answers next to each other, and whatever is in them is text."""

import pytest

from freehold.store import open_store
from freehold.types.trace import Trace

pytestmark = pytest.mark.browser

HOSTILE = (
    "<img src=x onerror=alert(1)><script>document.title='owned'</script>"
    "[click](javascript:alert(1)) \x1b[31mred\x1b[0m \u202edlrow\u202c z" + "\u0301" * 100_000
)


def test_both_answers_stand_next_to_each_other(visit, project):
    with open_store(project.store_url) as store:
        copy: Trace = next(one for one in store.traces(complete_only=False) if one.parent_id)
    page = visit.open(f"trace?id={copy.parent_id}", waits="[data-arm]")
    assert page.locator("[data-arm]").count() == 2
    tops = [page.locator("[data-arm]").nth(n).bounding_box()["y"] for n in (0, 1)]
    assert tops[0] == tops[1], "side by side where there is room"
    assert "freehold traces show" in page.locator("#screen").inner_text()
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
