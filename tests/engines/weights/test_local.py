"""Files, folders and Ollama's store, read in place; what is refused and why."""

import hashlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from freehold.cli.main import cli
from freehold.engines.weights import store
from freehold.errors import InputError, UsageError, WeightsError
from freehold.types.progress import Silent
from freehold.workflows.weights.pull import ensure_weights, list_weights, remove_weights, show_weights


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


@pytest.mark.parametrize("place", ["./nowhere", "/nowhere/at/all", "~/no-such-folder", "../no-such"])
def test_what_can_only_be_a_path_is_no_model(settings, place):
    with pytest.raises(InputError, match="no such file"):
        ensure_weights(place, settings)


def test_no_name_is_no_model(settings):
    with pytest.raises(UsageError, match="no model is named"):
        ensure_weights(" ", settings)


def test_weights_that_ollama_lost_are_said_so(tmp_path, settings, monkeypatch):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
    manifest = tmp_path / "manifests" / "registry" / "library" / "smol" / "latest"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:b1"}
    manifest.write_text(json.dumps({"layers": [layer]}))
    with pytest.raises(WeightsError, match="lost the weights of smol"):
        ensure_weights("ollama:smol", settings)


def test_removing_tells_what_became_of_the_files(tmp_path, settings, tiny_gguf, monkeypatch):
    monkeypatch.setenv("FREEHOLD_HOME", str(settings.home))
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_gguf())
    ensure_weights(str(path), settings)
    said = CliRunner().invoke(cli, ["weights", "rm", str(path)])
    assert said.exit_code == 0 and f"its files stay at {path}" in said.output


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


def test_hashing_a_large_file_shows_how_far_it_is(tmp_path, settings, tiny_gguf, monkeypatch):
    monkeypatch.setattr(store, "ALWAYS_HASH_BYTES", 100)
    told = []

    class Told(Silent):
        def step(self, name, *, note=""):
            told.append(name)

        def update(self, done, total, *, unit="", note=""):
            told.append((done, total))

    path = tmp_path / "large.gguf"
    path.write_bytes(tiny_gguf())
    size = path.stat().st_size
    ensure_weights(str(path), settings, progress=Told())
    assert told == ["hash large.gguf", (size, size)]


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
