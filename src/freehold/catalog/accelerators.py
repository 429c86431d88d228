"""Machines one may not have: accelerators (`accelerators.toml`: memory, bandwidth, arithmetic, watts), cloud instances
with them by the cloud's name (`instances.toml`), and what they rent for (`rentals.toml`: ranges, because every page
says something else).
"""

from __future__ import annotations

import datetime
import functools
import re
from decimal import Decimal
from typing import Literal, NamedTuple

import msgspec

from freehold.catalog import tables
from freehold.errors import UsageError, nearest
from freehold.types.cost import Range
from freehold.types.machine import Accelerator
from freehold.visible import GIB, MIB

DISCOUNT = 0.07
"""Taken from what a vendor sells where no driver's total was read. The largest gap among those that were read is
6.3 % (L4, T4, L40S: a part of the memory holds error correction)."""
RESERVED_SHARE, MOST_RESERVED_BYTES = 0.04, 896 * MIB
"""What a driver keeps of its total for itself, which no program gets. ``nvidia-smi -q`` says, in public print-outs read
2026-11-27: T4 393 MiB, RTX 4090 354 and 452, RTX 5090 419, L4 471 and 556, RTX 6000 Ada 569, L40S 450 to 685, A100 40GB
520 and 620, A100 80GB 763 and 834, H100 328 to 516. The larger end is taken."""
_VENDORS = {"nvidia", "geforce", "tesla", "amd", "radeon", "instinct", "intel(r)", "intel", "graphics", "gpu"}
_MEMORIES = {
    "hbm3": "sxm",
    "hbm3e": "sxm",
    "sxm2": "sxm",
    "sxm4": "sxm",
    "sxm5": "sxm",
    "sxm6": "sxm",
    "ac": "",
}


class AcceleratorRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[accelerators]]` table. `driver_mib` is the total a driver reports, `sold_gib` what is sold where no such
    total was read; both are None for unified memory of unknown size, of which the device gets `unified_share`."""

    name: str
    kind: str
    bandwidth_gb_per_second: float
    source: str
    checked: datetime.date
    aliases: tuple[str, ...] = ()
    common: tuple[str, ...] = ()
    """Shorter names that are several products and mean this one, with a note."""
    driver_mib: int | None = None
    driver_source: str | None = None
    sold_gib: float | None = None
    reserved_mib: int | None = None
    """What is kept of it, where that is known and not as `reserved_bytes` says."""
    unified: bool = False
    unified_share: float = 1.0
    most_gib: float | None = None
    """The largest machine with this chip, where that was found."""
    bf16_tflops: float | None = None
    fp8_tflops: float | None = None
    watts: int | None = None
    note: str | None = None

    @property
    def memory_bytes(self) -> int | None:
        """The driver's total, or what is sold less `DISCOUNT`; None for unified memory of unknown size."""
        if self.driver_mib is not None:
            return self.driver_mib * MIB
        return None if self.sold_gib is None else round(self.sold_gib * GIB * (1 - DISCOUNT))


class PickedRow(NamedTuple):
    """The row that a name means, and what has to be said where it could have meant another."""

    row: AcceleratorRow
    note: str | None = None


def rows() -> tuple[AcceleratorRow, ...]:
    """All rows, in file order."""
    return tables("accelerators.toml", AcceleratorRow)


def get(name: str) -> AcceleratorRow:
    """The row of an accelerator by name or alias, as people, vendors or drivers write it. Raises as `pick` does."""
    return pick(name).row


def pick(name: str) -> PickedRow:
    """The row of an accelerator by name or alias: ``L4``, ``rtx4090``, ``NVIDIA GeForce RTX 4090``, ``Tesla T4``.

    A bare name that is several products (``H100`` is PCIe or SXM) means the common one, with a note. Raises
    `UsageError` when there is none, or several of which none is the common one.
    """
    wanted = plain(name)
    for row in rows():
        if wanted in map(plain, (row.name, *row.aliases)):
            return PickedRow(row)
    several = _holding(wanted.split()) or _holding([_MEMORIES.get(word, word) for word in wanted.split()])
    if len(several) == 1:
        return PickedRow(several[0])
    if several:
        all_of_them = ", ".join(row.name for row in several)
        usual = next((row for row in rows() if wanted in map(plain, row.common)), None)
        if usual is None:
            raise UsageError(f"accelerator {name} is more than one product", hint=f"say which: {all_of_them}")
        return PickedRow(usual, f"{name} is taken for {usual.name}, the common one of {all_of_them}")
    others = [] if "laptop" in wanted.split() else [plain(row.name) for row in rows()]  # a chip of its own
    near = nearest(wanted, others, cutoff=0.5)
    shown = next((row.name for row in rows() if plain(row.name) == near), None)
    raise UsageError(
        f"accelerator {name} is not in the catalog",
        hint=(f"did you mean {shown}? " if shown else "")
        + "a machine file can describe any: --machine FILE.toml",
    )


_OTHER_CHIPS = {"ti", "super", "xt", "xtx"}


def _holding(words: list[str]) -> list[AcceleratorRow]:
    """Rows whose names hold all of the words, and none that makes it another chip."""
    wanted = {word for word in words if word}
    named = ((row, set(plain(row.name).split())) for row in rows())
    return [row for row, name in named if wanted and wanted <= name and not (name - wanted) & _OTHER_CHIPS]


def accelerator(row: AcceleratorRow, memory_gib: float | None = None) -> Accelerator:
    """The record of one device. `memory_gib` overrides the row's (unified memory has none of its own)."""
    own = row.memory_bytes
    size = round(memory_gib * GIB) if memory_gib is not None else own
    if size is None:
        raise UsageError(
            f"{row.name} shares the machine's memory, whose size is not known",
            hint=f'say how much: --machine "{row.name} 64GB"',
        )
    if memory_gib is not None:
        memory = "memory as stated"
    elif row.driver_source is not None:
        memory = f"memory as the driver reports it ({row.driver_source})"
    else:
        memory = (
            f"no driver's total was read: {DISCOUNT:.0%} less than the {row.sold_gib:g} GiB that are sold"
        )
    return Accelerator(
        kind=row.kind,
        name=row.name,
        memory_bytes=size,
        reserved_bytes=_reserved(row, size),
        bandwidth_bytes_per_second=row.bandwidth_gb_per_second * 1e9,
        bf16_flops=row.bf16_tflops * 1e12 if row.bf16_tflops else None,
        watts=row.watts,
        unified=row.unified,
        how=f"catalog, checked {row.checked}: {row.source}; {memory}",
    )


def _reserved(row: AcceleratorRow, total_bytes: int) -> int:
    if row.reserved_mib is not None:
        return row.reserved_mib * MIB
    return 0 if row.unified else reserved_bytes(total_bytes)


def reserved_bytes(total_bytes: int) -> int:
    """What a driver keeps of a device's total, where it does not say so itself."""
    return min(MOST_RESERVED_BYTES, round(total_bytes * RESERVED_SHARE))


def plain(name: str) -> str:
    """A name without vendor, case and punctuation, words apart: ``NVIDIA GeForce RTX4090`` is ``rtx 4090``."""
    text = re.sub(r"[\s_-]+", " ", name.lower().replace("(tm)", ""))
    text = re.sub(r"\b(rtx|gtx|rx)(\d)", r"\1 \2", text)
    text = re.sub(r"\b(\d{4})(ti|super|xtx|xt)\b", r"\1 \2", text)
    text = re.sub(r"(\d) ?gi?b\b", r"\1gb", text)
    return " ".join(word for word in text.split() if word not in _VENDORS)


class InstanceRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[instances]]` table: a machine by the name its cloud rents it under. `accelerator` is a name of
    `accelerators.toml`; virtual cores and memory are absent where they were not read."""

    names: tuple[str, ...]
    cloud: str
    accelerator: str
    count: int
    source: str
    checked: datetime.date
    vcpus: tuple[int, ...] = ()
    """Virtual cores of each of `names`, in their order."""
    memory_gib: tuple[float, ...] = ()
    """Memory of each of `names`, in their order."""


class CloudInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One instance type. `vcpus` and `memory_gib` are None where they were not read."""

    name: str
    cloud: str
    accelerator: str
    count: int
    source: str
    checked: datetime.date
    vcpus: int | None = None
    memory_gib: float | None = None


