"""The screen Training in a real browser: curves, a run that goes on, two side by side."""

import msgspec
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


def test_what_it_wrote_as_it_learned_is_shown_to_who_may_read_it(visiting, project):
    written = WrittenAnswer(sample_id="s1", text=evidence.HOSTILE, is_right=False, ended=False)
    told = TrainingEvent(kind="eval", step=60, steps=60, loss=0.1, score=0.9, written=(written,))
    with (project.state / "adapters" / "helpdesk-1" / "run" / "events.jsonl").open("ab") as file:
        file.write(msgspec.json.encode(told) + b"\n")
    with serving_console(project) as address:
        visit = visiting(address, width=390)
        page = visit.open("training?run=helpdesk-1", waits="[data-key=written]")
        assert page.locator("[data-key=written] .item").count() == 0
        page.get_by_role("link", name="Show them").click()
        shown = page.wait_for_selector("[data-key=written] .item").inner_text()
        assert "<img src=x" in shown and "\\u{202e}" in shown and "step 60" in shown and "cut" in shown
        visit.clean()
    with serving_console(project, Visitor("eye", "read")) as address:
        visit = visiting(address)
        page = visit.open("training?run=helpdesk-1&written=true", waits="#problem .note")
        assert "not at what customers write" in page.locator("#problem").inner_text()
        visit.clean(refused=(403,))
