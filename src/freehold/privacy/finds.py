"""What was found where in a text, and a text with its finds replaced. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Find(NamedTuple):
    """Characters `start` to `end` of a text are of a `kind` (``EMAIL``, ``PERSON``, ``SECRET`` …)."""

    start: int
    end: int
    kind: str


Finder = Callable[[str], list[Find]]


def apart(finds: Iterable[Find]) -> list[Find]:
    """The finds in order without overlaps: of two that overlap the longer one stays, of equals the first."""
    kept: list[Find] = []
    for one in sorted(finds, key=lambda find: (find.start, find.start - find.end)):
        if not kept or kept[-1].end <= one.start:
            kept.append(one)
        elif one.end - one.start > kept[-1].end - kept[-1].start:
            kept[-1] = one
    return kept


def replaced(text: str, finds: Iterable[Find], shown: Callable[[Find, str], str]) -> str:
    """The text with each find (in order, apart from each other) replaced by what `shown` makes of it."""
    pieces: list[str] = []
    done = 0
    for find in finds:
        pieces += [text[done : find.start], shown(find, text[find.start : find.end])]
        done = find.end
    return "".join([*pieces, text[done:]])


def blanked(text: str, finds: Iterable[Find], blank: str) -> str:
    """The text with each find (in order, apart from each other) filled with one character: places stay right."""
    return replaced(text, finds, lambda find, _: blank * (find.end - find.start))
