"""The screen Data in a real browser: profile, samples by page, a label corrected and the dataset built with it."""

import pytest
from tests.console.conftest import serving_console
from tests.console.waiting import until
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold import training
from freehold.store import open_store
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.data.reviews import reviews

pytestmark = pytest.mark.browser


@pytest.fixture
def project(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_data(project)
    return project


def test_what_is_in_it_and_its_samples(visiting, project):
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("data", waits=".item")
        assert page.locator(".frequencies").count() >= 3
        assert "refund" in page.locator("[data-key=profile]").inner_text()
        assert page.locator(".message.learned").count() == page.locator(".item").count() == 20
        first = page.locator(".item").first.get_attribute("data-key")
        page.locator("[data-key=samples] a[rel=next]").click()
        until(page, "first => !document.querySelector(`[data-key='${first}']`)", arg=first)
        page.locator("select[name=split]").select_option("held_out")
        until(page, "() => location.hash.includes('split=held_out')")
        visit.clean()


def test_a_doubt_is_corrected_another_confirmed_and_the_next_dataset_has_both(visiting, project):
    with open_store(project.store_url) as store:
        before = find_dataset(store)
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("data", waits="[data-key=doubts] table")
        rows = page.locator("[data-key=doubts] tbody tr")
        assert rows.count() == 4
        rows.nth(0).get_by_role("button", name="Correct it").click()
        page.get_by_label("The right answer").fill("other")
        page.locator("dialog input[name=why]").fill("a gift card")
        page.locator("dialog button[type=submit]").click()
        page.wait_for_selector("text=now: other")
        rows.nth(1).get_by_role("button", name="It is right").click()
        page.wait_for_selector("[data-key=doubts] .pill:has-text('is right')")
        page.get_by_role("button", name="Build with 2 reviewed").click()
        page.locator("dialog button[type=submit]").click()
        until(page, "() => document.querySelectorAll('select[name=dataset] option').length === 2")
        visit.clean()
    with open_store(project.store_url) as store:
        built, said = find_dataset(store), reviews(store)
    assert built.id != before.id and {one.decision for one in said.values()} == {"corrected", "confirmed"}
    corrected = next(one for one in said.values() if one.decision == "corrected")
    golds = {sample.id: sample.gold for sample in training.read_samples(built, "train")}
    assert golds[corrected.sample_id] == "other"


def test_a_fresh_project_says_what_to_do_first(visiting, empty_project):
    with serving_console(empty_project) as address:
        visit = visiting(address, width=390)
        page = visit.open("data", waits=".empty")
        assert "freehold import" in page.locator(".empty").inner_text()
        visit.clean()


def test_it_fits_a_telephone(visiting, project):
    with serving_console(project) as address:
        visit = visiting(address, width=390, dark=True)
        visit.open("data", waits=".item")
        visit.clean()
