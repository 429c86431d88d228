"""The last security advisory of each engine (`advisories.toml`)."""

from __future__ import annotations

import functools
import re
import tomllib
from datetime import date
from importlib.resources import files

import msgspec


class Advisory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[advisories]]` table: releases before `fixed` have the fault."""

    engine: str
    id: str
    what: str
    fixed: str
    published: date
    source: str
    checked: date


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    advisories: tuple[Advisory, ...]


@functools.cache
def rows() -> tuple[Advisory, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("advisories.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).advisories


def last_of(engine: str) -> Advisory | None:
    """The last advisory of an engine; None where none is known here, which promises nothing."""
    return max((row for row in rows() if row.engine == engine), key=lambda row: row.published, default=None)


def is_older(version: str, fixed: str) -> bool:
    """Whether a release comes before another, by the numbers at the beginning of both."""
    return _numbers(version) < _numbers(fixed)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()
