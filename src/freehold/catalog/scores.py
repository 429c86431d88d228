"""Published scores as references, and the gap between open and proprietary models.

`scores_makers.toml` has the tables of 2025 and later, `scores.toml` single scores of before, `lora_land.toml` the 31
tasks of LoRA Land. A gap is only taken within one task, metric and source: the same people with the same harness.
Settings may differ within a source (tuned against zero-shot) and are shown.
"""

from __future__ import annotations

import difflib
import functools
import math
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib.resources import files
from typing import Literal

import msgspec

from freehold.errors import UsageError
from freehold.types.record import Record

RECENT = "2025-01"
"""Tables published since then answer what models of today do; older ones are references of their time."""
LEVEL, CLOSE = 0.0, 3.0
"""Points from which an open model counts as level, and within which it counts as close."""
LOWER_IS_BETTER = ("error", "loss", "perplexity")


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


class Gap(Record, frozen=True, kw_only=True):
    """Best open against best proprietary in one source. `difference` is open minus proprietary, in the metric's
    own unit; positive: the open one is better."""

    task: str
    metric: str
    source: str
    checked: date
    open_model: str
    open_setting: str
    open_score: float
    proprietary_model: str
    proprietary_setting: str
    proprietary_score: float
    difference: float
    same_setting: bool
    all_seen: bool
    published: str | None = None
    """Month of the table; None for references of before 2025 that do not say it."""
    like_model: str | None = None
    """Where settings differ: the best open model in the proprietary one's setting, if the source has one."""
    like_score: float | None = None
    like_difference: float | None = None

    @property
    def recent(self) -> bool:
        """Is its table of 2025 or later?"""
        return self.published is not None and self.published >= RECENT


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scores: tuple[PublishedScore, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task: scores in the order of the file's models."""

    task: str
    metric: str
    tuned: tuple[float, ...]
    base: tuple[float, ...]
    rented: tuple[float, ...]


class _Tables(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    published: str
    checked: date
    open: tuple[str, ...]
    proprietary: tuple[str, ...]
    tasks: tuple[_Table, ...]


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
    """All rows: makers' tables and boards, newest first, then single scores of before, LoRA Land's last."""
    return (*_makers(), *msgspec.convert(_data("scores.toml"), _File).scores, *_lora_land())


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


def _lora_land() -> Iterator[PublishedScore]:
    found = msgspec.convert(_data("lora_land.toml"), _Tables)
    for table in found.tasks:
        for kind, models, setting, values in (
            ("open", found.open, "LoRA, tuned on the task", table.tuned),
            ("open", found.open, "untuned", table.base),
            ("proprietary", found.proprietary, "untuned", table.rented),
        ):
            for model, score in zip(models, values, strict=True):
                yield PublishedScore(
                    task=table.task,
                    metric=table.metric,
                    model=model,
                    kind="open" if kind == "open" else "proprietary",
                    setting=setting,
                    score=score,
                    source=found.source,
                    checked=found.checked,
                    published=found.published,
                )


def of(names: tuple[str, ...]) -> list[PublishedScore]:
    """Scores of a model, by any of its ids or the part after the slash, whatever the case."""
    wanted = {part for name in names for part in (name.lower(), name.lower().rpartition("/")[2])}
    return [row for row in rows() if row.model.lower() in wanted]


def tasks() -> list[str]:
    """Tasks with a score, in file order."""
    return list(dict.fromkeys(row.task for row in rows()))


def gaps(task: str | None = None) -> list[Gap]:
    """Gaps of a task (default: of all), one a source that scored both kinds, the newest tables first.

    Raises `UsageError` for a task without scores.
    """
    chosen = [row for row in rows() if task is None or task.lower() in row.task.lower()]
    if not chosen:
        near = difflib.get_close_matches(task or "", tasks(), n=3, cutoff=0.5)
        shown = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(
            f"no published score of {task}", hint=f"{shown}freehold gap lists all {len(tasks())} tasks"
        )
    groups: dict[tuple[str, str, str], list[PublishedScore]] = {}
    for row in chosen:
        groups.setdefault((row.task, row.metric, row.source), []).append(row)
    found = [gap for gap in map(_gap, groups.values()) if gap is not None]
    return sorted(found, key=lambda gap: (gap.recent, gap.published if gap.recent else ""), reverse=True)


def newest(found: list[Gap]) -> list[Gap]:
    """Of each task the gap of its newest table, for tables of 2025 and later; in order."""
    latest: dict[str, Gap] = {}
    for gap in found:
        if gap.recent:
            latest.setdefault(gap.task, gap)
    return list(latest.values())


def headline(found: list[Gap]) -> str | None:
    """One sentence: do open models reach rented ones, as the newest table of each task has it? None without a table of
    2025 or later. Counted are differences of the best of each kind, in points."""
    latest = newest(found)
    if not latest:
        return None
    ahead = [gap for gap in latest if gap.difference >= LEVEL]
    near = [gap for gap in latest if LEVEL > gap.difference >= -CLOSE]
    far = [gap for gap in latest if gap.difference < -CLOSE]
    months = sorted({gap.published or "" for gap in latest})
    span = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    if len(latest) == 1:
        (gap,) = latest
        where = "level with or ahead of" if ahead else ("close behind" if near else "behind")
        return (
            f"On {gap.task} ({span}) the best open model is {where} the best rented one named there: "
            f"{gap.difference:+.1f} points, {gap.open_model} against {gap.proprietary_model}."
        )
    said = (
        f"In the newest table of each of {len(latest)} tasks ({span}) the best open model is level with or ahead of "
        f"the best rented one named there on {len(ahead)}, up to {CLOSE:g} points behind on {len(near)}, "
        f"further behind on {len(far)}"
    )
    if far:
        worst = min(far, key=lambda gap: gap.difference)
        said += f" (most on {worst.task}, {worst.difference:+.1f})"
    return f"{said}."


def _gap(group: list[PublishedScore]) -> Gap | None:
    sign = -1 if any(word in group[0].metric.lower() for word in LOWER_IS_BETTER) else 1
    best: dict[str, PublishedScore] = {}
    for row in group:
        if row.kind not in best or sign * row.score > sign * best[row.kind].score:
            best[row.kind] = row
    if len(best) < 2:
        return None
    one, other = best["open"], best["proprietary"]
    alike = [row for row in group if row.kind == "open" and row.setting == other.setting]
    like = max(alike, key=lambda row: sign * row.score) if alike and one.setting != other.setting else None
    return Gap(
        task=one.task,
        metric=one.metric,
        source=one.source,
        checked=min(one.checked, other.checked),
        published=one.published,
        open_model=one.model,
        open_setting=one.setting,
        open_score=one.score,
        proprietary_model=other.model,
        proprietary_setting=other.setting,
        proprietary_score=other.score,
        difference=round(sign * (one.score - other.score), 4),
        same_setting=one.setting == other.setting,
        all_seen=one.seen and other.seen,
        like_model=like.model if like else None,
        like_score=like.score if like else None,
        like_difference=round(sign * (like.score - other.score), 4) if like else None,
    )
