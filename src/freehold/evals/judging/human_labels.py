"""Human labels of pairs, as `freehold label` or another tool writes them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.errors import InputError

HASTY_SECONDS = 1.0
"""Two answers can't be read in less."""

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
        elif value.get("winner", "") is not None:
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
    with files.reading(path, hint="freehold label writes one"):
        data = path.read_bytes()
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InputError(f"not valid JSON: {error}", path=str(path), line=number) from None
        if not isinstance(value, dict) or not isinstance(value.get("id"), str | int):
            raise InputError("no id", path=str(path), line=number)
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
