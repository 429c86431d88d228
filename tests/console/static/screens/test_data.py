"""The screen Data in a real browser: profile, samples by page."""

import pytest
from tests.console.conftest import serving_console
from tests.console.waiting import until
from tests.training.conftest import tiny, tokenizer
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

__all__ = ["tiny", "tokenizer"]  # fixtures
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


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
