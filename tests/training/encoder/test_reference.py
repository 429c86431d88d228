"""What the trainer's model answers is what its own files answer, and the child process says the same."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.training.encoder.conftest import json_samples, label_samples
from tests.training.encoder.test_worker import answered, made

from freehold.errors import TrainingError
from freehold.training.encoder.reference import TUNED, EncoderReferenceJob, answers_of, judge

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


def job_of(model, base, samples):
    return EncoderReferenceJob(
        encoder=model, base=base, samples=tuple((one.id, one.messages) for one in samples), threads=1
    )


def test_labels_and_probabilities_are_those_of_the_files(tmp_path, base_weights):
    model, _ = made(tmp_path, base_weights, label_samples(60), label_samples(45, 100))
    held = label_samples(9, 500)
    job = job_of(model, base_weights, held)
    found = answers_of(job)
    assert [one.answer for one in found] == [one.gold for one in held]
    manifest, logits, _ = answered(Path(model.path), [one.messages[1].content for one in held])
    for one, row in zip(found, logits[0], strict=True):
        shares = np.exp(row / manifest.fields[0].temperature)
        assert one.probabilities[0] == pytest.approx(float(shares.max() / shares.sum()), abs=1e-4)
    assert judge(job) == found


def test_fields_and_copies(tmp_path, base_weights):
    model, _ = made(tmp_path, base_weights, json_samples(120), json_samples(45, 200), stage="frozen")
    held = json_samples(12, 500)
    found = answers_of(job_of(model, base_weights, held))
    told, golds = [json.loads(one.answer) for one in found], [json.loads(one.gold) for one in held]
    assert [one["intent"] for one in told] == [one["intent"] for one in golds]
    assert all(one["order"] is None or one["order"].isdigit() for one in told)
    assert all(len(one.probabilities) == len(model.manifest.fields) for one in found)


def test_tuned_weights_that_are_gone_are_told(tmp_path, base_weights):
    model, _ = made(tmp_path, base_weights, label_samples(60), label_samples(45, 100), stage="tuned")
    job = job_of(model, base_weights, label_samples(3, 500))
    if model.stage == "frozen":
        pytest.skip("tuning was not better, so the heads alone were kept")
    (Path(model.path) / "run" / TUNED).unlink()
    with pytest.raises(TrainingError, match="is gone"):
        answers_of(job)
    with pytest.raises(TrainingError, match="could not be asked"):
        judge(job)
