"""One trace in a real browser: both answers next to each other, and whatever is in them is text."""

import pytest
from tests.console.conftest import serving_console
from tests.workflows.watch.watching import Incumbent

from freehold.store import open_store
from freehold.types.trace import Trace
from freehold.workflows.project import open_project

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


@pytest.fixture
def incumbent(project, tmp_path):
    server = Incumbent()
    config = tmp_path / "freehold.toml"
    # A port of its own, where nothing listens: a gateway may run on this machine.
    closed = "[serve]\nport = 1\n"
    config.write_text(config.read_text().replace("http://127.0.0.1:1", server.url) + PRICE + closed)
    yield server
    server.close()


def test_it_is_asked_again_after_its_cost_was_agreed_to(visiting, project, incumbent):
    incumbent.says = f"again {HOSTILE[:400]}"
    # The file is read when a project is opened.
    with serving_console(open_project(), Visitor("ada (console)", "admin")) as address:
        visit = visiting(address)
        page = visit.open("trace?id=trace-00001", waits="[data-key=again]")
        page.get_by_role("button", name="Ask the incumbent").click()
        page.wait_for_selector("dialog[open] >> text=at most $")
        assert incumbent.seen == []
        page.get_by_role("button", name="Leave it").click()
        page.wait_for_selector("dialog", state="detached")
        assert incumbent.seen == []
        page.get_by_role("button", name="Ask the incumbent").click()
        page.locator("dialog button[type=submit]").click()
        shown = page.wait_for_selector("[data-replay=incumbent]").inner_text()
        assert "again <img" in shown and "\\u{1b}[31m" in shown and len(incumbent.seen) == 1
        tops = [page.locator(one).first.bounding_box()["y"] for one in ("[data-arm]", "[data-replay]")]
        assert tops[0] == tops[1], "beside the answer that was captured"
        page.get_by_role("button", name="Ask the candidate").click()
        page.locator("dialog button[type=submit]").click()
        page.wait_for_selector("[data-replay=candidate] .pill.bad")
        visit.clean()
    with open_store(project.store_url) as store:
        noted = [one for one in audit.entries(store.database) if one.action == "trace.replay"]
    assert [one.who for one in noted] == ["ada (console)"] * 2
