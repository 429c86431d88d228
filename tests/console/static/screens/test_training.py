"""The screen Training in a real browser: curves, a run that goes on, two side by side."""

import pytest
from tests.console.conftest import serving_console
from tests.console.waiting import until
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

pytestmark = pytest.mark.browser


@pytest.fixture
def project(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_data(project)
    evidence.manifest(project.state / "adapters" / "other-1", name="other", id="c" * 32, final_loss=0.5)
    evidence.events(project.state / "adapters" / "other-1", 40)
    return project


def test_curves_while_it_runs_and_two_side_by_side(visiting, project):
    with serving_console(project) as address:
        visit = visiting(address)
        page = visit.open("training?run=helpdesk-2", waits="[data-key=loss] svg")
        assert page.locator(".tile b").first.inner_text() == "running"
        evidence.events(project.state / "adapters" / "helpdesk-2", 30)
        page.wait_for_selector("text=30 of 60")
        page.locator("select[name=run]").select_option("helpdesk-1")
        until(page, "() => location.hash.includes('run=helpdesk-1')")
        page.locator("select[name=against]").select_option("other-1")
        page.wait_for_selector("[data-key=differences]")
        assert "final_loss" in page.locator("[data-key=differences]").inner_text()
        assert page.locator("[data-key=loss] polyline").count() == 4
        visit.clean()
