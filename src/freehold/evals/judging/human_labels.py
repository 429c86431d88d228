"""Human labels of pairs, as `freehold label` or another tool writes them.

A label is about two answers. Those that `freehold label` writes say which, so that they do not correct a judge of other
answers: another candidate's, or the same one's after it was trained again.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from freehold.errors import InputError
from freehold.evals.comparing import SideBySide
from freehold.evals.judging.told import same_answer
from freehold.evals.normalizing import collapsed
from freehold.rows.reading import records
from freehold.types.record import content_id

HASTY_SECONDS = 1.0
"""Two answers can't be read in less."""

_KEY_DIGITS = 16
_WINNERS = {"candidate": 1.0, "incumbent": -1.0, "tie": 0.0, "equal": 0.0}


def read_labels(path: Path) -> dict[str, float]:
    """Labels by sample id: +1 candidate better, -1 incumbent better, 0 equal; the last label of an id counts.

    A line is ``{"id", "winner": "candidate" | "incumbent" | "tie"}`` or ``{"id", "candidate": 4, "incumbent": 5}`` with
    grades of both. Skipped ones (``"winner": null``) are left out. Raises `InputError` with the line.
    """
    labels: dict[str, float] = {}
    for number, value in _lines(path):
        label = _winner(value)
        if label is not None:
            labels[str(value["id"])] = label
        elif value.get("winner", "") is None:
            labels.pop(str(value["id"]), None)
        else:
            raise InputError(
                f"winner is {value.get('winner')!r}",
                path=str(path),
                line=number,
                hint=f"one of {', '.join(_WINNERS)}",
            )
    return labels


def read_differences(path: Path, reach: float) -> dict[str, float]:
    """Candidate minus incumbent by sample id, as a share of the scale's `reach`, from lines that grade both.

    Lines that only name a winner are left out: they don't say by how much.
    """
    differences: dict[str, float] = {}
    for _, value in _lines(path):
        grades = _grades(value)
        if grades is not None:
            differences[str(value["id"])] = (grades[0] - grades[1]) / reach
    return differences


def answers_key(candidate: str | None, incumbent: str | None) -> str:
    """What a label says of which two answers it is: a hash of both, without their white space."""
    return content_id([collapsed(candidate or ""), collapsed(incumbent or "")])[:_KEY_DIGITS]


def labels_of_answers(
    path: Path, labels: Mapping[str, float], results: SideBySide
) -> tuple[dict[str, float], str]:
    """The labels that hold for these answers, and what a reader must know of the others; empty where nothing.

    Two equal answers are equally good, whatever a label says: in a mixture most are the incumbent's own. Where a label
    is of other answers none counts. Those that are left would be no random sample: they are of the pairs that have not
    changed.
    """
    about = {str(value["id"]): value.get("answers") for _, value in _lines(path)}
    kept: dict[str, float] = {}
    others = untold = 0
    for sample, one, other in zip(results.samples, results.incumbent, results.candidate, strict=True):
        if sample.id not in labels:
            continue
        if same_answer(one.output, other.output):
            kept[sample.id] = 0.0
            continue
        told = about[sample.id]
        untold += told is None
        others += told is not None and told != answers_key(other.output, one.output)
        kept[sample.id] = labels[sample.id]
    if others:
        return {}, (
            f"{others:,} of {len(kept):,} human labels are of other answers than these, of another candidate or of "
            f"one before it was changed, so none counts: freehold label --out {path} asks for these pairs again."
        )
    if untold:
        return (
            kept,
            f"{untold:,} human labels do not say which answers they are of: whether these is not known.",
        )
    return kept, ""


def typical_seconds(path: Path) -> float | None:
    """Median seconds that a label took, of those whose pair was shown; None where no time was kept."""
    took = {
        str(value["id"]): value["seconds"]
        for _, value in _lines(path)
        if isinstance(value.get("seconds"), int | float) and value.get("shown", True) is True
    }
    return statistics.median(took.values()) if took else None


def haste_note(path: Path) -> str:
    """What a reader of a calibration must know about how its labels were taken; empty where nothing."""
    median = typical_seconds(path)
    if median is None or median >= HASTY_SECONDS:
        return ""
    return (
        f"The human labels took {median:.1f} s each (median), too little to read two answers: the correction is "
        "worth no more than they are. Label again, or have it done by other people."
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, value in records(path, dict[str, Any], "a label"):
        if not isinstance(value.get("id"), str | int):
            raise InputError("no id", path=str(path), line=number, hint="freehold label writes one")
        yield number, value


def _winner(value: dict[str, Any]) -> float | None:
    if isinstance(value.get("winner"), str):
        return _WINNERS.get(value["winner"])
    grades = _grades(value)
    return None if grades is None else float((grades[0] > grades[1]) - (grades[0] < grades[1]))


def _grades(value: dict[str, Any]) -> tuple[float, float] | None:
    candidate, incumbent = value.get("candidate"), value.get("incumbent")
    if isinstance(candidate, int | float) and isinstance(incumbent, int | float):
        return float(candidate), float(incumbent)
    return None
