"""The page in a real browser: it shows what happens, takes a rollback, and runs nothing that came from the store."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from freehold.store import open_store
from freehold.types.route import Limits
from freehold.workflows.shift import keys

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
        page.goto(f"{url}/#token={token}")
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
    assert page.context.cookies() == []


def test_a_key_that_may_look_sees_no_button_and_without_one_nothing_is_seen(page, project):
    with open_store(project.store_url) as store:
        scope = keys.KeyScope(role="read")
        made = keys.add(store, "eye", limits=Limits(), scope=scope, who="ada", at=datetime.now(UTC))
    page.evaluate("sessionStorage.clear()")
    page.reload()
    page.wait_for_selector("#login:not([hidden])", timeout=30_000)
    assert page.locator(".route").count() == 0
    page.get_by_label("A key of the gateway").fill(made.secret)
    page.get_by_role("button", name="Open").click()
    page.wait_for_selector(".route", timeout=30_000)
    assert page.get_by_role("button", name="Roll back").count() == 0
    assert "eye, looks only" in page.locator("#who").inner_text()
    assert page.evaluate("JSON.stringify(sessionStorage)").find(made.secret) == -1
    page.get_by_role("link", name="report-1.html").click()
    page.wait_for_url("**/reports/report-1.html?ticket=*")
    assert "the report" in page.inner_text("body")
