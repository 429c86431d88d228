"""The screen Training in a real browser: curves, a run that goes on, two side by side."""

from pathlib import Path

import pytest
from tests.console.conftest import serving_console
from tests.console.waiting import until
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence
from tests.workflows.train.owned_encoder import owned_encoder

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


def test_a_fresh_project_says_what_to_do_first(visiting, empty_project):
    with serving_console(empty_project) as address:
        visit = visiting(address, width=390)
        page = visit.open("training", waits=".empty")
        assert "freehold train" in page.locator(".empty").inner_text()
        visit.clean()


def test_it_fits_a_telephone(visiting, project):
    with serving_console(project) as address:
        visit = visiting(address, width=390, dark=True)
        visit.open("training?run=helpdesk-1", waits="[data-key=loss] svg")
        visit.clean()


@pytest.mark.parametrize("width", [390, 1280])
def test_an_encoder_is_shown_with_its_stages(visiting, project, width):
    made = owned_encoder(project)
    with serving_console(project) as address:
        visit = visiting(address, width=width)
        page = visit.open(f"training?run={Path(made.path).name}", waits=".tile")
        assert "encoder, done" in page.locator("select[name=run] option:checked").inner_text()
        assert "frozen" in page.locator(".tile", has_text="Kept stage").inner_text()
        assert "120" in page.locator(".tile", has_text="Trained on").inner_text()
        visit.clean()
