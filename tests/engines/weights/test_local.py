"""Files, folders and Ollama's store, read in place; what is refused and why."""

import hashlib
import json
import mmap
import struct
from pathlib import Path

import pytest

from freehold.engines.weights.check import users
from freehold.errors import InputError, WeightsError
from freehold.workflows.weights.pull import ensure_weights, remove_weights, show_weights


def test_a_file_is_read_in_place_and_never_deleted(tmp_path, settings, tiny_gguf):
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf(file_type=8))
    found = ensure_weights(str(path), settings)
    assert (found.path, found.quantization) == (str(path), "Q5_0")
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not show_weights(str(path), settings).owned
    assert not remove_weights(str(path), settings).owned
    assert path.exists()


def test_a_changed_file_is_described_anew(tmp_path, settings, tiny_gguf):
    path = tmp_path / "mine.gguf"
    path.write_bytes(tiny_gguf("one"))
    first = ensure_weights(f"file:{path}", settings)
    path.write_bytes(tiny_gguf("two"))
    assert ensure_weights(f"file:{path}", settings).sha256 != first.sha256


def test_a_folder_of_safetensors(tmp_path, settings, tiny_safetensors):
    (tmp_path / "model.safetensors").write_bytes(tiny_safetensors())
    found = ensure_weights(f"file:{tmp_path}", settings)
    assert (found.format, found.quantization) == ("safetensors", "BF16")


def test_an_ollama_store_is_read_in_place(tmp_path, settings, monkeypatch, tiny_gguf):
    store = tmp_path / "ollama"
    data = tiny_gguf()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (store / "blobs").mkdir(parents=True)
    (store / "blobs" / digest.replace(":", "-")).write_bytes(data)
    manifest = store / "manifests" / "a.registry" / "library" / "smollm2" / "135m"
    manifest.parent.mkdir(parents=True)
    layers = [
        {"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:00"},
        {"mediaType": "application/vnd.ollama.image.model", "digest": digest},
    ]
    manifest.write_text(json.dumps({"layers": layers}))
    monkeypatch.setenv("OLLAMA_MODELS", str(store))
    found = ensure_weights("ollama:smollm2:135m", settings)
    assert f"sha256:{found.sha256}" == digest
    assert Path(found.path).parent == store / "blobs"
    with pytest.raises(WeightsError, match="has no model other") as caught:
        ensure_weights("ollama:other", settings)
    assert "ollama pull other" in caught.value.hint


def test_weights_that_ollama_lost_are_said_so(tmp_path, settings, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    manifest = tmp_path / "manifests" / "registry" / "library" / "smol" / "latest"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:b1"}
    manifest.write_text(json.dumps({"layers": [layer]}))
    with pytest.raises(WeightsError, match="lost the weights of smol"):
        ensure_weights("ollama:smol", settings)


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
