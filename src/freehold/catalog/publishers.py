"""Who publishes open weights, and under which names on the hub (`publishers.toml`)."""

from __future__ import annotations

import functools
import tomllib
from datetime import date
from importlib.resources import files

import msgspec


class PublisherRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[publishers]]` table."""

    name: str
    owners: tuple[str, ...]
    source: str
    checked: date


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    publishers: tuple[PublisherRow, ...]


@functools.cache
def rows() -> tuple[PublisherRow, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("publishers.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).publishers
