import errno
import os

import pytest
import torch

from freehold.errors import StorageError, TrainingError
from freehold.training import artefacts

POSITION = artefacts.Position(job="j", step=3, steps=9, tokens=10, seconds=1.5, curve=((1, 0.5),))


def test_what_is_saved_is_what_is_loaded(tmp_path):
    tensors = {"adapter": torch.arange(5.0), "random": torch.get_rng_state()}
    artefacts.save(tmp_path, POSITION, tensors)
    state = artefacts.load(tmp_path, "j")
    assert state.position == POSITION
    assert all(torch.equal(state.tensors[name], tensors[name]) for name in tensors)
    assert [path.name for path in tmp_path.iterdir()] == [artefacts.FILE]


def test_no_checkpoint_is_none(tmp_path):
    assert artefacts.load(tmp_path, "j") is None


def test_a_full_disk_leaves_the_previous_one_intact(tmp_path, monkeypatch):
    artefacts.save(tmp_path, POSITION, {"adapter": torch.ones(3)})
    before = (tmp_path / artefacts.FILE).read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        artefacts.save(tmp_path, POSITION, {"adapter": torch.zeros(3)})
    assert "last checkpoint" in caught.value.hint
    assert (tmp_path / artefacts.FILE).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [artefacts.FILE]


@pytest.mark.parametrize("damage", [lambda data: data[:20], lambda data: b"", lambda data: b"{" * 100])
def test_a_damaged_file_is_named(tmp_path, damage):
    artefacts.save(tmp_path, POSITION, {"adapter": torch.ones(3)})
    path = tmp_path / artefacts.FILE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainingError, match="cannot be read") as caught:
        artefacts.load(tmp_path, "j")
    assert str(path) in caught.value.hint


def test_another_jobs_checkpoint_is_refused(tmp_path):
    artefacts.save(tmp_path, POSITION, {"adapter": torch.ones(3)})
    with pytest.raises(TrainingError, match="another job"):
        artefacts.load(tmp_path, "other")
