"""The machine meant by a command: this one, one from a file, or one in words like ``2x L4``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from freehold.catalog import accelerators
from freehold.engines.llamacpp import native
from freehold.errors import InputError, UsageError
from freehold.hardware.probes import probe_machine
from freehold.hardware.speed import Build
from freehold.settings import Settings
from freehold.types import record
from freehold.types.machine import Accelerator, Machine
from freehold.visible import GIB, gib

MOST_DEVICES = 72
"""Accelerators of the largest system that is sold as one machine (GB300 NVL72)."""
MOST_UNIFIED_GIB = 1024
"""No machine with unified memory is sold with half of it (2026-11)."""
_JOIN = r"\s+\+\s*|(?<=\S)\+(?=\S)"
"""What joins parts; the plus of ``Ryzen AI Max+ 395`` does not."""
_SIZE = r"(\d+(?:\.\d+)?)\s*gi?b"


class _Part(NamedTuple):
    """What one part of the words came to: devices, or the machine's memory, and what must be said of it."""

    devices: tuple[Accelerator, ...] = ()
    host_gib: float | None = None
    note: str | None = None


def machine_of_words(spec: str) -> Machine:
    """The machine that words mean, several parts joined with ``+``.

    A part is ``[COUNTx] NAME [SIZEgb]`` (``2x L4``, ``H100 x8``, ``NVIDIA GeForce RTX 4090``, ``Apple M3 Max 64GB``), a
    size alone is the machine's memory, and a cloud's instance type (``g5.xlarge``) is a whole machine. Raises
    `UsageError` for what is not understood and for machines that cannot be.
    """
    if not spec.strip():
        raise UsageError(
            "no machine is named", hint='write it like "2x L4", or leave --machine out for this one'
        )
    whole = _instance(spec)
    if whole is not None:
        return whole
    parts = [_part(part, spec) for part in re.split(_JOIN, spec)]
    devices = tuple(device for part in parts for device in part.devices)
    _possible(spec, devices)
    stated = [part.host_gib for part in parts if part.host_gib is not None]
    unified = sum(device.memory_bytes for device in devices if device.unified)
    size = round(sum(stated) * GIB) if stated else unified
    notes = dict.fromkeys(part.note for part in parts if part.note)
    how = {"all": "assumed from --machine", "available memory": "assumed from --machine"}
    return Machine(
        name=spec,
        cores=1,
        memory_bytes=size,
        available_memory_bytes=size,
        cpu="unknown",
        accelerators=devices,
        how=how | ({"note": "; ".join(notes)} if notes else {}),
    )


def _instance(spec: str) -> Machine | None:
    """The machine that a cloud rents under this name; None where it does not look like one."""
    found = accelerators.instance(spec)
    if found is None:
        counted = re.fullmatch(r"\s*(\d+)\s*[x×]\s*(\S+)\s*|\s*(\S+)\s*[x×]\s*(\d+)\s*", spec, re.IGNORECASE)
        single = counted and (counted.group(2) or counted.group(3))
        one = accelerators.instance(single) if single else None
        if one is not None:
            raise UsageError(
                f"{spec}: {one.name} is a whole machine, and several are not one",
                hint=f"one of them: --machine {one.name}; it has {one.count} × {one.accelerator}",
            )
        if re.fullmatch(r"\s*([a-z]\w*\.\w+|standard_\w+|[a-z]\w+-\w+-\w+)\s*", spec, re.IGNORECASE):
            near = accelerators.nearest_instance(spec)
            if near is None and re.match(r"\s*(a100|h100|rtx|rx|tesla|nvidia|apple)", spec, re.IGNORECASE):
                return None
            raise UsageError(
                f"instance type {spec.strip()} is not in the catalog",
                hint=(f"did you mean {near}? " if near else "")
                + 'name its accelerators instead: --machine "8x H100 + 2048GB"',
            )
        return None
    device = accelerators.accelerator(accelerators.get(found.accelerator))
    size = 0 if found.memory_gib is None else round(found.memory_gib * GIB)
    source = f"{found.cloud}'s {found.name}, checked {found.checked}: {found.source}"
    unread = "" if found.memory_gib is not None else "; its cores and memory were not read"
    return Machine(
        name=found.name,
        cores=found.vcpus or 1,
        memory_bytes=size,
        available_memory_bytes=size,
        cpu="unknown",
        accelerators=(device,) * found.count,
        how={"all": source + unread, "available memory": source},
    )


def _part(words: str, spec: str) -> _Part:
    match = re.fullmatch(r"\s*(?:(\d+)\s*[x×]\s*)?(.+?)(?:\s+[x×]\s*(\d+))?\s*", words, re.IGNORECASE)
    if match is None or (match.group(1) and match.group(3)):
        raise UsageError(f"machine {spec!r} is not understood", hint='write it like "2x L4"')
    count = int(match.group(1) or match.group(3) or 1)
    if not 1 <= count <= MOST_DEVICES:
        raise UsageError(
            f"machine {spec!r} has {count} accelerators, expected 1 to {MOST_DEVICES}",
            hint="more than that are several machines: ask for one of them",
        )
    memory = re.fullmatch(_SIZE + r"(?: ram)?", match.group(2), re.IGNORECASE)
    if memory:
        host = float(memory.group(1)) * count
        _within(f"memory of machine {spec!r} in GiB", host, 0.05, 1 << 20)
        return _Part(host_gib=host)
    device, note = _device_in_words(match.group(2))
    return _Part(devices=(device,) * count, note=note)


