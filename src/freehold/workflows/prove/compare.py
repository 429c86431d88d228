"""`freehold compare`: bare pairs of scores from a file, compared without any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.errors import InputError, UsageError
from freehold.rows.reading import record_of, rows
from freehold.stats.compare import ScoreContext, compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import PairedResult
from freehold.verdict.reasons import noted

_HINT = 'one JSON object a line: {"id": "q1", "a": 1, "b": 0}; a and b are numbers, true, false or null (unscored)'
_NOTHING_KNOWN = ScoreContext()

Score = float | bool | None


class _Pair(msgspec.Struct):
    """One line of a pairs file; other keys are what can be sliced by."""

    id: str | int
    a: Score
    b: Score
    cluster: str | int | None = None


class PairColumns(NamedTuple):
    """A pairs file by columns; `slices` are values by the name of a field."""

    ids: list[str]
    incumbent: list[Score]
    candidate: list[Score]
    clusters: list[str | None]
    slices: dict[str, list[str | None]]


def compare_file(
    path: Path,
    rule: DecisionRule,
    *,
    slices: Sequence[str] = (),
    context: ScoreContext = _NOTHING_KNOWN,
) -> PairedResult:
    """Compare the pairs of a JSON-lines file: ``{"id", "a", "b", "cluster"?}`` and fields to slice by.

    `path` may be `freehold.rows.reading.STDIN`. `a` is the incumbent's score, `b` the candidate's, null is unscored.
    Raises `InputError` with the line for a malformed file; `UsageError` for a duplicate id, a score outside the rule's
    range, and a margin that nothing could fail.
    """
    pairs = read_pairs(path, slices=slices)
    result = compare_scores(
        pairs.ids,
        pairs.incumbent,
        pairs.candidate,
        rule,
        clusters=pairs.clusters,
        slices=pairs.slices,
        context=context,
    )
    return _checked(result, rule)


def compare_values(
    incumbent: Sequence[Score],
    candidate: Sequence[Score],
    rule: DecisionRule,
    *,
    clusters: Sequence[str | None] | None = None,
    slices: Mapping[str, Sequence[str | None]] | None = None,
    context: ScoreContext = _NOTHING_KNOWN,
) -> PairedResult:
    """Compare scores of the same items that a program holds; None is unscored, `clusters` names each item's independent
    unit. Raises `UsageError` as `compare_scores`, and for a margin that nothing could fail."""
    ids = [str(row) for row in range(len(incumbent))]
    result = compare_scores(
        ids, incumbent, candidate, rule, clusters=clusters, slices=slices, context=context
    )
    return _checked(result, rule)


def _checked(result: PairedResult, rule: DecisionRule) -> PairedResult:
    """The result with its notes, if there is a margin to fail."""
    if "margin_not_below_incumbent" in result.reasons:
        assert result.incumbent_mean is not None
        raise UsageError(
            f"margin is {rule.margin:g} and the incumbent's own score is {result.incumbent_mean - rule.lo:.4g} above "
            "the lowest: no candidate could fail",
            hint="choose a margin well below the incumbent's score",
        )
    return noted(result)


def read_pairs(path: Path, *, slices: Sequence[str] = ()) -> PairColumns:
    """The columns of a pairs file. Raises `InputError` with the line."""
    pairs = PairColumns([], [], [], [], {name: [] for name in slices})
    for row in rows(path, "json lines"):
        pair = record_of(row, _Pair, "a pair", path, hint=_HINT)
        pairs.ids.append(str(pair.id))
        pairs.incumbent.append(pair.a)
        pairs.candidate.append(pair.b)
        pairs.clusters.append(None if pair.cluster is None else str(pair.cluster))
        for name, column in pairs.slices.items():
            value = (row.value or {}).get(name)
            column.append(
                value if value is None or isinstance(value, str) else msgspec.json.encode(value).decode()
            )
    if not pairs.ids:
        raise InputError("no pairs in it", path=str(path), hint=_HINT)
    for name, column in pairs.slices.items():
        if not any(column):
            raise InputError(f"no line has a value for the field {name!r}", path=str(path))
    return pairs
