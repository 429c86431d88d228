"""`freehold compare`: bare pairs of scores from a file, compared without any model."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

import msgspec

from freehold import files
from freehold.errors import InputError, UsageError
from freehold.late import np
from freehold.stats.clustered import drawn
from freehold.stats.compare import ScoreContext, compare_arrays, compare_scores, draw_of
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import PairedResult
from freehold.verdict.reasons import noted

_SHOWN_IDS = 5
_NULL_HINT = "write null for an item that could not be scored"

STDIN = Path("-")
"""Stands for what is piped in."""
_NOTHING_KNOWN = ScoreContext()

Score = float | bool | None


class _Line(msgspec.Struct):
    """One line of a pairs file; other keys are skipped."""

    id: str | int
    a: float | bool | msgspec.UnsetType | None = msgspec.UNSET
    b: float | bool | msgspec.UnsetType | None = msgspec.UNSET
    cluster: str | int | None = None


def _line_with(slices: Sequence[str]) -> type[_Line]:
    """The same line with fields ``slice_0``, ``slice_1`` … read from the keys that are sliced by. Raises `UsageError`
    for a key that cannot be one."""
    if not slices:
        return _Line
    for key in slices:
        if key in _Line.__struct_fields__:
            raise UsageError(
                f"a comparison cannot be sliced by {key!r}: that field has a meaning of its own",
                hint="copy it to a field of another name and slice by that",
            )
        if not key.isprintable() or '"' in key or "\\" in key:
            raise UsageError(
                f"a comparison cannot be sliced by {key!r}: the name has a quote, a backslash or a control character",
                hint="rename the field in the file",
            )
    names = {f"slice_{i}": key for i, key in enumerate(slices)}
    fields = [(name, Any, msgspec.UNSET) for name in names]
    made = msgspec.defstruct("_SlicedLine", fields, bases=(_Line,), rename=names)
    assert issubclass(made, _Line)
    return made


class ScoreColumns(NamedTuple):
    """Columns of a pairs file. NaN stands for unscored."""

    incumbent: np.ndarray[Any, np.dtype[np.float64]]
    candidate: np.ndarray[Any, np.dtype[np.float64]]
    clusters: np.ndarray[Any, np.dtype[np.int64]] | None
    counted: np.ndarray[Any, np.dtype[np.bool_]] | None
    slices: dict[str, list[str | None]]


def compare_file(
    path: Path,
    rule: DecisionRule,
    *,
    slices: Sequence[str] = (),
    context: ScoreContext = _NOTHING_KNOWN,
) -> PairedResult:
    """Compare the pairs of a JSON-lines file: ``{"id", "a", "b", "cluster"?}`` and fields to slice by.

    `path` may be `STDIN`. `a` is the incumbent's score, `b` the candidate's, null is unscored. Raises `InputError`
    with the line for a malformed file, a duplicate id or a score outside the rule's range; for ids with one score only;
    `UsageError` for a margin that nothing could fail.
    """
    pairs = read_pairs(path, slices=slices, lo=rule.lo, hi=rule.hi)
    result = compare_arrays(
        pairs.incumbent,
        pairs.candidate,
        rule,
        codes=pairs.clusters,
        counted=pairs.counted,
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
    result = compare_scores(
        [str(row) for row in range(len(incumbent))],
        incumbent,
        candidate,
        rule,
        clusters=clusters,
        slices=slices,
        context=context,
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


def read_pairs(path: Path, *, slices: Sequence[str] = (), lo: float = 0.0, hi: float = 1.0) -> ScoreColumns:
    """Read a pairs file line by line; memory grows with the ids and the columns only."""
    x, y, clusters, draw = array("d"), array("d"), array("q"), array("Q")
    columns: dict[str, list[str | None]] = {name: [] for name in slices}
    sliced = [(f"slice_{i}", column) for i, column in enumerate(columns.values())]
    ids: set[str | int] = set()
    known: dict[str | int, int] = {}
    clustered, lonely = False, []
    for number, line in _lines(path, _line_with(tuple(columns))):
        if line.id in ids:
            raise InputError(
                f"id {_shown(line.id)} occurs before",
                path=str(path),
                line=number,
                hint="an item may be compared only once",
            )
        ids.add(line.id)
        a, b = line.a, line.b
        if a is msgspec.UNSET or b is msgspec.UNSET:
            lonely.append(line.id)
            continue
        x.append(_value(a, "a", lo, hi, path, number))
        y.append(_value(b, "b", lo, hi, path, number))
        draw.append(draw_of(line.id))
        if line.cluster is None:
            clusters.append(-len(x))  # a unit of its own
        else:
            clustered = True
            clusters.append(known.setdefault(line.cluster, len(known)))
        for attribute, column in sliced:
            value = getattr(line, attribute)
            column.append(value if isinstance(value, str) else _plain(value))
    if lonely:
        shown = ", ".join(_shown(name) for name in lonely[:_SHOWN_IDS])
        more = f" and {len(lonely) - _SHOWN_IDS} more" if len(lonely) > _SHOWN_IDS else ""
        raise InputError(
            f"{len(lonely)} ids have a score for one model only: {shown}{more}",
            path=str(path),
            hint=_NULL_HINT,
        )
    if not ids:
        raise InputError("no pairs in it", path=str(path), hint='one JSON object a line: {"id", "a", "b"}')
    absent = [name for name, column in columns.items() if column and not any(column)]
    if absent:
        raise InputError(f"no line has a value for the field {absent[0]!r}", path=str(path))
    codes = np.frombuffer(clusters, dtype=np.int64) if clustered else None
    return ScoreColumns(
        np.frombuffer(x, dtype=np.float64) if len(x) else np.empty(0),
        np.frombuffer(y, dtype=np.float64) if len(y) else np.empty(0),
        codes,
        None if codes is None else drawn(codes, np.frombuffer(draw, dtype=np.uint64)),
        columns,
    )


def _lines(path: Path, kind: type[_Line]) -> Iterator[tuple[int, _Line]]:
    decode = msgspec.json.Decoder(kind).decode
    with files.reading(path), _opened(path) as file:
        for number, raw in enumerate(file, 1):
            try:
                yield number, decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if not raw.strip():
                    continue
                raise InputError(_reason(error, raw), path=str(path), line=number, hint=_hint(raw)) from None


def _opened(path: Path) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if path == STDIN else path.open("rb")


def _reason(error: Exception, raw: bytes) -> str:
    if b"NaN" in raw or b"Infinity" in raw:
        return "a score is not a number"
    message, _, path = str(error).partition(" - at `$")
    path = path.strip("`.")
    return f"{path}: {message}" if path else message


def _hint(raw: bytes) -> str:
    if b"NaN" in raw or b"Infinity" in raw:
        return _NULL_HINT
    return 'one JSON object a line: {"id": "q1", "a": 1, "b": 0}; a and b are numbers, true, false or null'


def _value(score: Score, name: str, lo: float, hi: float, path: Path, number: int) -> float:
    if score is None:
        return math.nan
    if not lo <= score <= hi:
        raise InputError(
            f"{name} is {score:g}, outside {lo:g} to {hi:g}",
            path=str(path),
            line=number,
            hint="declare the score's range: --range LOW HIGH",
        )
    return float(score)


def _plain(value: Any) -> str | None:
    return None if value is None or value is msgspec.UNSET else msgspec.json.encode(value).decode()


def _shown(name: str | int) -> str:
    return f"'{name}'"
