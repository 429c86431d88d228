"""Models known to exist that have no row in the catalog (`unlisted.toml`), and the parts of a model's name."""

from __future__ import annotations

import functools
import re
import tomllib
from datetime import date
from importlib.resources import files

import msgspec

from freehold.types.record import Record


class UnlistedModels(Record, frozen=True, kw_only=True):
    """Models without a row in `models/` and why. `released` is the month of the newest of them."""

    ids: tuple[str, ...]
    released: str
    why: str
    source: str
    checked: date


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    unlisted: tuple[UnlistedModels, ...]


@functools.cache
def rows() -> tuple[UnlistedModels, ...]:
    """All rows, in file order."""
    text = files("freehold.catalog").joinpath("unlisted.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).unlisted


def why(model_id: str) -> UnlistedModels | None:
    """The row that names a model, by its id or by whole words that its name begins with; None when there is none."""
    asked = _plain(model_id)
    for row in rows():
        for name in map(_plain, row.ids):
            if name == asked or (numbers(asked) and name.startswith(f"{asked}-")):
                return row
    return None


def _plain(text: str) -> str:
    """A name after its slash as it is compared: small letters, ``-`` for blanks."""
    return text.lower().rpartition("/")[2].replace(" ", "-")


def numbers(text: str) -> list[str]:
    """Numbers of a name, in order: ``Qwen3.8-27B-FP8`` has 3.8, 27 and 8."""
    return re.findall(r"\d+(?:\.\d+)*", _plain(text))


def words(text: str) -> set[str]:
    """Words of two letters or more of a name."""
    return set(re.findall(r"[a-z]{2,}", _plain(text)))


def family(text: str) -> str | None:
    """The first of them."""
    found = re.search(r"[a-z]{2,}", _plain(text))
    return found[0] if found else None
