"""Checks of this machine: its memory and disk, Python, the engines that are here."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from freehold import __version__
from freehold.bounded.sandbox import SandboxState, sandbox_state
from freehold.catalog import freshness
from freehold.engines.llamacpp import native
from freehold.engines.vllm import environment as vllm
from freehold.errors import FreeholdError
from freehold.hardware.probes import probe_machine
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.machine import Machine
from freehold.types.record import Record
from freehold.visible import gib
from freehold.workflows.doctor.site import Site

LEAST_MEMORY = 1 << 30
LEAST_DISK, LITTLE_DISK = 512 << 20, 5 << 30
"""A store that cannot grow loses traces; the weights of a small model and a dataset need a few GiB."""

PYTHON_ENDS = {(3, 11): date(2027, 10, 31), (3, 12): date(2028, 10, 31), (3, 13): date(2029, 10, 31)}
"""Last security fixes (devguide.python.org/versions, read 2026-11-24)."""


class MachineFacts(Record, frozen=True, kw_only=True):
    """The machine, and whether an NVIDIA driver is loaded."""

    machine: Machine
    nvidia_driver: bool


def look_at_machine(_: Site) -> MachineFacts:
    return MachineFacts(
        machine=probe_machine(None), nvidia_driver=Path("/proc/driver/nvidia/version").exists()
    )


def judge_machine(facts: MachineFacts) -> Iterator[Finding]:
    """Memory, and a GPU that is there and not seen."""
    here = facts.machine
    cards = ", ".join(f"{one.name} ({gib(one.memory_bytes)}, {one.how})" for one in here.accelerators)
    cores = "1 core" if here.cores == 1 else f"{here.cores} cores"
    known = {name: f" ({how})" for name, how in here.how.items()}
    line = (
        f"{here.cpu} with {', '.join(here.isa) or 'instruction sets not known'}; {cores}{known.get('cores', '')}, "
        f"{gib(here.memory_bytes)} memory{known.get('memory', '')}, {gib(here.available_memory_bytes)} available"
        f"{known.get('available memory', '')}, {cards or 'no GPU'}"
    )
    if here.available_memory_bytes < min(LEAST_MEMORY, here.memory_bytes // 10):
        yield fail("machine", line, "free some memory, or serve a smaller model: freehold fit MODEL")
    elif here.available_memory_bytes < LEAST_MEMORY:
        yield warn("machine", line, "free some memory, or serve a smaller model: freehold fit MODEL")
    else:
        yield ok("machine", line)
    if facts.nvidia_driver and not here.accelerators:
        yield warn(
            "machine", "an NVIDIA driver is loaded and no card is seen", "pip install 'freehold[nvidia]'"
        )


class DiskFacts(Record, frozen=True, kw_only=True):
    """Free and all bytes of the file systems that are written to."""

    free: dict[str, tuple[int, int]]


def look_at_disk(site: Site) -> DiskFacts:
    places = {"the project's state": site.state, "weights": site.settings.home}
    return DiskFacts(free={name: _free(place.absolute()) for name, place in places.items()})


def _free(place: Path) -> tuple[int, int]:
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = shutil.disk_usage(place)
    return usage.free, usage.total


def judge_disk(facts: DiskFacts) -> Iterator[Finding]:
    """Room for traces and weights; one line where both lie on one file system."""
    lines = list(facts.free.items())
    if len({numbers for _, numbers in lines}) == 1:
        lines = [(" and ".join(facts.free), lines[0][1])]
    for name, (free, total) in lines:
        text = f"{gib(free)} of {gib(total)} free for {name}"
        if free < LEAST_DISK:
            yield fail("disk", text, "free some space: freehold weights list; freehold adapters list")
        elif free < LITTLE_DISK:
            yield warn("disk", text, "free some space: freehold weights list; freehold adapters list")
        else:
            yield ok("disk", text)


class PythonFacts(Record, frozen=True, kw_only=True):
    """Versions that run this."""

    freehold: str
    python: tuple[int, int, int]
    today: date


def look_at_python(site: Site) -> PythonFacts:
    version = (sys.version_info.major, sys.version_info.minor, sys.version_info.micro)
    return PythonFacts(freehold=__version__, python=version, today=site.now.date())


def judge_python(facts: PythonFacts) -> Iterator[Finding]:
    """A Python that still gets security fixes."""
    text = f"freehold {facts.freehold}, Python {'.'.join(map(str, facts.python))}"
    ends = PYTHON_ENDS.get(facts.python[:2])
    if ends is not None and facts.today > ends:
        yield warn("versions", f"{text}, without security fixes since {ends}", "install a newer Python")
    else:
        yield ok("versions", text)


class EngineVersion(Record, frozen=True, kw_only=True):
    """An engine that is here. `version` is None where it does not say."""

    name: str
    version: str | None
    where: str = ""


class EngineFacts(Record, frozen=True, kw_only=True):
    """The engines that are here."""

    engines: tuple[EngineVersion, ...]


def look_at_engines(site: Site) -> EngineFacts:
    return EngineFacts(engines=tuple(_engines(site)))


def _engines(site: Site) -> Iterator[EngineVersion]:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield EngineVersion(name="llamacpp", version=importlib.metadata.version("xllamacpp"))
    if (build := native.read(site.settings.home)) is not None:
        yield EngineVersion(name="llamacpp", version=build.version, where="built here")
    if (found := vllm.find(site.settings.home)) is not None:
        yield EngineVersion(name="vllm", version=found.version, where=found.flavour)
    if (version := _ollama()) is not None:
        yield EngineVersion(name="ollama", version=version or None)


def _ollama() -> str | None:
    """The version of an Ollama that answers; empty where it does not say, None where none answers."""
    from freehold.engines.ollama import OllamaOptions

    try:
        url = f"{OllamaOptions().url}/api/version"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=1.0) as answer:
            return str(json.loads(answer.read(4096)).get("version", ""))
    except (OSError, ValueError, AttributeError, FreeholdError):
        return None


UPGRADES = {
    "llamacpp": "pip install --upgrade xllamacpp",
    "vllm": "pip install --upgrade freehold; freehold engines install vllm",
    "ollama": "install a newer Ollama",
}


def judge_engines(facts: EngineFacts) -> Iterator[Finding]:
    """An engine at all, and none with a fault that was published."""
    if not facts.engines:
        yield warn(
            "engines",
            "no engine is here: models can be routed to, not served",
            "pip install 'freehold[local]'",
        )
    for engine in facts.engines:
        name = f"{engine.name} {engine.version or 'of unknown version'}"
        name += f" ({engine.where})" if engine.where else ""
        known = freshness.last_advisory(engine.name)
        if known is None or engine.version is None:
            yield ok("engines", name)
        elif freshness.is_older(engine.version, known.fixed):
            fix = UPGRADES[engine.name]
            if engine.where == "built here":
                fix = "pip install --upgrade xllamacpp; freehold engines install llamacpp"
            yield fail(
                "engines", f"{name} is older than {known.fixed}, which mends {known.id}: {known.what}", fix
            )
        else:
            yield ok("engines", f"{name}, newer than its last advisory known here ({known.id})")


class SandboxFacts(Record, frozen=True, kw_only=True):
    """What this machine permits, and whether `[task]` names a function of the user's own."""

    state: SandboxState
    runs_own_code: bool


def look_at_sandbox(site: Site) -> SandboxFacts:
    task = site.config.task if site.config is not None else None
    return SandboxFacts(state=sandbox_state(), runs_own_code=task is not None and task.scorer == "code")


def judge_sandbox(facts: SandboxFacts) -> Iterator[Finding]:
    """Told where it matters: a project without such a scorer needs no sandbox."""
    state = facts.state
    if state.kind == "bubblewrap":
        yield ok(
            "sandbox", f"bubblewrap {state.version or ''} runs, for scorers of your own".replace("  ", " ")
        )
    elif facts.runs_own_code:
        yield warn("sandbox", f"your scorer runs with {state.name}: {state.why}", state.fix or "")
    else:
        yield ok("sandbox", f"a scorer of your own would run with {state.name}: {state.why}; {state.fix}")
