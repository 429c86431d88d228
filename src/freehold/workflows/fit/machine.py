"""The machine meant by a command: this one, one from a file, or one in words like ``2x L4``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from freehold.catalog import accelerators as catalog
from freehold.engines.llamacpp import native
from freehold.errors import InputError, UsageError
from freehold.hardware.probes import probe_machine
from freehold.hardware.speed import Build
from freehold.settings import Settings
from freehold.types.machine import Accelerator, Machine
from freehold.types.units import GIB

MOST_UNIFIED_GIB = 1024
"""No machine with unified memory is sold with half of it (2026-11)."""


class AcceleratorFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[accelerators]]` table of a machine file. What the catalog knows by `name` may be left out."""

    name: str
    count: int = 1
    kind: str = "nvidia"
    memory_gib: float | None = None
    bandwidth_gb_per_second: float | None = None
    bf16_tflops: float | None = None
    watts: int | None = None


class MachineFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A machine file (TOML)."""

    name: str
    cores: int
    memory_gib: float
    cpu: str = "unknown"
    isa: tuple[str, ...] = ()
    memory_bandwidth_gb_per_second: float | None = None
    disk_free_gib: float | None = None
    accelerators: tuple[AcceleratorFile, ...] = ()


def find_machine(spec: str | None, settings: Settings, *, measure: bool = False) -> Machine:
    """The machine meant by `spec`: None is this one, a path is a machine file, else accelerators by name.

    Words are ``[COUNTx] NAME [SIZEgb]``, several joined with ``+``: ``2x L4``, ``Apple M3 Max 64GB``,
    ``H100 SXM + 2x L40S``; ``64GB`` alone is a machine without accelerators. Raises `UsageError` or
    `InputError` for what is not understood or impossible.
    """
    if spec is None:
        return with_rates(probe_machine(settings.home, measure=measure))
    if spec.endswith(".toml") or Path(spec).is_file():
        return read_machine(Path(spec))
    if not spec.strip():
        raise UsageError(
            "no machine is named", hint='write it like "2x L4", or leave --machine out for this one'
        )
    devices: list[Accelerator] = []
    host: float | None = None
    for part in spec.split("+"):
        match = re.fullmatch(r"\s*(?:(\d+)\s*[x×]\s*)?(.+?)\s*", part, re.IGNORECASE)
        if match is None:
            raise UsageError(f"machine {spec!r} is not understood", hint='write it like "2x L4"')
        count = int(match.group(1) or 1)
        if not 1 <= count <= 4096:
            raise UsageError(f"machine {spec!r} has {count} accelerators")
        memory = re.fullmatch(r"(\d+(?:\.\d+)?)\s*gi?b(?: ram)?", match.group(2), re.IGNORECASE)
        if memory:
            host = float(memory.group(1)) * count
            _within(f"memory of machine {spec!r} in GiB", host, 0.05, 1 << 20)
            continue
        devices.extend([_by_words(match.group(2))] * count)
    unified = sum(device.memory_bytes for device in devices if device.unified)
    size = round(host * GIB) if host is not None else unified
    return Machine(
        name=spec,
        cores=1,
        memory_bytes=size,
        available_memory_bytes=size,
        cpu="unknown",
        accelerators=tuple(devices),
        how={"all": "assumed from --machine", "available memory": "assumed from --machine"},
    )


_VENDORS = {"nvidia", "geforce", "tesla", "amd", "radeon", "instinct", "graphics"}
_MEMORIES = {"hbm3": "sxm", "hbm3e": "sxm", "sxm2": "sxm", "sxm4": "sxm", "sxm5": "sxm"}


def with_rates(machine: Machine) -> Machine:
    """Bandwidth, arithmetic and watts of probed accelerators, looked up in the catalog by the driver's name.

    A driver reports name and memory only. What is not found stays unknown and `how` says so; a MIG slice has a
    part of its card's rates that is not published, so it stays unknown too.
    """
    found = []
    for device in machine.accelerators:
        row = (
            None
            if device.bandwidth_bytes_per_second is not None or "MIG" in device.how
            else _row_of(device.name)
        )
        if device.bandwidth_bytes_per_second is not None:
            found.append(device)
        elif row is None:
            found.append(msgspec.structs.replace(device, how=f"{device.how}; its rates are not known"))
        else:
            found.append(
                msgspec.structs.replace(
                    device,
                    bandwidth_bytes_per_second=row.bandwidth_gb_per_second * 1e9,
                    bf16_flops=row.bf16_tflops * 1e12 if row.bf16_tflops else None,
                    watts=row.watts,
                    how=f"{device.how}; rates of {row.name} from the catalog, checked {row.checked}",
                )
            )
    return msgspec.structs.replace(machine, accelerators=tuple(found))


def _row_of(name: str) -> catalog.AcceleratorRow | None:
    words = [word for word in re.split(r"[\s-]+", name.lower()) if word not in _VENDORS]
    for tried in (words, [_MEMORIES.get(word, word) for word in words]):
        try:
            return catalog.get(" ".join(tried))
        except UsageError:
            continue
    return None


def _by_words(words: str) -> Accelerator:
    try:
        return catalog.accelerator(catalog.get(words))
    except UsageError:
        sized = re.fullmatch(r"(.+?)\s+(\d+(?:\.\d+)?)\s*gi?b", words, re.IGNORECASE)
        if sized is None:
            raise
        row = catalog.get(sized.group(1))
        if not row.unified:
            raise
        from freehold.hardware.probes.apple import share

        size = float(sized.group(2))
        _within(f"memory of {words} in GiB", size, 1, MOST_UNIFIED_GIB)
        usable = share(round(size * GIB)) if row.kind == "apple" else 1.0
        return catalog.accelerator(row, size * usable)


def read_machine(path: Path) -> Machine:
    """A machine from a file. Raises `InputError` with the place for unknown keys and impossible numbers."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), MachineFile)
    except FileNotFoundError:
        raise InputError("no such machine file", path=str(path)) from None
    except (
        OSError,
        UnicodeDecodeError,
        tomllib.TOMLDecodeError,
        RecursionError,
        msgspec.ValidationError,
    ) as error:
        raise InputError(f"not a machine file: {error}", path=str(path)) from None
    _plausible(path, "cores", found.cores, 1, 1 << 14)
    _plausible(path, "memory_gib", found.memory_gib, 0.05, 1 << 20)
    if found.memory_bandwidth_gb_per_second is not None:
        _plausible(path, "memory_bandwidth_gb_per_second", found.memory_bandwidth_gb_per_second, 0.1, 1e5)
    if found.disk_free_gib is not None:
        _plausible(path, "disk_free_gib", found.disk_free_gib, 0, 1 << 30)
    devices: list[Accelerator] = []
    for entry in found.accelerators:
        _plausible(path, f"{entry.name}: count", entry.count, 1, 4096)
        devices.extend([_device(path, entry)] * entry.count)
    return Machine(
        name=found.name,
        cores=found.cores,
        memory_bytes=round(found.memory_gib * GIB),
        available_memory_bytes=round(found.memory_gib * GIB),
        cpu=found.cpu,
        isa=found.isa,
        accelerators=tuple(devices),
        disk_free_bytes=None if found.disk_free_gib is None else round(found.disk_free_gib * GIB),
        memory_bandwidth_bytes_per_second=None
        if found.memory_bandwidth_gb_per_second is None
        else found.memory_bandwidth_gb_per_second * 1e9,
        how={"all": f"stated in {path}", "available memory": f"stated in {path}"},
    )


