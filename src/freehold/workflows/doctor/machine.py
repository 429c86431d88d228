"""Checks of this machine: its memory and disk, Python, the engines that are here."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import shutil
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from freehold import __version__
from freehold.bounded.sandbox import sandbox_state
from freehold.catalog import freshness
from freehold.engines.llamacpp import native
from freehold.engines.vllm import environment as vllm
from freehold.errors import FreeholdError
from freehold.hardware.probes import probe_machine
from freehold.types.finding import Finding, fail, ok, warn
from freehold.types.machine import Machine
from freehold.visible import gib
from freehold.workflows.doctor.site import Site

LEAST_MEMORY = 1 << 30
LEAST_DISK, LITTLE_DISK = 512 << 20, 5 << 30
"""A store that cannot grow loses traces; the weights of a small model and a dataset need a few GiB."""


def check_machine(_: Site) -> Iterator[Finding]:
    return judge_machine(probe_machine(None), nvidia_driver=Path("/proc/driver/nvidia/version").exists())


def judge_machine(here: Machine, *, nvidia_driver: bool) -> Iterator[Finding]:
    """Memory, and a GPU that is there and not seen."""
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
    if nvidia_driver and not here.accelerators:
        yield warn(
            "machine", "an NVIDIA driver is loaded and no card is seen", "pip install 'freehold[nvidia]'"
        )


def check_disk(site: Site) -> Iterator[Finding]:
    places = {"the project's state": site.state, "weights": site.settings.home}
    return judge_disk({name: _free(place.absolute()) for name, place in places.items()})


def _free(place: Path) -> tuple[int, int]:
    while not place.exists() and place != place.parent:
        place = place.parent
    usage = shutil.disk_usage(place)
    return usage.free, usage.total


def judge_disk(bytes_of: dict[str, tuple[int, int]]) -> Iterator[Finding]:
    """Room for traces and weights, by the free and all bytes of their file systems; one line where both lie on one."""
    lines = list(bytes_of.items())
    if len({numbers for _, numbers in lines}) == 1:
        lines = [(" and ".join(bytes_of), lines[0][1])]
    for name, (free, total) in lines:
        text = f"{gib(free)} of {gib(total)} free for {name}"
        if free < LEAST_DISK:
            yield fail("disk", text, "free some space: freehold models list")
        elif free < LITTLE_DISK:
            yield warn("disk", text, "free some space: freehold models list")
        else:
            yield ok("disk", text)


def check_python(_: Site) -> Iterator[Finding]:
    yield ok("versions", f"freehold {__version__}, Python {'.'.join(map(str, sys.version_info[:3]))}")


class EngineVersion(NamedTuple):
    """An engine that is here. `version` is None where it does not say."""

    name: str
    version: str | None
    where: str = ""


def check_engines(site: Site) -> Iterator[Finding]:
    return judge_engines(list(engines_here(site)))


def engines_here(site: Site) -> Iterator[EngineVersion]:
    """The engines that are installed, built or answer."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield EngineVersion("llamacpp", importlib.metadata.version("xllamacpp"))
    if (build := native.read(site.settings.home)) is not None:
        yield EngineVersion("llamacpp", build.version, "built here")
    if (found := vllm.find(site.settings.home)) is not None:
        yield EngineVersion("vllm", found.version, found.flavour)
    if (version := _ollama()) is not None:
        yield EngineVersion("ollama", version or None)


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


def judge_engines(engines: Sequence[EngineVersion]) -> Iterator[Finding]:
    """An engine at all, and none with a fault that was published."""
    if not engines:
        yield warn(
            "engines",
            "no engine is here: models can be routed to, not served",
            "pip install 'freehold[local]'",
        )
    for engine in engines:
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


def check_sandbox(site: Site) -> Iterator[Finding]:
    """Told where it matters: a project whose `[task]` names no function of the user's own needs no sandbox."""
    state = sandbox_state()
    if state.kind == "bubblewrap":
        yield ok(
            "sandbox", f"bubblewrap {state.version or ''} runs, for scorers of your own".replace("  ", " ")
        )
    elif site.config is not None and site.config.task.scorer == "code":
        yield warn("sandbox", f"your scorer runs with {state.name}: {state.why}", state.fix or "")
    else:
        yield ok("sandbox", f"a scorer of your own would run with {state.name}: {state.why}; {state.fix}")
