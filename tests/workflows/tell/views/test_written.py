"""What a model wrote as it learned stands beside what is right, and is read of a run whose dataset is gone."""

from pathlib import Path

import msgspec
import pytest
from tests.workflows.data.building import project_of
from tests.workflows.tell.views import evidence

from freehold import training
from freehold.types.training import TrainingEvent, WrittenAnswer
from freehold.workflows.tell.views.written import EVALUATIONS_MAX, TEXT_MAX, written_samples


def event(step, *answers):
    written = [
        WrittenAnswer(sample_id=id, text=text, is_right=text == "refund", ended=True) for id, text in answers
    ]
    return TrainingEvent(kind="eval", step=step, written=tuple(written))


@pytest.fixture
def dataset(tmp_path):
    return evidence.fill(project_of(tmp_path, evidence.TOML))


@pytest.fixture
def job(dataset, tmp_path):
    path = tmp_path / "job.json"
    path.write_bytes(msgspec.json.encode({"id": "j", "dataset": dataset, "more": 1}))
    return path


def test_answers_stand_under_their_sample(dataset, job):
    sample = next(training.read_samples(dataset, "validation"))
    events = [event(5, (sample.id, "other"), ("gone", "x")), TrainingEvent(kind="step", step=6)]
    events += [event(9, (sample.id, "old")), event(9, (sample.id, "refund"))]
    found, gone = written_samples(events, job)
    assert found.question.text == sample.messages[-1].content and found.right.text == sample.target
    assert [(one.step, one.text.text, one.is_right) for one in found.answers] == [
        (5, "other", False),
        (9, "refund", True),
    ], "an evaluation that was done again counts as the last time"
    assert (gone.question, gone.right, len(gone.answers)) == (None, None, 1)


def test_what_a_student_learns_is_what_its_teacher_said(dataset, job):
    sample = next(training.read_samples(dataset, "validation"))
    split = next(one for one in dataset.splits if one.name == "validation")
    corrected = msgspec.structs.replace(sample, gold="corrected", incumbent="said")
    (Path(dataset.path) / split.file).write_bytes(msgspec.json.encode(corrected))
    fields = msgspec.json.decode(job.read_bytes())
    job.write_bytes(msgspec.json.encode(fields | {"config": {"method": "distill"}}))
    (found,) = written_samples([event(5, (sample.id, "other"))], job)
    assert found.right.text == "said"


def test_a_run_without_a_dataset_and_long_ones_are_shown_bounded(tmp_path):
    events = [event(step, ("s", "y" * 5000)) for step in range(1, 60)]
    (found,) = written_samples(events, tmp_path / "nothing.json")
    assert found.question is None and len(found.answers) == EVALUATIONS_MAX
    assert found.answers[-1].step == 59 and len(found.answers[-1].text.text) == TEXT_MAX
    assert written_samples([], tmp_path / "nothing.json") == ()
