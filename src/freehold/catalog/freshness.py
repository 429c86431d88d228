"""How old the facts of the catalog are, and from which age on they are no longer taken for fresh; the last security
advisory of each engine (`advisories.toml`).

Each fact carries the day it was read (``checked``). What an age means differs by part: see
docs/decisions/028-facts-with-a-day.md.
"""

from __future__ import annotations

import functools
import re
import tomllib
from datetime import date
from fnmatch import fnmatch
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, NamedTuple

import msgspec

from freehold.catalog import tables
from freehold.catalog.accelerators import FRESH_DAYS
from freehold.catalog.retirements import STALE_DAYS
from freehold.errors import StorageError
from freehold.types.record import Record

FactPart = Literal[
    "models",
    "licences of releases",
    "published scores",
    "publishers",
    "published files",
    "weights to fetch",
    "accelerators",
    "prices of machines",
    "retirement dates",
    "advisories",
]


class _Part(NamedTuple):
    """Data files of the catalog (a pattern may begin with a folder), and the days after which a row is stale."""

    patterns: tuple[str, ...]
    days: int


PARTS: dict[FactPart, _Part] = {
    "models": _Part(("models/*.toml",), 180),
    "licences of releases": _Part(("releases/*.toml",), 180),
    "published scores": _Part(("scores*.toml",), 180),
    "publishers": _Part(("publishers.toml",), 180),
    "published files": _Part(("quantizations.toml",), 180),
    "weights to fetch": _Part(("weights.toml",), 365),
    "accelerators": _Part(("accelerators.toml", "instances.toml"), 365),
    "prices of machines": _Part(("rentals.toml",), FRESH_DAYS),
    "retirement dates": _Part(("retirements/*.toml",), STALE_DAYS),
    "advisories": _Part(("advisories.toml",), 60),
}


class PartAge(Record, frozen=True, kw_only=True):
    """When the newest row of one part of the catalog was read, and after how many days such facts are stale."""

    part: str
    newest: date
    stale_days: int


def days_old(checked: date, today: date) -> int:
    """Whole days since a fact was read; 0 where a clock runs behind it."""
    return max(0, (today - checked).days)


def is_stale(part: FactPart, checked: date, today: date) -> bool:
    """Was a fact read too long ago to be taken for fresh?"""
    return days_old(checked, today) > PARTS[part].days


def said(part: FactPart, checked: date, today: date) -> str:
    """A fact's age as it is told next to it: ``checked 2026-11-24``, or ``stale: checked 200 days ago, on …``."""
    if is_stale(part, checked, today):
        return f"stale: checked {days_old(checked, today)} days ago, on {checked}"
    return f"checked {checked}"


def ages() -> tuple[PartAge, ...]:
    """Every part, in the order of `PARTS`. Raises `StorageError` for a row that does not say its day."""
    return tuple(
        PartAge(part=part, newest=max(_days(patterns)), stale_days=days)
        for part, (patterns, days) in PARTS.items()
    )


@functools.cache
def _days(patterns: tuple[str, ...]) -> tuple[date, ...]:
    """The day each row of some files was read."""
    found: list[date] = []
    for pattern in patterns:
        for file in _matching(pattern):
            found.extend(_of_file(tomllib.loads(file.read_text(encoding="utf-8")), file.name))
    return tuple(found)


def _matching(pattern: str) -> list[Traversable]:
    folder, _, name = pattern.rpartition("/")
    place = files("freehold.catalog").joinpath(folder) if folder else files("freehold.catalog")
    entries = sorted(place.iterdir(), key=lambda entry: entry.name)
    return [entry for entry in entries if entry.is_file() and fnmatch(entry.name, name)]


def _of_file(content: dict[str, Any], name: str) -> list[date]:
    """A file's rows: the first list of tables in it that say their day, or all in a file that says one day itself."""
    tables = [
        value
        for value in content.values()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    ]
    whole = content.get("checked")
    if whole is not None:
        return [_day(whole, name)] * sum(len(rows) for rows in tables)
    if (pages := content.get("pages")) is not None:  # each row names the page that it was read on
        return [_of_row(row, pages[row["page"]], name) for rows in tables for row in rows]
    dated = [rows for rows in tables if any("checked" in row for row in rows)]
    if not dated:
        raise StorageError(f"catalog/{name}: no row says when it was read")
    return [_day(row.get("checked"), name) for rows in dated for row in rows]


def _of_row(row: dict[str, Any], page: dict[str, Any], name: str) -> date:
    """The day a row of a page is as old as. A date still to come may have been moved since its copy was made (`as_of`),
    however lately the copy was read; one that had passed when it was read does not grow stale."""
    of_copy, read = _day(page.get("as_of"), name), _day(page.get("checked"), name)
    settled = "shutdown" in row and _day(row["shutdown"], name) < read
    return read if settled else of_copy


def _day(value: object, name: str) -> date:
    if isinstance(value, date):
        return value
    if isinstance(value, str):
        return date.fromisoformat(value)
    raise StorageError(f"catalog/{name}: a row does not say when it was read")


class Advisory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[advisories]]` table: releases before `fixed` have the fault."""

    engine: str
    id: str
    what: str
    fixed: str
    published: date
    source: str
    checked: date


def advisories() -> tuple[Advisory, ...]:
    """All rows, in file order."""
    return tables("advisories.toml", Advisory)


def last_advisory(engine: str) -> Advisory | None:
    """The last advisory of an engine; None where none is known here, which promises nothing."""
    return max(
        (row for row in advisories() if row.engine == engine), key=lambda row: row.published, default=None
    )


def is_older(version: str, fixed: str) -> bool:
    """Whether a release comes before another, by the numbers at the beginning of both."""
    return _numbers(version) < _numbers(fixed)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()
