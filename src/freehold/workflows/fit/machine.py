"""The machine meant by a command: this one, one from a file, or one in words like ``2x L4``."""

from __future__ import annotations

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
from freehold.visible import GIB
from freehold.workflows.fit.machine_words import impossible, machine_of_words

KINDS = ("nvidia", "amd", "intel", "apple")


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

    Words are accelerators as people and drivers name them (``2x L4``, ``NVIDIA GeForce RTX 4090``, ``Apple M3 Max
    64GB``, ``H100 SXM + 2x L40S``) or a cloud's instance type (``g5.xlarge``); ``64GB`` alone is a machine without
    accelerators. Raises `UsageError` or `InputError` for what is not understood or impossible.
    """
    if spec is None:
        return with_rates(probe_machine(settings.home, measure=measure))
    if spec.endswith(".toml") or Path(spec).is_file():
        return read_machine(Path(spec))
    return machine_of_words(spec)


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
    """The row by a driver's name; None for what the catalog does not know, or knows as several products."""
    try:
        row, note = catalog.pick(name)
    except UsageError:
        return None
    return row if note is None else None


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
    notes: list[str] = []
    for entry in found.accelerators:
        _plausible(path, f"{entry.name}: count", entry.count, 1, 4096)
        device, note = _device(path, entry)
        devices.extend([device] * entry.count)
        notes.extend([note] if note else [])
    said = {"note": "; ".join(dict.fromkeys(notes))} if notes else {}
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
        how={"all": f"stated in {path}", "available memory": f"stated in {path}"} | said,
    )


def _device(path: Path, entry: AcceleratorFile) -> tuple[Accelerator, str | None]:
    if entry.kind not in KINDS:
        raise InputError(
            f"{entry.name}: kind {entry.kind!r} is not known",
            path=str(path),
            hint=f"one of {', '.join(KINDS)}",
        )
    note = None
    try:
        row, note = catalog.pick(entry.name)
        base = catalog.accelerator(row, entry.memory_gib)
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
    return msgspec.structs.replace(base, how=f"stated in {path}", **changes), note


def _plausible(path: Path, name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(impossible(name, value, low, high), path=str(path))


def engine_build(settings: Settings) -> Build:
    """Which build of llama.cpp runs here when nothing else is asked for."""
    return "native" if native.binary(settings.home) is not None else "wheel"
