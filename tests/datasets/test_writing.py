import pytest
from tests.datasets.traces import trace, write

from freehold.datasets import building
from freehold.errors import StorageError, UsageError


def test_written_dataset_is_content_addressed_and_reads_back(tmp_path):
    traces = [trace(n, gold="yes" if n % 2 else None) for n in range(60)]
    first, second = write(tmp_path, traces), write(tmp_path, list(reversed(traces)))
    assert first.id == second.id
    assert building.load(tmp_path / first.id) == first
    assert len(list(building.samples(first, "train"))) == first.split("train").samples
    assert (
        sum(first.targets_from.values()) == first.split("train").samples + first.split("validation").samples
    )
    assert write(tmp_path, traces, seed=1).id != first.id


def test_changed_split_file_is_noticed(tmp_path):
    dataset = write(tmp_path, [trace(n) for n in range(60)])
    path = tmp_path / dataset.id / "train.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(StorageError, match="changed after"):
        list(building.samples(dataset, "train"))


def test_empty_split_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="split would be empty"):
        write(tmp_path, [trace(1)])


def test_a_split_that_is_not_needed_may_be_empty(tmp_path):
    built = building.make_samples([trace(n, split="held_out") for n in range(3)], building.Recipe())
    building.require(built, ("held_out",))
    with pytest.raises(UsageError, match="the train split would be empty"):
        building.require(built, ("train", "held_out"))
