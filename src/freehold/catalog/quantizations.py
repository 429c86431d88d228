"""Quantizations that repackers publish, by model, with bytes and hub id (`quantizations.toml`)."""

from __future__ import annotations

import datetime
import functools
import tomllib
from importlib.resources import files

import msgspec

from freehold.types.record import Record

GB = 10**9
OFF_BY = 5_000_000
"""Cards print two decimals of a GB."""


class RepositoryRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[repositories]]` table. `sizes` are GB by quantization, as the card prints them."""

    repo: str
    model: str
    sizes: dict[str, float]
    source: str
    checked: datetime.date


class PublishedQuantization(Record, frozen=True, kw_only=True):
    """One published file, or the parts of one. `bytes` are rounded as the card prints them: at most `off_by` wrong."""

    repo: str
    model: str
    quantization: str
    bytes: int
    off_by: int
    source: str
    checked: datetime.date


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    repositories: tuple[RepositoryRow, ...]


@functools.cache
def rows() -> tuple[PublishedQuantization, ...]:
    """All of them, in file order."""
    text = files("freehold.catalog").joinpath("quantizations.toml").read_text(encoding="utf-8")
    return tuple(
        PublishedQuantization(
            repo=row.repo,
            model=row.model,
            quantization=name,
            bytes=round(size * GB),
            off_by=OFF_BY,
            source=row.source,
            checked=row.checked,
        )
        for row in msgspec.convert(tomllib.loads(text), _File).repositories
        for name, size in row.sizes.items()
    )


def of(names: tuple[str, ...]) -> list[PublishedQuantization]:
    """Those of a model, by any of its ids, whatever the case; largest first."""
    wanted = {name.lower() for name in names}
    return sorted((row for row in rows() if row.model.lower() in wanted), key=lambda row: -row.bytes)
