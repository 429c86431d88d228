"""What a file of weights is, and which processes use it."""

import json
import mmap
import struct

import pytest

from freehold.engines.weights.store import users
from freehold.errors import InputError, WeightsError
from freehold.workflows.weights.pull import ensure_weights


def test_safetensors_that_are_cut_off_or_incomplete_are_refused(tmp_path, settings, tiny_safetensors):
    folder = tmp_path / "model"
    folder.mkdir()
    whole = tiny_safetensors()
    (folder / "model-1.safetensors").write_bytes(whole)
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match=r"lacks 1 of 2 files of weights: model-2\.safetensors"):
        ensure_weights(f"file:{folder}", settings)
    (folder / "model-2.safetensors").write_bytes(whole[:-1])
    with pytest.raises(WeightsError, match="is cut off: its tensors need"):
        ensure_weights(f"file:{folder}", settings)
    (folder / "model-2.safetensors").write_bytes(struct.pack("<Q", 4) + b"{...")
    with pytest.raises(WeightsError, match="no header of safetensors"):
        ensure_weights(f"file:{folder}", settings)
    (folder / "model-2.safetensors").write_bytes(whole)
    assert ensure_weights(f"file:{folder}", settings).bytes == 2 * len(whole)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.ckpt", "model.pkl"])
def test_pickles_are_refused_by_name(tmp_path, settings, name):
    (tmp_path / name).write_bytes(b"whatever")
    with pytest.raises(WeightsError, match="pickle") as caught:
        ensure_weights(f"file:{tmp_path / name}", settings)
    assert "safetensors" in caught.value.hint
    with pytest.raises(WeightsError, match="pickle"):
        ensure_weights(f"file:{tmp_path}", settings)


@pytest.mark.parametrize("head", [b"\x80\x02pickled", b"PK\x03\x04zipped pickle"])
def test_pickles_are_refused_by_content(tmp_path, settings, head):
    path = tmp_path / "model.safetensors"
    path.write_bytes(head)
    with pytest.raises(WeightsError, match="pickle"):
        ensure_weights(str(path), settings)


def test_truncated_files_are_refused(tmp_path, settings, tiny_gguf, tiny_safetensors):
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf()[:30])
    with pytest.raises(InputError):
        ensure_weights(str(path), settings)
    path = tmp_path / "cut.safetensors"
    path.write_bytes(tiny_safetensors()[:20])
    with pytest.raises(WeightsError, match="neither"):
        ensure_weights(str(path), settings)
    with pytest.raises(InputError, match="no such file"):
        ensure_weights(f"file:{tmp_path / 'nowhere.gguf'}", settings)


def test_nobody_uses_a_file_of_ours_but_ourselves(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(bytes(100))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        assert users(path) == ()
