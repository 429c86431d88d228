"""Which weights of a model are known, and what their bytes must be (`weights.toml`); quantizations that repackers
publish, with bytes and hub id (`quantizations.toml`).
"""

from __future__ import annotations

import datetime
import functools
from importlib.resources import files

import msgspec

from freehold import errors
from freehold.catalog import tables
from freehold.types.model import WeightsFormat
from freehold.types.record import Record


class WeightsRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[weights]]` table. `download_bytes` is what crosses the network, `bytes` what lies here after. `files` are
    names (relative to the folder) and their SHA-256, where weights are a folder of a package."""

    model: str
    format: WeightsFormat
    quantization: str
    source: str
    bytes: int
    sha256: str
    origin: str
    checked: datetime.date
    download_bytes: int | None = None
    chat_template: str | None = None
    files: dict[str, str] = {}


def rows() -> tuple[WeightsRow, ...]:
    """All rows, in file order: the first of a model is its default."""
    return tables("weights.toml", WeightsRow)


def find(model_id: str, quantization: str | None = None) -> WeightsRow | None:
    """The row of a model, by id or by the part after the slash, whatever the case; None when there is none.

    Raises `UnknownModelError` when the model is there but not in that quantization.
    """
    wanted = model_id.lower()
    found = [row for row in rows() if wanted in (row.model.lower(), row.model.lower().rpartition("/")[2])]
    if quantization is None:
        return found[0] if found else None
    for row in found:
        if row.quantization.lower() == quantization.lower():
            return row
    if found:
        raise errors.UnknownModelError(
            f"{found[0].model} is not known in {quantization}",
            hint=f"known: {', '.join(row.quantization for row in found)}",
        )
    return None


def nearest(model_id: str) -> str | None:
    """The catalog id that looks most like a misspelt one."""
    names = {row.model.lower(): row.model for row in rows()}
    names |= {row.model.lower().rpartition("/")[2]: row.model for row in rows()}
    near = errors.nearest(model_id.lower(), names)
    return None if near is None else names[near]


def template(name: str) -> str:
    """The text of a chat template in `catalog/templates/`."""
    text = files("freehold.catalog").joinpath("templates", f"{name}.jinja").read_text(encoding="utf-8")
    return text.removesuffix("\n")


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


@functools.cache
def published_rows() -> tuple[PublishedQuantization, ...]:
    """All of them, in file order."""
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
        for row in tables("quantizations.toml", RepositoryRow)
        for name, size in row.sizes.items()
    )


def published_files(names: tuple[str, ...]) -> list[PublishedQuantization]:
    """Those of a model, by any of its ids, whatever the case; largest first."""
    wanted = {name.lower() for name in names}
    return sorted(
        (row for row in published_rows() if row.model.lower() in wanted), key=lambda row: -row.bytes
    )
