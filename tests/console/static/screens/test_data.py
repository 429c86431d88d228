"""The screen Data in a real browser: what a dataset holds, and samples whose words are text."""

import pytest
from tests.console.conftest import serving_console
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

pytestmark = pytest.mark.browser


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
