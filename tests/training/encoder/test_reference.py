"""The trainer's own answers, by PyTorch: what was taught, and an error where there is nothing to compare with."""

import msgspec
import pytest
from tests.training.encoder.conftest import json_samples, write_dataset

from freehold.errors import TrainingError
from freehold.training import encoder
from freehold.training.encoder.reference import EncoderReferenceJob, answers_of, judge
from freehold.training.encoder.worker import run_job
from freehold.types.encoder import EncoderConfig

pytestmark = pytest.mark.timeout(600)


def test_it_answers_as_it_was_taught_and_says_how_sure_it_is(tmp_path, base_weights):
    samples = json_samples(60)
    dataset = write_dataset(tmp_path / "data", samples, json_samples(45, 100))
    job = encoder.make(
        config=EncoderConfig(stage="frozen", threads=1),
        dataset=dataset,
        base=base_weights,
        out_dir=tmp_path / "out",
        name="shop",
    )
    assert run_job(job, lambda event: None, lambda: False)
    made = encoder.finished(job)
    asked = tuple((sample.id, sample.messages) for sample in samples[:20])
    question = EncoderReferenceJob(encoder=made, base=base_weights, samples=asked, threads=1)
    references = answers_of(question)
    assert [one.sample_id for one in references] == [sample.id for sample in samples[:20]]
    right = sum(one.answer == sample.target for one, sample in zip(references, samples, strict=False))
    assert right >= 10
    assert all(len(one.probabilities) == 3 and 0 < one.confidence <= 1 for one in references)
    assert judge(question) == references, "the child process says the same"

    tuned = msgspec.structs.replace(question, encoder=msgspec.structs.replace(made, stage="tuned"))
    with pytest.raises(TrainingError, match=r"tuned\.safetensors is gone"):
        answers_of(tuned)
