"""Outputs of another tool's run, read from a file with one item a line.

Native lines, or rows of a table, are ``{"id", "output", "gold"?, "score"?, "group"?, "question"?, "metadata"?}``; the
result files of other harnesses are recognised by `freehold.evals.imports`. A score already in the file is used where no
scorer is asked for; null is unscored.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import InputError, UsageError
from freehold.rows.reading import records
from freehold.types.record import Record

# An item's own id stands first: a batch file's lines carry an ``id``, too, which is new in every batch.
_NAMES = {
    "id": ("custom_id", "id", "sample_id", "item_id", "doc_id"),
    "output": ("output", "answer", "response", "completion", "prediction", "text"),
    "gold": ("gold", "reference", "target", "expected", "ideal", "label"),
    "question": ("question", "input", "prompt"),
    "group": ("group", "cluster", "conversation_id"),
}


class OutputLine(Record, frozen=True, kw_only=True):
    """One item's output. `scored` says that the file carried a score, which may be None (unscored)."""

    id: str
    output: str | None = None
    gold: str | None = None
    score: float | None = None
    scored: bool = False
    group: str | None = None
    question: str | None = None
    metadata: dict[str, Any] = {}
    metric: str | None = None
    """Which number of the file the score is, where it holds several (`metrics`)."""
    metrics: tuple[str, ...] = ()


Pairs = list[tuple[OutputLine, OutputLine]]
"""The lines of two files for the same items, in the order of the first."""


def read_lines(path: Path) -> list[OutputLine]:
    """The items of a file with one item a line or row. Raises `InputError` with the line for what can't be read."""
    return [native_line(value, path, number) for number, value in records(path, dict[str, Any], "an item")]


def native_line(value: dict[str, Any], path: Path, number: int) -> OutputLine:
    """One native line. Raises `InputError` for a missing id or a score that is not a number."""
    id = _first(value, "id")
    if id is None:
        raise InputError(
            "no id", path=str(path), line=number, hint="each line needs an id that both files share"
        )
    score = value.get("score")
    if isinstance(score, bool):
        score = float(score)
    elif isinstance(score, str):  # as tables hold numbers
        with contextlib.suppress(msgspec.ValidationError):
            score = msgspec.convert(score, float, strict=False)
    if score is not None and (not isinstance(score, int | float) or not math.isfinite(score)):
        raise InputError(f"score is {score!r}, expected a number or null", path=str(path), line=number)
    metadata = value.get("metadata")
    return OutputLine(
        id=str(id),
        output=_answer(_first(value, "output")),
        gold=as_text(_first(value, "gold")),
        score=None if score is None else float(score),
        scored="score" in value,
        group=None if (group := _first(value, "group")) is None else str(group),
        question=as_text(_first(value, "question")),
        metadata=metadata if isinstance(metadata, dict) else {},
    )


def _answer(value: Any) -> str | None:
    """An output as text; of an API's response body (as batch files hold it) its answer, None where the call failed."""
    in_batch = isinstance(value, dict) and isinstance(value.get("body"), dict)
    body = value["body"] if in_batch else value
    choices = body.get("choices") if isinstance(body, dict) else None
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        message = choices[0].get("message") or {}
        return as_text(message.get("tool_calls") or message.get("content") or message.get("refusal"))
    if in_batch and isinstance(body.get("output"), list):  # the Responses API
        items = [item for item in body["output"] if isinstance(item, dict)]
        parts = [part for item in items for part in item.get("content") or () if isinstance(part, dict)]
        return "".join(part.get("text") or part.get("refusal") or "" for part in parts) or None
    return None if in_batch and body.get("error") else as_text(value)


def as_text(value: Any) -> str | None:
    """A value as the text a scorer reads: text as it is, anything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _first(value: dict[str, Any], field: str) -> Any:
    return next((value[name] for name in _NAMES[field] if value.get(name) is not None), None)


def unique(lines: Sequence[OutputLine], path: Path) -> dict[str, OutputLine]:
    """The lines by id. Raises `UsageError` naming ids that occur more than once."""
    by_id: dict[str, OutputLine] = {}
    twice = []
    for line in lines:
        if line.id in by_id:
            twice.append(line.id)
        by_id[line.id] = line
    if twice:
        raise UsageError(
            f"{path}: {len(twice):,} duplicate ids: {listed(twice)}",
            hint="one line an item; repeats of one item belong into one score, their mean",
        )
    return by_id


def pair(a: dict[str, OutputLine], b: dict[str, OutputLine]) -> Pairs:
    """The items of two files. Raises `UsageError` for ids only one has."""
    only_a = tuple(id for id in a if id not in b)
    only_b = tuple(id for id in b if id not in a)
    both = [(line, b[id]) for id, line in a.items() if id in b]
    if only_a or only_b:
        parts = [
            f"{len(ids):,} only in {name} ({listed(ids)})"
            for name, ids in (("a", only_a), ("b", only_b))
            if ids
        ]
        raise UsageError(
            f"the files do not hold the same items: {', '.join(parts)}",
            hint="write null for an answer that failed: what fails on one side is not chance"
            if both
            else "no id is in both: were they written for the same items?",
        )
    if not both:
        raise UsageError("no id is in both files", hint="were they written for the same items?")
    return both


def listed(ids: Iterable[str], limit: int = 5) -> str:
    """The first few ids, and how many more."""
    names = list(ids)
    more = f", … and {len(names) - limit:,} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
