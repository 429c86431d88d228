"""A job's identity, its folder, and the samples it reads."""

from pathlib import Path

import msgspec
import pytest
from tests.training.conftest import task_samples, write_dataset

from freehold.errors import InputError, UsageError
from freehold.training import job as jobs
from freehold.types.config import FinetuneConfig


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", task_samples(6), task_samples(2))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"probe": 7}, True),
        ({"r": 16}, False),
        ({"seed": 1}, False),
        ({"learning_rate": 0.5}, False),
    ],
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
