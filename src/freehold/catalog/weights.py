"""Which weights of a model are known, and what their bytes must be (`weights.toml`)."""

from __future__ import annotations

import datetime
import functools
import tomllib
from importlib.resources import files

import msgspec

from freehold import errors
from freehold.types.model import WeightsFormat


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


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    weights: tuple[WeightsRow, ...]


@functools.cache
def rows() -> tuple[WeightsRow, ...]:
    """All rows, in file order: the first of a model is its default."""
    text = files("freehold.catalog").joinpath("weights.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).weights


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
