"""When a rented model is shut down, as its maker has announced."""

from __future__ import annotations

import functools
from datetime import date
from importlib import resources

import msgspec

from freehold.errors import StorageError
from freehold.types.record import Record


class Retirement(Record, frozen=True, kw_only=True):
    """One announced date. `fine_tunes`: models fine-tuned from these end with them. `checked`: when it was read."""

    maker: str
    shuts_down: date
    models: tuple[str, ...]
    source: str
    checked: date
    fine_tunes: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    retirements: tuple[Retirement, ...]


@functools.cache
def retirements() -> tuple[Retirement, ...]:
    """All entries. Raises `StorageError` when the file does not fit."""
    data = (resources.files("freehold.catalog") / "retirements.toml").read_bytes()
    try:
        return msgspec.toml.decode(data, type=_File).retirements
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise StorageError(f"catalog/retirements.toml: {error}") from None


def retirement_of(model: str) -> Retirement | None:
    """The announced end of a model on its maker's own API; None where none is known, which is no promise.

    A fine-tune is named ``ft:BASE:…``.
    """
    name = model.strip()
    tuned = name.startswith("ft:")
    base = name.split(":")[1] if tuned and name.count(":") else name
    return next((one for one in retirements() if base in one.models and (one.fine_tunes or not tuned)), None)
