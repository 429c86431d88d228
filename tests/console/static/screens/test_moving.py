"""Screens of traffic: what they show, and what their buttons do, in a real browser."""

import pytest
from tests.console.conftest import serving_console, trace
from tests.console.waiting import until

from freehold.console.sessions import Visitor
from freehold.store import audit, open_store
from freehold.types.trace import Trace
from freehold.workflows.project import now
from freehold.workflows.shift import keys

pytestmark = pytest.mark.browser

ROUTE = "support <b>intents</b>"


@pytest.mark.parametrize("width", [390, 1280])
def test_it_shows_the_rollout_and_fits_a_telephone(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("rollout", waits=".route")
    assert "token" not in page.url
    assert page.locator(".route h2").first.inner_text() == ROUTE  # as text, not as markup
    assert page.locator(".route .pill").first.inner_text() == "mirroring"
    assert page.locator("svg.picture rect.incumbent").count() > 5
    assert page.get_by_role("button", name="Advance").is_disabled()
    assert "hours" in page.locator(".route .why").inner_text()
    visit.clean()


def test_a_rollback_by_two_clicks_and_a_reason(visit, project):
    page = visit.open("rollout", waits=".route")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_label("Why").fill("complaints")
    page.locator("dialog").get_by_role("button", name="Roll back").click()
    page.wait_for_selector(".pill.bad")
    assert "Why: complaints" in page.locator(".route").inner_text()
    assert page.get_by_role("button", name="Roll back").count() == 0
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "rolled_back"
    page.get_by_text("History").click()
    assert "ada (console)" in page.locator("details[open]").inner_text()
    visit.clean()


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


@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_counted_drawn_and_listed(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("traffic", waits=".cards tbody tr")
    assert "60" in page.locator(".tiles").inner_text()
    assert page.locator("svg.picture rect.incumbent").count() > 5
    assert page.locator(".cards tbody tr").count() == 50
    visit.clean()


def test_new_requests_come_by_themselves_and_what_is_written_meanwhile_stays(visit, project):
    page = visit.open("traffic", waits=".cards tbody tr")
    page.get_by_label("User").fill("half a na")
    with open_store(project.store_url) as store:
        store.add_traces([trace(70_000, now(), id="fresh", user="<i>new</i>", total_ms=1234.0)])
    page.locator(".cards tbody tr", has_text="1.2 s").wait_for()
    assert "<i>new</i>" in page.locator(".cards tbody tr").first.inner_text()
    assert page.get_by_label("User").input_value() == "half a na"
    visit.clean()


def test_filters_stand_in_the_address_and_the_keyboard_leads_to_a_trace(visit):
    page = visit.open("traffic", waits=".cards tbody tr")
    page.keyboard.press("/")
    page.keyboard.type("words")
    page.keyboard.press("Enter")
    until(page, "location.hash.includes('text=words')")
    page.locator("select[name=arm]").select_option("candidate")
    until(page, "location.hash.includes('arm=candidate')")
    page.locator(".cards tbody tr", has_text="candidate, mirrored").first.wait_for()
    page.locator("h1").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-arm]")
    assert page.url.count("trace?id=") == 1
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.wait_for_selector(".next")
    page.keyboard.press("?")
    assert "next row" in page.locator("dialog").inner_text()
    visit.clean()


@pytest.fixture
def admin(visiting, project):
    with serving_console(project, Visitor("ada (console)", "admin")) as address:
        yield visiting(address)


def test_a_key_is_made_shown_once_and_revoked(admin, project):
    page = admin.open("keys", waits=".empty")
    page.get_by_role("button", name="Make a key").click()
    page.locator("dialog").get_by_label("Name").fill("app <i>eu</i>")
    page.get_by_label("Good until").fill("soon")
    page.get_by_role("button", name="Make it").click()
    assert "no time at which a key ends" in page.get_by_role("alert").inner_text()
    page.get_by_label("Good until").fill("90d")
    page.locator("dialog").get_by_label("Name").fill("app")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("Copy it now").wait_for()
    secret = page.locator("dialog code").inner_text()
    with open_store(project.store_url) as store:
        assert keys.shown(store, secret, at=now()).name == "app"
    page.get_by_role("button", name="Close").click()
    page.locator("dialog").wait_for(state="detached")
    page.locator("tr", has_text="app").wait_for()
    assert secret not in page.content()
    page.get_by_role("button", name="Revoke app").click()
    page.get_by_label("Why").fill("in a public log")
    page.locator("dialog").get_by_role("button", name="Revoke").click()
    page.get_by_text("No key is in force").wait_for()
    with open_store(project.store_url) as store:
        assert keys.shown(store, secret, at=now()) is None
        last = list(audit.entries(store.database))[-1]
    assert (last.action, last.who, last.why) == ("key.revoke", "ada (console)", "in a public log")
    page.get_by_role("link", name="Show 1 that ended").click()
    page.locator("tr", has_text="revoked").wait_for()
    admin.clean(refused=(409,))


def test_who_may_not_manage_keys_does_not_find_the_screen(visit):
    page = visit.open()
    assert page.locator("#screens a", has_text="Keys").count() == 0
    visit.open("serving")
    page = visit.open("keys", waits="#screen .note")
    assert "may not see it" in page.locator("#screen").inner_text()
    assert page.locator("#title").inner_text() == "Not here", "not the screen before it"
    assert page.locator("#command *").count() == 0
    visit.clean()
