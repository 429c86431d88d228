"""The frame in a real browser: two consoles against each other, a session that ends, the keyboard, a phone's menu."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.console.conftest import ROUTE, serving_console

from freehold.console.guard import Visitor
from freehold.store import open_store
from freehold.types.route import Limits
from freehold.workflows.shift import keys
from freehold.workflows.shift.rollout import rollout

pytestmark = pytest.mark.browser


def test_of_two_consoles_with_opposite_buttons_going_back_wins(visiting, served, project):
    one, other = visiting(served), visiting(served)
    first, second = one.open("rollout", waits=".route"), other.open("rollout", waits=".route")
    first.get_by_role("button", name="Pause").click()
    second.get_by_role("button", name="Roll back").click()
    second.locator("dialog").get_by_role("button", name="Roll back").click()
    second.wait_for_selector(".route .pill.bad")
    first.locator("dialog").get_by_role("button", name="Pause").click()
    first.get_by_role("alert").filter(has_text="cannot be paused").wait_for()
    first.get_by_role("button", name="Leave it").click()
    first.wait_for_selector(".route .pill.bad")
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "rolled_back"
    one.clean(refused=(409,))
    other.clean()


def test_a_button_that_is_dead_says_why_and_lives_when_the_tests_allow_it(visit, project):
    page = visit.open("rollout", waits=".route")
    advance = page.get_by_role("button", name="Advance")
    assert advance.is_disabled() and "users" in advance.get_attribute("title")
    with open_store(project.store_url) as store:
        rollout.pause(store, ROUTE, who="bo", at=datetime.now(UTC))
    page.locator("button:enabled", has_text="Advance").click()
    page.get_by_label("Why").fill("after lunch")
    page.locator("dialog").get_by_role("button", name="Advance").click()
    page.locator(".route .pill", has_text="mirroring").wait_for()
    with open_store(project.store_url) as store:
        assert store.route_history(ROUTE)[-1].why == "mirrored again: after lunch"
    visit.clean()


def test_without_content_neither_a_trace_nor_a_record_is_there(visiting, project):
    with serving_console(project, Visitor("ada (console)", "operate")) as address:
        visit = visiting(address)
        page = visit.open("traffic", waits=".cards tbody tr")
        assert page.locator(".cards tbody a").count() == 0
        assert page.locator("input[name=user]").count() == 1 and page.locator("input[name=text]").count() == 0
        page = visit.open("trace?id=trace-00001", waits="#screen .note")
        assert "may not see it" in page.locator("#screen").inner_text()
        visit.clean()


def test_what_is_not_yet_what_was_asked_for_is_said_to_be_busy(visiting, served):
    """A reader of the screen hears of it."""
    visit = visiting(served)
    page = visit.open("traffic", waits="[data-row]")
    held = []
    page.route("**/api/screens/traffic?*", lambda route: held.append(route))
    page.evaluate("location.hash = '#/traffic?window_s=3600'")
    page.wait_for_selector("#screen.waits[aria-busy]")
    # The one asked for since is what counts, and the answer of the other changes nothing.
    page.evaluate("location.hash = '#/settings'")
    page.wait_for_selector("#screen:not([aria-busy]) [data-key] >> nth=0")
    for one in held:
        one.continue_()
    page.wait_for_timeout(700)
    assert page.locator("#title").inner_text() == "Settings"
    assert not page.locator("#screen[aria-busy], #screen.waits").count()
    visit.clean()


def test_a_telephone_has_a_menu_and_a_desk_a_keyboard(visiting, served):
    visit = visiting(served, width=390)
    page = visit.open()
    assert not page.locator("#screens").is_visible()
    page.get_by_role("button", name="Menu").click()
    page.locator("#screens").get_by_role("link", name="Traffic").click()
    page.wait_for_selector("#title >> text=Traffic")
    page.wait_for_selector(".cards tbody tr")
    assert not page.locator("#screens").is_visible()
    page.locator("h1").focus()
    page.keyboard.press("g")
    page.keyboard.press("r")
    page.wait_for_selector(".route")
    assert page.title().startswith("Rollout")
    visit.clean()


def test_the_session_of_a_revoked_key_ends_at_once(visit, project):
    with open_store(project.store_url) as store:
        scope = keys.KeyScope(role="operate")
        made = keys.add(store, "hand", limits=Limits(), scope=scope, who="ada", at=datetime.now(UTC))
    page = visit.open()
    page.evaluate("sessionStorage.clear()")
    page.reload()
    page.get_by_label("A key of the gateway").fill(made.secret)
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector(".next")
    with open_store(project.store_url) as store:
        keys.revoke(store, "hand", at=datetime.now(UTC))
    page.wait_for_selector("#login:not([hidden])")
    assert page.locator("#screen").inner_text() == "" and page.locator("#screens a").count() == 0
    visit.clean(refused=(401,))


def test_a_session_ends_by_itself_when_its_key_expires(visit, project):
    """The key's own time, by the server's clock: the page is locked, and a key that expired opens nothing."""
    until = datetime.now(UTC) + timedelta(seconds=12)
    with open_store(project.store_url) as store:
        scope = keys.KeyScope(role="operate", expires_at=until)
        made = keys.add(store, "hand", limits=Limits(), scope=scope, who="ada", at=datetime.now(UTC))
    page = visit.open()
    page.evaluate("sessionStorage.clear()")
    page.reload()
    page.get_by_label("A key of the gateway").fill(made.secret)
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector(".next")
    page.wait_for_selector("#login:not([hidden])", timeout=60_000)
    assert datetime.now(UTC) >= until
    assert "This session is over" in page.locator("#login-error").inner_text()
    assert page.locator("#screen").inner_text() == "" and page.locator("#screens a").count() == 0
    page.get_by_label("A key of the gateway").fill(made.secret)
    page.get_by_role("button", name="Open").click()
    page.locator("#login-error", has_text="opens no console").wait_for()
    visit.clean(refused=(401, 403))
