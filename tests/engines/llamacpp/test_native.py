"""Building llama.cpp for this CPU: the steps, with a compiler that only pretends."""

import io
import os
import stat
import tarfile
from pathlib import Path

import msgspec
import pytest
from tests.engines.conftest import Told

from freehold.engines.llamacpp import native
from freehold.errors import EngineError, HashMismatchError

pytestmark = pytest.mark.process

CMAKE = """#!/bin/sh
# Pretends to be cmake: "-S … -B build" configures, "--build build" compiles.
case "$1" in
  -S) mkdir -p "$4"; echo configured; [ -z "$FAIL_CONFIGURE" ] || { echo "CMake Error: no luck"; exit 1; } ;;
  --build)
    echo "[1/2] Building"
    [ -z "$FAIL_BUILD" ] || { echo "server.cpp:1: error: no luck either"; exit 2; }
    mkdir -p "$2/bin"
    for program in llama-server llama-quantize; do
      printf '#!/bin/sh\\n' > "$2/bin/$program"; chmod +x "$2/bin/$program"
    done
    echo "[2/2] Linking" ;;
esac
"""


def executable(path, text):
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A path with a pretended cmake, compiler and ninja, and a source archive in place."""
    folder = tmp_path / "bin"
    folder.mkdir()
    executable(folder / "cmake", CMAKE)
    executable(folder / "c++", "#!/bin/sh\necho pretended compiler 1.0\n")
    executable(folder / "ninja", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    place = native.folder(tmp_path)
    place.mkdir(parents=True)
    archive = place / f"llama_cpp_python-{native.VERSION}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        prefix = archive.name.removesuffix(".tar.gz")
        for name in ("vendor/llama.cpp/CMakeLists.txt", "pyproject.toml"):
            data = b"text"
            info = tarfile.TarInfo(f"{prefix}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    monkeypatch.setattr(native, "SHA256", native.sha256_of(archive))
    return folder


def test_a_build_leaves_a_program_and_its_record(tools, tmp_path):
    told = Told()
    built = native.build(tmp_path, told)
    assert Path(built.binary).is_file() and os.access(built.binary, os.X_OK)
    assert built.compiler == "pretended compiler 1.0"
    assert native.read(tmp_path) == built
    assert native.binary(tmp_path) == Path(built.binary)
    assert native.quantize(tmp_path) == native.folder(tmp_path) / "llama-quantize"
    assert told.updates == [(1, 2), (2, 2)]
    place = native.folder(tmp_path)
    assert (place / "source" / "CMakeLists.txt").exists()
    assert not (place / "source" / "pyproject.toml").exists(), "only llama.cpp is unpacked"
    assert not list(place.glob("*.tar.gz"))


def test_a_second_run_does_not_unpack_again(tools, tmp_path, monkeypatch):
    monkeypatch.setenv("FAIL_BUILD", "1")
    with pytest.raises(EngineError, match="no luck either") as caught:
        native.build(tmp_path, Told())
    assert "build.log" in caught.value.hint
    assert native.read(tmp_path) is None
    monkeypatch.delenv("FAIL_BUILD")
    told = Told()
    native.build(tmp_path, told)
    assert told.steps == ["configure llama.cpp", "compile llama.cpp"]


def test_an_altered_source_is_not_built(tools, tmp_path, monkeypatch):
    monkeypatch.setattr(native, "SHA256", "0" * 64)
    with pytest.raises(HashMismatchError):
        native.build(tmp_path, Told())
    assert not list(native.folder(tmp_path).glob("*.tar.gz"))


@pytest.mark.parametrize("tool", ["cmake", "c++"])
def test_a_missing_tool_is_named_with_the_way_out(tools, tmp_path, monkeypatch, tool):
    (tools / tool).unlink()
    monkeypatch.setenv("PATH", str(tools))
    with pytest.raises(EngineError, match=r"which is not on the path|none is on the path") as caught:
        native.build(tmp_path, Told())
    assert "install" in caught.value.hint


def test_a_build_for_another_cpu_is_not_used(tools, tmp_path):
    built = native.build(tmp_path, Told())
    native.record(tmp_path, msgspec.structs.replace(built, cpu="another"))
    assert native.binary(tmp_path) is None


def test_building_is_only_advised_where_it_helps(monkeypatch):
    monkeypatch.setattr(native, "_has_cuda", lambda: False)
    monkeypatch.setattr(native, "cpu_flags", lambda: ())
    assert not native.can_help().helps
    monkeypatch.setattr(native, "cpu_flags", lambda: ("avx512f",))
    assert native.can_help().helps and "avx512f" in native.can_help().reason
