"""Uses of rented models found in a code base."""

from __future__ import annotations

from datetime import date
from typing import Literal

from freehold.types.record import Record

ModelUseKind = Literal["model_id", "sdk", "endpoint", "key"]


class ModelUse(Record, frozen=True, kw_only=True):
    """One place. `line` and `column` count from 1. `model` is None for an SDK, an endpoint or a key's name."""

    kind: ModelUseKind
    path: str
    line: int
    column: int
    text: str
    vendor: str
    how: str
    model: str | None = None
    shutdown: date | None = None
    days_left: int | None = None
    replacement: str | None = None
    retirement_source: str | None = None
    stale: bool = False


class Scan(Record, frozen=True, kw_only=True):
    """All findings of one code base. `skipped` are files that could not be read as text, with the reason."""

    root: str
    as_of: date
    files: int
    findings: tuple[ModelUse, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    version: str = ""
