"""A job's identity, its folder, its options and the samples it reads."""

import math
from pathlib import Path

import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold.errors import InputError, TrainingError, UsageError
from freehold.training import job as jobs
from freehold.training.schedule import check, resolved, weight_count
from freehold.types.config import FinetuneConfig
from freehold.types.model import Weights


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", task_samples(6), task_samples(2))


@pytest.mark.parametrize(
    ("changes", "same"),
    [({"probe": 7}, True), ({"r": 16}, False), ({"seed": 1}, False), ({"learning_rate": 0.5}, False)],
)
def test_a_job_is_known_by_what_decides_its_result(dataset, tiny, changes, same):
    config = FinetuneConfig(r=4, learning_rate=0.1, epochs=1)
    first = jobs.job_id(config, dataset, tiny)
    assert (jobs.job_id(msgspec.structs.replace(config, **changes), dataset, tiny) == first) is same
    assert jobs.job_id(config, dataset, msgspec.structs.replace(tiny, sha256="other")) != first


def test_a_job_has_a_folder_of_its_own_and_options_that_are_chosen(dataset, tiny, tmp_path):
    job = jobs.make(config=FinetuneConfig(), dataset=dataset, base=tiny, out_dir=tmp_path, name="inbox")
    assert job.config.learning_rate > 0 and job.config.epochs > 0
    assert Path(job.adapter_dir) == tmp_path / f"inbox-{job.id[:8]}"
    assert Path(job.run_dir).parent == Path(job.adapter_dir)
    again = jobs.make(config=job.config, dataset=dataset, base=tiny, out_dir=tmp_path, name="inbox")
    assert again == job


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb", ".hidden"])
def test_a_name_is_no_path(dataset, tiny, tmp_path, name):
    with pytest.raises(UsageError, match="cannot name an adapter"):
        jobs.make(config=FinetuneConfig(), dataset=dataset, base=tiny, out_dir=tmp_path, name=name)


def test_samples_are_read_in_order_and_a_broken_line_is_named(dataset):
    assert [sample.id for sample in jobs.read_samples(dataset, "train")] == [f"s{n}" for n in range(6)]
    bare = msgspec.structs.replace(dataset, splits=dataset.splits[:1])
    assert list(jobs.read_samples(bare, "validation")) == []
    path = Path(dataset.path) / "train.jsonl"
    path.write_bytes(path.read_bytes() + b"\n{}\n")
    with pytest.raises(InputError, match=r"train\.jsonl:8"):
        list(jobs.read_samples(dataset, "train"))


def base(gigabytes: float, quantization: str = "Q4_K_M") -> Weights:
    return Weights(
        model_id="a/b", format="gguf", quantization=quantization, bytes=int(gigabytes * 1e9), sha256="0",
        source="x", path=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("samples", "epochs"), [(50, 15), (100, 15), (500, 12), (2000, 4), (10_000, 4), (0, 15)]
)
def test_small_sets_are_gone_through_more_often(samples, epochs):
    assert resolved(FinetuneConfig(batch_size=32), base(0.1), samples).epochs == epochs


@pytest.mark.parametrize(("size", "rate"), [(0.1, 1e-3), (0.8, 5e-4), (4.4, 2e-4)])
def test_larger_bases_learn_at_a_lower_rate(size, rate):
    assert resolved(FinetuneConfig(), base(size), 1000).learning_rate == rate


def test_what_is_given_stays():
    config = FinetuneConfig(epochs=0.5, learning_rate=3e-4)
    assert resolved(config, base(4.4), 10) == config
    assert msgspec.structs.replace(
        resolved(FinetuneConfig(), base(1), 10), epochs=0.0, learning_rate=0.0
    ) == (FinetuneConfig())


@pytest.mark.parametrize(
    ("size", "quantization", "count"),
    [(0.098, "Q4_1", 0.163e9), (0.27, "BF16", 0.135e9), (0.54, "F32", 0.135e9)],
)
def test_weights_are_counted_by_their_format(size, quantization, count):
    assert weight_count(base(size, quantization)) == pytest.approx(count, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"method": "magic"}, "method"), ({"learning_rate": math.inf}, "learning_rate is inf")],
)
def test_options_that_cannot_work_are_refused_before_anything_is_loaded(changes, message):
    with pytest.raises(TrainingError, match=message):
        check(msgspec.structs.replace(FinetuneConfig(), **changes))
