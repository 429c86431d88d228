"""The rollout screen in a real browser: it shows what happens, takes a rollback, and runs nothing from the store."""

import pytest

from freehold.store import open_store

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
