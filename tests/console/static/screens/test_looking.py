"""Screens that are looked at: what each shows, in a real browser."""

import pytest
from tests.console.conftest import ROUTE, serving_console
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold.store import audit, open_store
from freehold.types.serving.rollout import Rollout

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


def test_without_a_gateway_each_endpoint_stands_there_and_how_to_start_one(visit):
    page = visit.open("serving", waits="tbody tr")
    shown = page.locator("#screen").inner_text()
    assert "freehold up" in shown and "gateway is down" in shown
    assert page.locator("tbody tr", has_text="incumbent").count() == 1
    visit.clean()


@pytest.mark.parametrize("width", [390, 1280])
def test_what_is_set_stands_first_with_its_source(visiting, served, width):
    visit = visiting(served, width=width)
    page = visit.open("settings", waits=".panel table")
    first = page.locator("#screen .panel").first.inner_text()
    assert "[incumbent] model" in first and "gpt-4o" in first and "freehold.toml" in first
    assert "FREEHOLD_PORT" in page.locator("#screen .panel").nth(1).inner_text()
    visit.clean()


def test_a_record_is_a_list_of_its_fields(visit, project):
    with open_store(project.store_url) as store:
        (rollout,) = store.records(Rollout)
    page = visit.open(f"record?id={rollout.key}", waits=".tree")
    shown = page.locator("#screen").inner_text()
    assert Rollout.kind in shown and "support <b>intents</b>" in shown and "shadow_share" in shown
    visit.clean()


def test_what_if_on_another_machine(visiting, tmp_path):
    with serving_console(project_of(tmp_path, evidence.TOML)) as address:
        visit = visiting(address)
        visit.page.set_default_timeout(120_000)  # ranking the catalog takes a second of the processor
        page = visit.open("models?machine=2x L4&find=qwen3-32b", waits="[data-key=rows] table")
        assert "L4" in page.locator(".tile b").first.inner_text()
        page.locator("[data-key='row-Qwen/Qwen3-32B'] a").first.click()
        page.wait_for_selector("[data-key=fit] .bar i")
        assert "GiB" in page.locator("[data-key=fit]").inner_text()
        page.get_by_label("What if on").fill("no such card")
        page.get_by_role("button", name="Apply").click()
        page.wait_for_selector("#screen .note.bad")
        assert page.get_by_label("What if on").count() == 1
        visit.clean()


@pytest.fixture
def project(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_data(project)
    return project


def test_a_datasets_samples_are_shown_and_nothing_of_them_acts(visiting, project):
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("data", waits="[data-key=samples] .item")
        assert page.title().startswith("Data")
        assert page.locator("[data-key=samples] .item").count() > 0
        assert page.locator(".tile").count() >= 3
        visit.clean()


def test_pages_and_filters_stand_in_the_address(visit, project):
    with open_store(project.store_url) as store:
        for number in range(120):
            audit.note(store.database, "export", f"file-{number}", who="<b>eve</b>", why="\x1b[31m")
    page = visit.open("audit", waits="tbody tr")
    assert page.locator("tbody tr").count() == 50
    assert "file-119" in page.locator("tbody tr").first.inner_text()
    assert "<b>eve</b>" in page.locator("tbody tr").first.inner_text()
    page.get_by_role("link", name="Next page").click()
    page.locator("tbody tr", has_text="file-69").wait_for()
    assert "after=" in page.url
    page.get_by_label("What", exact=True).fill("rollout")
    page.keyboard.press("Enter")
    page.locator("tbody tr", has_text="rollout.shadow").wait_for()
    assert "action=rollout" in page.url and "after=" not in page.url
    page.get_by_role("link", name="Clear").click()
    page.locator("tbody tr", has_text="file-119").wait_for()
    visit.clean()


TOML = evidence.TOML + '[use]\nmode = "hosted_service"\nserves_third_parties = true\n'


def test_duties_are_a_checklist_with_the_files_that_meet_them(visiting, tmp_path):
    with serving_console(project_of(tmp_path, TOML)) as address:
        visit = visiting(address)
        page = visit.open("license?model=meta-llama/Llama-3.1-8B-Instruct", waits=".checklist")
        page.locator(".checklist input").first.click()
        page.wait_for_selector(".checklist >> text=Done, says ada (console)")
        assert page.locator("[data-key=duties] h2").inner_text().startswith("Duties: 1 of ")
        page.get_by_text("CHECKLIST.md").click()
        shown = page.locator("details[open] pre").inner_text()
        assert "meta-llama" in shown and shown.count("- [x]") == 1
        page.evaluate("location.hash = '#/cost'")
        page.wait_for_selector("h1:has-text('Cost')")
        visit.open("license?model=meta-llama/Llama-3.1-8B-Instruct", waits=".checklist")
        assert page.locator(".checklist input").first.is_checked()
        assert "Built with Llama" in page.locator("#screen").inner_text()
        page.locator(".checklist input").first.click()
        page.wait_for_selector("[data-key=duties] h2:has-text('Duties: 0 of')")
        assert not page.locator(".checklist input").first.is_checked()
        visit.clean()
