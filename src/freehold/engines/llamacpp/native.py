"""llama.cpp built for this CPU, in freehold's own folder, and whether it is worth using.

::

    <home>/engines/llamacpp/<version>/
      source/          llama.cpp as the package carries it
      build/           what the compiler made; kept, so that an interrupted build goes on
      llama-server     the program
      llama-quantize   writes weights in another quantization (freehold fit --make)
      native.json      what it was built from, and for which CPU

The prebuilt library uses AVX2 at most. A CPU with AVX-512, VNNI or AMX multiplies quantized weights several
times as fast with code made for it; on one without them building changes nothing, and freehold says so.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.engines.weights.pypi import find_pip, run_job
from freehold.engines.weights.store import sha256_of, storage_errors
from freehold.errors import EngineError, HashMismatchError, StorageError
from freehold.progress import Progress
from freehold.types.record import Record
from freehold.visible import GIB, mib

log = logging.getLogger(__name__)

# Source and date: the package's source archive, fetched and hashed 2026-11-25.
PACKAGE = "llama-cpp-python"
VERSION = "0.3.36"
SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
HELPFUL = ("avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "sve", "i8mm")
BUILD_BYTES = GIB
PROGRAMS = ("llama-server", "llama-quantize")


class NativeBuild(Record, frozen=True, kw_only=True):
    """A finished build, which serves instead of the library from then on."""

    version: str
    binary: str
    sha256: str
    cpu: str
    flags: tuple[str, ...]
    compiler: str
    quantize: str | None = None


class BuildBenefit(NamedTuple):
    """Whether building can help this CPU, and why."""

    helps: bool
    reason: str


def folder(home: Path) -> Path:
    """Where this version is built."""
    return home / "engines" / "llamacpp" / VERSION


def read(home: Path) -> NativeBuild | None:
    """The finished build, when its program is there and was made for this CPU."""
    try:
        found = msgspec.json.decode((folder(home) / "native.json").read_bytes(), type=NativeBuild)
    except (OSError, msgspec.DecodeError):
        return None
    return found if Path(found.binary).is_file() and found.cpu == cpu_name() else None


def binary(home: Path) -> Path | None:
    """The program to run instead of the library: built here, for this CPU."""
    found = read(home)
    return None if found is None else Path(found.binary)


def quantize(home: Path) -> Path | None:
    """The program that writes weights in another quantization; None without a build."""
    found = read(home)
    program = Path(found.quantize) if found is not None and found.quantize is not None else None
    return program if program is not None and program.is_file() else None


def record(home: Path, native: NativeBuild) -> None:
    """Write ``native.json``."""
    target = folder(home) / "native.json"
    with storage_errors(target):
        files.write_json(target, native)


def cpu_name() -> str:
    """The CPU's name, by which a build is known to fit it."""
    return (_cpuinfo("model name") or platform.processor() or platform.machine()).strip()


def cpu_flags() -> tuple[str, ...]:
    """The instructions of `HELPFUL` this CPU has."""
    have = set((_cpuinfo("flags") or _cpuinfo("Features") or "").split())
    return tuple(flag for flag in HELPFUL if flag in have)


def can_help() -> BuildBenefit:
    """Whether a build for this CPU can be faster than the prebuilt library."""
    flags = cpu_flags()
    if _has_cuda():
        return BuildBenefit(True, "a GPU and its CUDA compiler are here, the prebuilt library is for CPUs")
    if flags:
        return BuildBenefit(True, f"this CPU has {', '.join(flags)}, which the prebuilt library does not use")
    return BuildBenefit(False, "this CPU has nothing beyond AVX2, which the prebuilt library uses already")


def _has_cuda() -> bool:
    """A compiler alone is not a GPU, and kernels for a GPU that is missing take an hour to compile."""
    return shutil.which("nvcc") is not None and Path("/dev/nvidia0").exists()


def _cpuinfo(key: str) -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    found = re.search(rf"^{key}\s*:\s*(.*)$", text, re.MULTILINE)
    return found.group(1) if found else None


def build(home: Path, progress: Progress, *, jobs: int | None = None) -> NativeBuild:
    """Fetch, configure, compile; goes on where an earlier run stopped.

    Raises `EngineError` (a tool is missing, the fetch failed, the compiler refused),
    `HashMismatchError` and `StorageError`.
    """
    tools = _tools()
    place = folder(home)
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free
    if not (place / "build").exists() and free < BUILD_BYTES:
        raise StorageError(
            f"building llama.cpp takes 1 GiB in {place}, the disk has {mib(free)} left",
            hint="free some space, or set FREEHOLD_HOME to another disk",
        )
    log.info("building llama.cpp %s in %s", VERSION, place)
    source = _source(place, progress)
    _configure(source, place / "build", tools, progress)
    _compile(place / "build", progress, jobs or os.cpu_count() or 1)
    for program in PROGRAMS:
        with storage_errors(place / program):
            shutil.copy2(place / "build" / "bin" / program, place / program)
    server = place / "llama-server"
    native = NativeBuild(
        version=VERSION,
        binary=str(server),
        quantize=str(place / "llama-quantize"),
        sha256=sha256_of(server),
        cpu=cpu_name(),
        flags=cpu_flags(),
        compiler=_first_line([tools.compiler, "--version"]),
    )
    record(home, native)
    log.info("built %s", server)
    return native