def _device(path: Path, entry: AcceleratorFile) -> Accelerator:
    try:
        base = catalog.accelerator(catalog.get(entry.name), entry.memory_gib)
    except UsageError:
        if entry.memory_gib is None:
            raise
        base = Accelerator(kind=entry.kind, name=entry.name, memory_bytes=round(entry.memory_gib * GIB))
    _plausible(path, f"{entry.name}: memory_gib", base.memory_bytes / GIB, 0.25, 4096)
    changes: dict[str, float | int] = {}
    if entry.bandwidth_gb_per_second is not None:
        _plausible(path, f"{entry.name}: bandwidth", entry.bandwidth_gb_per_second, 1, 1e5)
        changes["bandwidth_bytes_per_second"] = entry.bandwidth_gb_per_second * 1e9
    if entry.bf16_tflops is not None:
        _plausible(path, f"{entry.name}: bf16_tflops", entry.bf16_tflops, 0.01, 1e6)
        changes["bf16_flops"] = entry.bf16_tflops * 1e12
    if entry.watts is not None:
        _plausible(path, f"{entry.name}: watts", entry.watts, 1, 1e5)
        changes["watts"] = entry.watts
    return msgspec.structs.replace(base, how=f"stated in {path}", **changes)


def _plausible(path: Path, name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(_impossible(name, value, low, high), path=str(path))


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(_impossible(name, value, low, high))


def _impossible(name: str, value: float, low: float, high: float) -> str:
    return f"{name} is {value:,.10g}, expected {low:,.10g} to {high:,.10g}"


def engine_build(settings: Settings) -> Build:
    """Which build of llama.cpp runs here when nothing else is asked for."""
    return "native" if native.binary(settings.home) is not None else "wheel"