def _device_in_words(words: str) -> tuple[Accelerator, str | None]:
    try:
        row, note = accelerators.pick(words)
        return accelerators.accelerator(row), note
    except UsageError:
        sized = re.fullmatch(r"(.+?)\s+" + _SIZE, words, re.IGNORECASE)
        if sized is None:
            raise
        row, note = accelerators.pick(sized.group(1))
    size = float(sized.group(2))
    if not row.unified:
        own = row.memory_bytes or 0
        raise UsageError(
            f"{words}: {row.name} has {gib(own)}",
            hint=f'write it without a size: --machine "{row.name}"; a machine file can describe a card that is not '
            "sold: --machine FILE.toml",
        )
    from freehold.hardware.probes import share_lent

    _within(f"memory of {words} in GiB", size, 1, row.most_gib or MOST_UNIFIED_GIB)
    if row.memory_bytes is not None:
        if not 0.9 * size <= row.memory_bytes / GIB <= size:
            raise UsageError(
                f"{words}: {row.name} has {gib(row.memory_bytes)}", hint="write it without a size"
            )
        return accelerators.accelerator(row), note
    usable = share_lent(round(size * GIB)) if row.kind == "apple" else row.unified_share
    device = accelerators.accelerator(row, size * usable)
    how = f"{device.how}: {usable:.0%} of {size:g} GB, what its system lends to the GPU by default"
    return msgspec.structs.replace(device, how=how), note


def _possible(spec: str, devices: tuple[Accelerator, ...]) -> None:
    """Raises `UsageError` for accelerators that are not in one machine."""
    shared = [device for device in devices if device.unified]
    if len(shared) > 1:
        raise UsageError(
            f"machine {spec!r}: {shared[0].name} is the chip of a whole machine, and several are not one",
            hint="several machines are not counted as one: ask for one of them",
        )
    if any(device.kind == "apple" for device in devices) and len(devices) > 1:
        raise UsageError(f"machine {spec!r} cannot be: a Mac with an Apple chip takes no other accelerators")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} is {value:,.10g}, expected {low:,.10g} to {high:,.10g}")


class AcceleratorFile(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[accelerators]]` table of a machine file. What the catalog knows by `name` may be left out."""

    name: str
    count: Annotated[int, Meta(ge=1, le=4096)] = 1
    kind: Literal["nvidia", "amd", "intel", "apple"] = "nvidia"
    memory_gib: Annotated[float, Meta(ge=0.25, le=4096)] | None = None
    bandwidth_gb_per_second: Annotated[float, Meta(ge=1, le=1e5)] | None = None
    bf16_tflops: Annotated[float, Meta(ge=0.01, le=1e6)] | None = None
    watts: Annotated[int, Meta(ge=1, le=100_000)] | None = None


class MachineFile(msgspec.Struct, frozen=True, kw_only=True):
    """A machine file (TOML)."""

    name: str
    cores: Annotated[int, Meta(ge=1, le=1 << 14)]
    memory_gib: Annotated[float, Meta(ge=0.05, le=1 << 20)]
    cpu: str = "unknown"
    isa: tuple[str, ...] = ()
    memory_bandwidth_gb_per_second: Annotated[float, Meta(ge=0.1, le=1e5)] | None = None
    disk_free_gib: Annotated[float, Meta(ge=0, le=1 << 30)] | None = None
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


def _row_of(name: str) -> accelerators.AcceleratorRow | None:
    """The row by a driver's name; None for what the catalog does not know, or knows as several products."""
    try:
        row, note = accelerators.pick(name)
    except UsageError:
        return None
    return row if note is None else None


def read_machine(path: Path) -> Machine:
    """A machine from a file. Raises `InputError` for what is not TOML, `ConfigError` for unknown keys and impossible
    numbers."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no such machine file", path=str(path)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"not a machine file: {error}", path=str(path)) from None
    found = record.read(raw, MachineFile, str(path))
    picked = [(_device_of_file(path, entry), entry.count) for entry in found.accelerators]
    notes = dict.fromkeys(note for (_, note), _ in picked if note)
    bandwidth = found.memory_bandwidth_gb_per_second
    stated = {"all": f"stated in {path}", "available memory": f"stated in {path}"}
    return Machine(
        name=found.name,
        cores=found.cores,
        memory_bytes=round(found.memory_gib * GIB),
        available_memory_bytes=round(found.memory_gib * GIB),
        cpu=found.cpu,
        isa=found.isa,
        accelerators=tuple(device for (device, _), count in picked for _ in range(count)),
        disk_free_bytes=None if found.disk_free_gib is None else round(found.disk_free_gib * GIB),
        memory_bandwidth_bytes_per_second=None if bandwidth is None else bandwidth * 1e9,
        how=stated | ({"note": "; ".join(notes)} if notes else {}),
    )


def _device_of_file(path: Path, entry: AcceleratorFile) -> tuple[Accelerator, str | None]:
    note = None
    try:
        row, note = accelerators.pick(entry.name)
        base = accelerators.accelerator(row, entry.memory_gib)
    except UsageError:
        if entry.memory_gib is None:
            raise
        base = Accelerator(kind=entry.kind, name=entry.name, memory_bytes=round(entry.memory_gib * GIB))
    stated = {
        "bandwidth_bytes_per_second": entry.bandwidth_gb_per_second and entry.bandwidth_gb_per_second * 1e9,
        "bf16_flops": entry.bf16_tflops and entry.bf16_tflops * 1e12,
        "watts": entry.watts,
    }
    changes = {name: value for name, value in stated.items() if value is not None}
    return msgspec.structs.replace(base, how=f"stated in {path}", **changes), note


def engine_build(settings: Settings) -> Build:
    """Which build of llama.cpp runs here when nothing else is asked for."""
    return "native" if native.binary(settings.home) is not None else "wheel"