@functools.cache
def all_instances() -> tuple[CloudInstance, ...]:
    """Every instance type, in file order."""
    return tuple(
        CloudInstance(
            name=name,
            cloud=row.cloud,
            accelerator=row.accelerator,
            count=row.count,
            source=row.source,
            checked=row.checked,
            vcpus=row.vcpus[place] if row.vcpus else None,
            memory_gib=row.memory_gib[place] if row.memory_gib else None,
        )
        for row in tables("instances.toml", InstanceRow)
        for place, name in enumerate(row.names)
    )


@functools.cache
def _instances_by_name() -> dict[str, CloudInstance]:
    return {one.name.lower(): one for one in all_instances()}


def instance(name: str) -> CloudInstance | None:
    """An instance type by its name, whatever the case; Azure's with or without ``Standard_``. None when unknown."""
    wanted = name.strip().lower()
    return _instances_by_name().get(wanted) or _instances_by_name().get(f"standard_{wanted}")


def nearest_instance(name: str) -> str | None:
    """The instance type spelt most like a misspelt one."""
    import difflib

    found = difflib.get_close_matches(name.strip().lower(), _instances_by_name(), n=1, cutoff=0.93)
    return _instances_by_name()[found[0]].name if found else None


FRESH_DAYS = 180
"""A rental price older than this is said to be old."""
Shop = Literal["marketplace", "specialist", "hyperscaler"]
"""Who rents: single machines of strangers, clouds of accelerators, the large clouds."""


class RentalRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[rentals]]` table: lowest and highest dollars an hour in one kind of shop."""

    accelerators: tuple[str, ...]
    shop: Shop
    usd_per_hour: tuple[Decimal, Decimal]
    as_of: datetime.date
    source: str
    checked: datetime.date


class RentalPrice(NamedTuple):
    """What is known of an accelerator's rent."""

    usd_per_hour: Range
    lists: int
    oldest: datetime.date
    newest: datetime.date
    hyperscalers: Range | None = None

    def basis(self) -> str:
        """Where the range is from."""
        dates = " to ".join(dict.fromkeys((self.oldest.isoformat(), self.newest.isoformat())))
        return f"{self.lists} price list{'s' if self.lists > 1 else ''}, {dates}"

    def is_old(self, today: datetime.date) -> bool:
        """Whether even the newest price is older than `FRESH_DAYS`."""
        return (today - self.newest).days > FRESH_DAYS


def rental_rows() -> tuple[RentalRow, ...]:
    """All rows, in file order."""
    return tables("rentals.toml", RentalRow)


def rental_price(accelerator: str) -> RentalPrice | None:
    """The whole range known for an accelerator, in shops that rent single ones; None when no price is known."""
    found = [row for row in rental_rows() if accelerator in row.accelerators]
    counted = [row for row in found if row.shop != "hyperscaler"]
    if not counted:
        return None
    large = [row for row in found if row.shop == "hyperscaler"]
    return RentalPrice(
        _span(counted),
        len(counted),
        min(row.as_of for row in counted),
        max(row.as_of for row in counted),
        _span(large) if large else None,
    )


def _span(found: list[RentalRow]) -> Range:
    return Range(
        low=min(row.usd_per_hour[0] for row in found), high=max(row.usd_per_hour[1] for row in found)
    )
