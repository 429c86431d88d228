"""Published scores of models, as references: what a source measured on a public task, with its date.

`scores_makers.toml` has the tables of 2025 and later, `scores.toml` single scores of before. Scores compare within one
task, metric and source only: the same people with the same harness. Settings may differ within a source (tuned against
zero-shot) and are shown.
"""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib.resources import files
from typing import Literal

import msgspec


class PublishedScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[[scores]]` table."""

    task: str
    metric: str
    model: str
    kind: Literal["open", "proprietary"]
    setting: str
    score: float
    source: str
    checked: date
    n: str | None = None
    note: str | None = None
    seen: bool = True
    published: str | None = None
    """Month of the table it stands in, ``2026-04``; None: see `source`."""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scores: tuple[PublishedScore, ...]


class _Scored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model of a makers' table."""

    name: str
    kind: Literal["open", "proprietary"]


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task of it: scores in the order of the models, ``nan`` where the table does not say."""

    task: str
    metric: str
    scores: tuple[float, ...]


class _MakersTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    published: str
    checked: date
    setting: str
    models: tuple[_Scored, ...]
    tasks: tuple[_Line, ...]


class _MakersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tables: tuple[_MakersTable, ...]


@functools.cache
def rows() -> tuple[PublishedScore, ...]:
    """All rows: makers' tables and boards, newest first, then single scores of before."""
    return (*_makers(), *msgspec.convert(_data("scores.toml"), _File).scores)


def _data(name: str) -> dict[str, object]:
    return tomllib.loads(files("freehold.catalog").joinpath(name).read_text(encoding="utf-8"))


def _makers() -> Iterator[PublishedScore]:
    tables = msgspec.convert(_data("scores_makers.toml"), _MakersFile).tables
    for table in sorted(tables, key=lambda one: one.published, reverse=True):
        for line in table.tasks:
            for model, score in zip(table.models, line.scores, strict=True):
                if not math.isnan(score):
                    yield PublishedScore(
                        task=line.task,
                        metric=line.metric,
                        model=model.name,
                        kind=model.kind,
                        setting=table.setting,
                        score=score,
                        source=table.source,
                        checked=table.checked,
                        published=table.published,
                    )


def of(names: tuple[str, ...]) -> list[PublishedScore]:
    """Scores of a model, by any of its ids or the part after the slash, whatever the case."""
    wanted = {part for name in names for part in (name.lower(), name.lower().rpartition("/")[2])}
    return [row for row in rows() if row.model.lower() in wanted]