class _Tools(NamedTuple):
    cmake: str
    compiler: str
    ninja: str | None


def _tools() -> _Tools:
    cmake = shutil.which("cmake")
    compiler = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
    ninja = shutil.which("ninja")
    if cmake is None:
        raise EngineError(
            "building llama.cpp needs cmake, which is not on the path", hint="pip install cmake ninja"
        )
    if compiler is None:
        raise EngineError(
            "building llama.cpp needs a C++ compiler, and none is on the path",
            hint="install one (Debian: apt-get install g++, macOS: xcode-select --install)",
        )
    if ninja is None and shutil.which("make") is None:
        raise EngineError("building llama.cpp needs ninja or make", hint="pip install ninja")
    return _Tools(cmake, compiler, ninja)


def _source(place: Path, progress: Progress) -> Path:
    """llama.cpp's source, out of the package's source archive."""
    source = place / "source"
    if (source / ".complete").exists():
        return source
    archive = place / f"{PACKAGE.replace('-', '_')}-{VERSION}.tar.gz"
    if not archive.exists():
        progress.step("fetch llama.cpp's source", note=f"{PACKAGE} {VERSION}, 73 MiB")
        _download(place)
    actual = sha256_of(archive)
    if actual != SHA256:
        archive.unlink()
        raise HashMismatchError(
            archive.name, expected=SHA256, actual=actual, hint="nothing was kept; try again"
        )
    progress.step("unpack llama.cpp's source")
    prefix = f"{archive.name.removesuffix('.tar.gz')}/vendor/llama.cpp/"
    with storage_errors(source):
        shutil.rmtree(source, ignore_errors=True)
        with tarfile.open(archive) as tar:
            wanted = [member for member in tar.getmembers() if member.name.startswith(prefix)]
            for member in wanted:
                member.name = member.name.removeprefix(prefix)
            tar.extractall(source, wanted, filter="data")
        (source / ".complete").touch()
        archive.unlink()
    return source


def _download(place: Path) -> None:
    pip = find_pip()
    command = [
        *pip.command, "download", "--quiet", "--no-deps", "--no-binary", ":all:", "--no-input",
        "--disable-pip-version-check", "--dest", str(place), f"{PACKAGE}=={VERSION}",
    ]  # fmt: skip
    done = subprocess.run(command, env={**os.environ, **pip.environment}, capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise EngineError(
            f"llama.cpp's source could not be fetched: {said[-1] if said else 'pip said nothing'}",
            hint="check the network or pip's configuration (pip config list)",
        )


def _configure(source: Path, build: Path, tools: _Tools, progress: Progress) -> None:
    progress.step("configure llama.cpp", note=", ".join(cpu_flags()) or "generic")
    switches = {
        "CMAKE_BUILD_TYPE": "Release",
        "BUILD_SHARED_LIBS": "OFF",
        "GGML_NATIVE": "ON",
        "GGML_CUDA": "ON" if _has_cuda() else "OFF",
        "LLAMA_OPENSSL": "OFF",
        "LLAMA_BUILD_TESTS": "OFF",
        "LLAMA_BUILD_EXAMPLES": "OFF",
        "LLAMA_BUILD_APP": "OFF",
        "LLAMA_BUILD_UI": "OFF",
        "LLAMA_USE_PREBUILT_UI": "OFF",
    }
    generator = ["-G", "Ninja"] if tools.ninja else []
    command = [tools.cmake, "-S", str(source), "-B", str(build), *generator]
    command += [f"-D{name}={value}" for name, value in switches.items()]
    _run(command, build.parent / "configure.log")


def _compile(build: Path, progress: Progress, jobs: int) -> None:
    progress.step("compile llama.cpp", note="about seven minutes on two cores")

    def tell(line: str) -> None:
        found = re.match(r"\[\s*(\d+)/(\d+)\]", line) or re.match(r"\[\s*(\d+)(%)\]", line)
        if found:
            total = 100.0 if found.group(2) == "%" else float(found.group(2))
            progress.update(float(found.group(1)), total, unit="files" if total != 100.0 else "%")

    command = ["cmake", "--build", str(build), "--target", *PROGRAMS, "--parallel", str(jobs)]
    _run(command, build.parent / "build.log", tell)


def _run(command: list[str], log: Path, tell: Callable[[str], None] = lambda line: None) -> None:
    """Run a tool with its output in `log`. Raises `EngineError` with the last error."""
    code, said = run_job(command, log=log, tell=tell)
    if code != 0:
        why = next((line for line in reversed(said) if "error" in line.lower()), f"exit code {code}")
        raise EngineError(f"building llama.cpp failed: {why[:300]}", hint=f"its log: {log}")


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).splitlines()[0] if (done.stdout or done.stderr) else command[0]
