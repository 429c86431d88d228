"""The screen Training: runs that are done, go on, broke off; curves; two side by side."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence
from tests.workflows.train.owned import owned_encoder

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.workflows.tell.views.training import MOST_POINTS, TrainingQuery, smoothed, thinned, training


@pytest.fixture
def project(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_data(project)
    return project


def look(project, at=None, **query):
    with open_store(project.store_url) as store:
        return training(project, store, TrainingQuery(**query), at=at or datetime.now(UTC))


def test_a_finished_run_and_one_that_goes_on(project):
    found = look(project, run="helpdesk-1")
    assert {one.name: one.state for one in found.runs} == {"helpdesk-1": "done", "helpdesk-2": "running"}
    run = found.run
    assert run.line.record_id == "a" * 32 and run.result.name == "helpdesk"
    assert (run.line.step, run.line.steps) == (60, 60)
    assert [step for step, _ in run.score] == [20, 40, 60] == [step for step, _ in run.validation_loss]
    losses = [loss for _, loss in run.loss]
    assert losses == sorted(losses, reverse=True) and len(losses) == 60
    assert run.line.peak_memory_bytes == 2**30 + 60 * 2**20 == run.memory_bytes[-1][1]


def test_a_run_that_ended_in_an_error_says_it(project):
    with (project.state / "adapters" / "helpdesk-2" / "run" / "events.jsonl").open("ab") as file:
        file.write(b'{"kind":"error","step":23,"message":"out of memory"}\n{"kind":"ste')
    run = look(project, run="helpdesk-2").run
    assert run.line.state == "failed" and run.said == ("out of memory",)


def test_names_lead_to_no_other_folder(project):
    for wanted in ("../evaluations", "/etc", "nix"):
        with pytest.raises(UsageError, match="no training run"):
            look(project, run=wanted)


def test_encoders_are_runs_as_well(project):
    made = owned_encoder(project)
    folder = project.state / "encoders" / "support-2"
    events = [{"kind": "step", "step": 512, "steps": 2016, "message": "embedding"}]
    events += [
        {"kind": "step", "step": n, "steps": 9, "loss": 1.0 / n, "seconds_left": 5.0} for n in (1, 2, 3)
    ]
    events.append({"kind": "eval", "step": 3, "steps": 9, "loss": 0.9, "score": 0.4})
    events.append({"kind": "eval", "score": 0.5, "message": "tuned: 1 of 2 (50.0%) right"})
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    found = look(project, run=Path(made.path).name)
    kinds = {one.name: (one.kind, one.state) for one in found.runs}
    assert kinds["helpdesk-1"] == ("adapter", "done") and kinds["support-2"] == ("encoder", "running")
    assert (found.run.encoder.id, found.run.result, found.run.line.record_id) == (made.id, None, made.id)
    assert (
        found.run.line.peak_memory_bytes == made.peak_memory_bytes
        and found.command == "freehold encoders list"
    )
    running = look(project, run="support-2").run
    assert [step for step, _ in running.loss] == [1, 2, 3], (
        "texts that were embedded are no steps of learning"
    )
    assert running.score == ((3, 0.4),), "a stage that is done is no step either"
    assert (running.line.step, running.line.steps, running.line.score) == (3, 9, 0.5)
    (folder / "encoder_model.json").write_text("{")
    assert look(project, run="support-2").run.encoder is None
    assert look(project, run="helpdesk-1", against="support-2").differences == {}


def test_a_long_curve_is_drawn_by_few_points_to_its_end():
    long = tuple((step, float(step)) for step in range(1, 10_001))
    for drawn in (smoothed(long), thinned(long)):
        assert len(drawn) <= MOST_POINTS + 1 and drawn[-1][0] == 10_000
    assert smoothed(long[:5]) == thinned(long[:5]) == long[:5]
