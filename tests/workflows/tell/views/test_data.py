"""The screens Data and Training."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence
from tests.workflows.train.owned import owned_encoder

from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.dataset import Message, Sample
from freehold.workflows.data.dataset import PAGE_SAMPLES
from freehold.workflows.tell.views.data import DataQuery, data, shown_sample
from freehold.workflows.tell.views.training import TrainingQuery, training

look = evidence.looking(data, DataQuery)


def test_a_fresh_project_imports_first_then_builds(project):
    assert look(project).first_command == "freehold import traffic.jsonl"
    with open_store(project.store_url) as store:
        store.add_traces([evidence.trace(1, "hello")])
    found = look(project)
    assert (found.detail, found.traces, found.first_command) == (None, 1, "freehold dataset build")


def test_every_sample_comes_once_over_the_pages(project):
    dataset, _, samples = evidence.with_data(project)
    found, after = [], 0
    while after is not None:
        page = look(project, after=after).detail.samples
        assert len(page.samples) <= PAGE_SAMPLES
        found += [one.id for one in page.samples]
        after = page.next_after
    assert found == [sample.id for sample in samples]
    held_out = look(project, split="held_out").detail.samples
    assert held_out.total == dataset.split("held_out").samples > 0


def test_a_place_where_no_sample_begins_is_told(project):
    evidence.with_data(project)
    detail = look(project, after=3).detail
    assert detail.samples is None and "no sample begins at 3" in detail.samples_missing
    detail = look(project, after=10**9).detail
    assert detail.samples is None


def test_a_dataset_whose_files_are_gone_still_shows_its_card(project):
    dataset, _, _ = evidence.with_data(project)
    Path(dataset.path, "train.jsonl").unlink()
    detail = look(project).detail
    assert detail.samples is None and "freehold dataset build" in detail.samples_missing
    assert detail.card.splits["train"].labels


def test_only_known_datasets_are_read(project, tmp_path):
    """An address names a dataset by its id; a folder of that name is never opened."""
    dataset, _, _ = evidence.with_data(project)
    assert look(project, dataset=dataset.id[:8]).detail.dataset.id == dataset.id
    for wanted in ("nix", dataset.path[:64], "../.."):
        with pytest.raises(UsageError, match="no datasets"):
            look(project, dataset=wanted)


def said(**fields):
    return Message(role="assistant", content="a", **fields)


@pytest.mark.parametrize(
    ("messages", "learned"),
    [
        ((Message(role="user", content="q"), said()), [False, False, True]),
        ((Message(role="user", content="q"), said(weight=1)), [False, True, True]),
    ],
)
def test_what_is_learned_is_marked(messages, learned):
    shown = shown_sample(Sample(id="s", messages=messages, gold="yes", incumbent="no"))
    assert [one.learned for one in shown.messages] == learned
    assert shown.incumbent.text == "no" and shown.gold


@pytest.fixture
def project_of_training(tmp_path):
    project = project_of(tmp_path, evidence.TOML)
    evidence.with_data(project)
    return project


def look_of_training(project, at=None, **query):
    with open_store(project.store_url) as store:
        return training(project, store, TrainingQuery(**query), at=at or datetime.now(UTC))


def test_a_finished_run_and_one_that_goes_on(project_of_training):
    found = look_of_training(project_of_training, run="helpdesk-1")
    assert {one.name: one.state for one in found.runs} == {"helpdesk-1": "done", "helpdesk-2": "running"}
    run = found.run
    assert run.line.record_id == "a" * 32 and run.result.name == "helpdesk"
    assert (run.line.step, run.line.steps) == (60, 60)
    assert [step for step, _ in run.score] == [20, 40, 60] == [step for step, _ in run.validation_loss]
    losses = [loss for _, loss in run.loss]
    assert losses == sorted(losses, reverse=True) and len(losses) == 60
    assert run.line.peak_memory_bytes == 2**30 + 60 * 2**20 == run.memory_bytes[-1][1]


def test_a_run_that_ended_in_an_error_says_it(project_of_training):
    with (project_of_training.state / "adapters" / "helpdesk-2" / "run" / "events.jsonl").open("ab") as file:
        file.write(b'{"kind":"error","step":23,"message":"out of memory"}\n{"kind":"ste')
    run = look_of_training(project_of_training, run="helpdesk-2").run
    assert run.line.state == "failed" and run.said == ("out of memory",)


def test_names_lead_to_no_other_folder(project_of_training):
    for wanted in ("../evaluations", "/etc", "nix"):
        with pytest.raises(UsageError, match="no training run"):
            look_of_training(project_of_training, run=wanted)


def test_encoders_are_runs_as_well(project_of_training):
    made = owned_encoder(project_of_training)
    folder = project_of_training.state / "encoders" / "support-2"
    events = [{"kind": "step", "step": 512, "steps": 2016, "message": "embedding"}]
    events += [
        {"kind": "step", "step": n, "steps": 9, "loss": 1.0 / n, "seconds_left": 5.0} for n in (1, 2, 3)
    ]
    events.append({"kind": "eval", "step": 3, "steps": 9, "loss": 0.9, "score": 0.4})
    events.append({"kind": "eval", "score": 0.5, "message": "tuned: 1 of 2 (50.0%) right"})
    (folder / "run").mkdir(parents=True)
    (folder / "run" / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    found = look_of_training(project_of_training, run=Path(made.path).name)
    kinds = {one.name: (one.kind, one.state) for one in found.runs}
    assert kinds["helpdesk-1"] == ("adapter", "done") and kinds["support-2"] == ("encoder", "running")
    assert (found.run.encoder.id, found.run.result, found.run.line.record_id) == (made.id, None, made.id)
    assert (
        found.run.line.peak_memory_bytes == made.peak_memory_bytes and found.command == "freehold models list"
    )
    running = look_of_training(project_of_training, run="support-2").run
    assert [step for step, _ in running.loss] == [1, 2, 3], (
        "texts that were embedded are no steps of learning"
    )
    assert running.score == ((3, 0.4),), "a stage that is done is no step either"
    assert (running.line.step, running.line.steps, running.line.score) == (3, 9, 0.5)
    (folder / "encoder_model.json").write_text("{")
    assert look_of_training(project_of_training, run="support-2").run.encoder is None
    assert look_of_training(project_of_training, run="helpdesk-1", against="support-2").differences == {}
