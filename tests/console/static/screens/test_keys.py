"""A key is issued, shown once and revoked, by clicks."""

import pytest
from tests.console.conftest import serving_console

from freehold.console.guard import Visitor
from freehold.store import audit, open_store
from freehold.workflows.project import now
from freehold.workflows.shift import keys

pytestmark = pytest.mark.browser


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
