"""What accelerators rent for (`rentals.toml`): ranges, because every page says something else."""

from __future__ import annotations

import datetime
import functools
import tomllib
from decimal import Decimal
from importlib.resources import files
from typing import Literal, NamedTuple

import msgspec

from freehold.types.cost import Range

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


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rentals: tuple[RentalRow, ...]


@functools.cache
def rows() -> tuple[RentalRow, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("rentals.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).rentals


def rental_price(accelerator: str) -> RentalPrice | None:
    """The whole range known for an accelerator, in shops that rent single ones; None when no price is known."""
    found = [row for row in rows() if accelerator in row.accelerators]
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
