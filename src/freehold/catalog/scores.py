"""Published scores as references (`scores.toml`, `lora_land.toml`), and the gap between open and proprietary models.

A gap is only taken within one task, metric and source: the same people with the same harness. Settings may differ
within a source (tuned against zero-shot) and are shown.
"""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib.resources import files
from typing import Literal

import msgspec

from freehold.errors import UsageError
from freehold.types.record import Record

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
    like_model: str | None = None
    """Where settings differ: the best open model in the proprietary one's setting, if the source has one."""
    like_score: float | None = None
    like_difference: float | None = None


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
    checked: date
    open: tuple[str, ...]
    proprietary: tuple[str, ...]
    tasks: tuple[_Table, ...]


@functools.cache
def rows() -> tuple[PublishedScore, ...]:
    """All rows, in file order; LoRA Land's come last."""
    text = files("freehold.catalog").joinpath("scores.toml").read_text(encoding="utf-8")
    return msgspec.convert(tomllib.loads(text), _File).scores + tuple(_lora_land())


def _lora_land() -> Iterator[PublishedScore]:
    text = files("freehold.catalog").joinpath("lora_land.toml").read_text(encoding="utf-8")
    found = msgspec.convert(tomllib.loads(text), _Tables)
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
                )


def of(names: tuple[str, ...]) -> list[PublishedScore]:
    """Scores of a model, by any of its ids or the part after the slash, whatever the case."""
    wanted = {part for name in names for part in (name.lower(), name.lower().rpartition("/")[2])}
    return [row for row in rows() if row.model.lower() in wanted]


def tasks() -> list[str]:
    """Tasks with a score, in file order."""
    return list(dict.fromkeys(row.task for row in rows()))


def gaps(task: str | None = None) -> list[Gap]:
    """Gaps of a task (default: of all), one a source that scored both kinds.

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
    found = (_gap(group) for group in groups.values())
    return [gap for gap in found if gap is not None]


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
