"""Accelerators one may not have: memory, bandwidth, arithmetic, watts, rental prices (`accelerators.toml`)."""

from __future__ import annotations

import datetime
import functools
import re
import tomllib
from importlib.resources import files

import msgspec

from freehold.errors import UsageError, nearest
from freehold.types.machine import Accelerator
from freehold.types.units import GIB


class AcceleratorRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[accelerators]]` table. `memory_gib` is None for unified memory of unknown size."""

    name: str
    kind: str
    bandwidth_gb_per_second: float
    source: str
    checked: datetime.date
    aliases: tuple[str, ...] = ()
    memory_gib: float | None = None
    unified: bool = False
    bf16_tflops: float | None = None
    fp8_tflops: float | None = None
    watts: int | None = None
    note: str | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accelerators: tuple[AcceleratorRow, ...]


@functools.cache
def rows() -> tuple[AcceleratorRow, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("accelerators.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).accelerators


def get(name: str) -> AcceleratorRow:
    """The row of an accelerator by name or alias, whatever the case.

    Raises `UsageError` when there is none, and when a bare name is several products with different memory
    or bandwidth (a plain "H100" is PCIe or SXM).
    """
    wanted = _plain(name)
    for row in rows():
        if wanted in (_plain(row.name), *map(_plain, row.aliases)):
            return row
    words = wanted.split()
    several = [row.name for row in rows() if set(words) <= set(_plain(row.name).split())]
    if len(several) == 1:
        return next(row for row in rows() if row.name == several[0])
    if several:
        raise UsageError(
            f"accelerator {name} is more than one product", hint=f"say which: {', '.join(several)}"
        )
    near = nearest(wanted, [_plain(row.name) for row in rows()], cutoff=0.5)
    shown = next((row.name for row in rows() if _plain(row.name) == near), None)
    raise UsageError(
        f"accelerator {name} is not in the catalog",
        hint=(f"did you mean {shown}? " if shown else "")
        + "a machine file can describe any: --machine FILE.toml",
    )


def accelerator(row: AcceleratorRow, memory_gib: float | None = None) -> Accelerator:
    """The record of one device. `memory_gib` overrides the row's (unified memory has none of its own)."""
    size = memory_gib if memory_gib is not None else row.memory_gib
    if size is None:
        raise UsageError(
            f"{row.name} shares the machine's memory, whose size is not known",
            hint=f'say how much: --machine "{row.name} 64GB"',
        )
    return Accelerator(
        kind=row.kind,
        name=row.name,
        memory_bytes=round(size * GIB),
        bandwidth_bytes_per_second=row.bandwidth_gb_per_second * 1e9,
        bf16_flops=row.bf16_tflops * 1e12 if row.bf16_tflops else None,
        watts=row.watts,
        unified=row.unified,
        how=f"catalog, checked {row.checked}: {row.source}",
    )


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name.lower()).replace(" gb", "gb").strip()
