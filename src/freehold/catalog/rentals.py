"""What accelerators rent for (`rentals.toml`): ranges, because every page says something else."""

from __future__ import annotations

import datetime
import functools
import tomllib
from decimal import Decimal
from importlib.resources import files

import msgspec

from freehold.types.cost import Range


class RentalRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[rentals]]` table: lowest and highest dollars an hour in one kind of shop."""

    accelerators: tuple[str, ...]
    channel: str
    usd_per_hour: tuple[Decimal, Decimal]
    as_of: str
    source: str
    checked: datetime.date


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rentals: tuple[RentalRow, ...]


@functools.cache
def rows() -> tuple[RentalRow, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("rentals.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).rentals


def usd_per_hour(accelerator: str) -> tuple[Range, str] | None:
    """The whole range known for an accelerator, and where from; None when no price is known."""
    found = [row for row in rows() if accelerator in row.accelerators]
    if not found:
        return None
    low = min(row.usd_per_hour[0] for row in found)
    high = max(row.usd_per_hour[1] for row in found)
    dates = sorted({row.as_of for row in found})
    return Range(low=low, high=high), f"{len(found)} price lists, {dates[0]} to {dates[-1]}"
