"""The page in a real browser: it shows what happens, takes a rollback, and runs nothing that came from the store."""

from pathlib import Path

import pytest

from freehold.store import open_store

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
ROUTE = "support <b>intents</b>"


@pytest.fixture
def page(served):
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("Debian's chromium is not installed")
    url, token = served
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.said = []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(f"{url}/?token={token}")
        page.wait_for_selector(".route", timeout=30_000)
        yield page
        browser.close()


def test_it_shows_the_rollout_and_fits_a_telephone(page):
    assert "token" not in page.url
    assert page.locator("h2").first.inner_text() == ROUTE  # as text, not as markup
    assert page.locator(".pill").first.inner_text() == "mirroring"
    assert page.locator("svg.chart rect.in").count() > 5
    assert page.get_by_role("button", name="Advance").is_disabled()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.said == []


def test_a_rollback_by_two_clicks_and_a_reason(page, project):
    page.get_by_role("button", name="Roll back").click()
    page.get_by_label("Why").fill("complaints")
    page.locator("#ask-yes").click()
    page.wait_for_selector(".pill.rolled_back", timeout=30_000)
    assert "Why: complaints" in page.locator(".route").inner_text()
    assert page.get_by_role("button", name="Roll back").count() == 0
    with open_store(project.store_url) as store:
        assert store.routes()[0].state == "rolled_back"
    page.get_by_text("History").click()
    assert "ada (console)" in page.locator("details[open]").inner_text()
    assert page.said == []
