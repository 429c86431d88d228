"""Uses of rented models found in a code base."""

from __future__ import annotations

from datetime import date
from typing import Literal

from freehold.types.record import Record

ModelUseKind = Literal["model_id", "sdk", "endpoint", "key"]

EndStatus = Literal["ended", "gone", "ends", "deprecated", "available", "unknown"]
"""`gone`: retired without a published day; `deprecated`: to be retired, without a day; `available`: its vendor
names it, without an end; `unknown`: only spelt like a model's id."""


class _End(Record, frozen=True, kw_only=True):
    """When a model ends and what its vendor names in its place; without a day where none is known."""

    shutdown: date | None = None
    days_left: int | None = None
    replacement: str | None = None


class ModelEnd(_End, frozen=True, kw_only=True):
    """One name that a partial name (``gpt-4.1-{…}``) can become."""

    model: str
    status: EndStatus


class _SourcedEnd(_End, frozen=True, kw_only=True):
    """The same with where it was read, and whether that was long ago. Of a partial name, `becomes` are all names it
    can become, and the day is the first of theirs."""

    becomes: tuple[ModelEnd, ...] = ()
    retirement_source: str | None = None
    stale: bool = False


class ModelUse(_SourcedEnd, frozen=True, kw_only=True):
    """One place. `line` and `column` count from 1. `model` and `status` are None for an SDK, an endpoint or a key's
    name."""

    kind: ModelUseKind
    path: str
    line: int
    column: int
    text: str
    vendor: str
    how: str
    model: str | None = None
    status: EndStatus | None = None


class ScannedModel(_SourcedEnd, frozen=True, kw_only=True):
    """A model with all its places (``path:line:column``)."""

    model: str
    vendor: str
    status: EndStatus
    places: tuple[str, ...]


class UnreadFiles(Record, frozen=True, kw_only=True):
    """Files that were not looked into, by reason."""

    reason: str
    count: int
    paths: tuple[str, ...]


class Scan(Record, frozen=True, kw_only=True):
    """All findings of one code base, and its models, most urgent first. `skipped` are files that could not be read,
    with the reason; `unread` files of kinds that are not read."""

    root: str
    as_of: date
    files: int
    findings: tuple[ModelUse, ...]
    models: tuple[ScannedModel, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    unread: tuple[UnreadFiles, ...] = ()
    version: str = ""
