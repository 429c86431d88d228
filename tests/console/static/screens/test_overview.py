"""The first screen in a real browser: what next, what it comes to, and the ways to what people ask for first."""

import pytest
from tests.console.conftest import ROUTE, serving_console

from freehold.store import open_store

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [390, 1280])
def test_it_says_where_the_project_is_and_what_next(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open(waits=".next")
    assert "What next" in page.locator(".next").inner_text()
    assert "freehold " in page.locator(".next code").first.inner_text()
    tiles = page.locator(".tiles").inner_text()
    assert "requests" in tiles and "60" in tiles and "share at home" in tiles and "saved" in tiles
    assert page.locator(".steps li[aria-current=step]").count() == 1
    assert page.locator("section", has_text="Routes").get_by_text(ROUTE).count() == 1
    visit.clean()


def test_an_empty_folder_is_told_its_first_command(visiting, empty_project):
    with serving_console(empty_project) as address:
        visit = visiting(address)
        page = visit.open(waits=".next")
        assert "freehold init" in page.locator(".next code").first.inner_text()
        assert page.locator(".steps li").count() > 5
        visit.clean()


def test_roll_back_is_two_clicks_from_here(visit, project):
    page = visit.open(waits=".next")
    page.get_by_role("button", name="Roll back").click()
    page.get_by_label("Why").fill("complaints")
    page.locator("dialog").get_by_role("button", name="Roll back").click()
    page.locator("section .pill.bad", has_text="rolled back").wait_for()
    with open_store(project.store_url) as store:
        assert store.route_history(ROUTE)[-1].why == "complaints"
    assert page.get_by_role("button", name="Roll back").count() == 0
    visit.clean()


def test_errors_and_the_route_are_one_click_away(visit):
    page = visit.open(waits=".next")
    page.locator(".tile", has_text="errors").get_by_role("link").click()
    page.wait_for_selector("h1:text('Traffic')")
    page.wait_for_selector(".cards tbody tr")
    assert "status=error" in page.url and page.locator(".cards tbody tr").count() == 1
    page.go_back()
    page.locator("section", has_text="Routes").get_by_role("link", name=ROUTE).click()
    page.wait_for_selector(".route")
    visit.clean()


def test_a_report_opens_from_its_list(visit):
    page = visit.open(waits=".next")
    page.get_by_role("link", name="report-1.html").click()
    page.wait_for_url("**/reports/report-1.html?ticket=*")
    assert "the report" in page.inner_text("body")
