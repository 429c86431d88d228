"""Reading the traffic and building the dataset, alone: what a journey and everything beside it begin with."""

from pathlib import Path

import msgspec
import pytest
from tests.workflows.journey.rehearsal import project

from freehold.datasets.building import samples
from freehold.errors import UsageError
from freehold.store import open_store
from freehold.types.progress import Silent
from freehold.workflows.journey.beginning import prepare
from freehold.workflows.project import open_project


def test_without_traffic_there_is_nothing_to_begin_with(tmp_path):
    (tmp_path / "freehold.toml").write_text('[app]\nname = "x"\n')
    with pytest.raises(UsageError, match="no traffic to learn from"):
        prepare(open_project(tmp_path / "freehold.toml"), progress=Silent())


def test_a_right_answer_given_later_builds_the_dataset_again(tmp_path):
    """The number of traces stays what it was, and so did the dataset."""
    opened = project(tmp_path)
    before = prepare(opened, progress=Silent())
    assert prepare(opened, progress=Silent()).id == before.id
    with open_store(opened.store_url) as store:
        trace = next(iter(store.traces()))
        told = {"feedback": {"at": "2026-11-27T00:00:00+00:00"}}
        store.replace_trace(msgspec.structs.replace(trace, gold="both", metadata=trace.metadata | told))
    after = prepare(opened, progress=Silent())
    assert after.id != before.id and Path(before.path).is_dir()
    golds = [one.gold for name in ("train", "validation", "held_out") for one in samples(after, name)]
    assert golds.count("both") == 1
