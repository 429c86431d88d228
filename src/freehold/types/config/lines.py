"""Where a key stands in the text of a `freehold.toml`: parsed tables no longer know it."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")


def line_of(text: str, key: str) -> int | None:
    """The line, counted from 1, of a key as errors write it: ``task.margin``, ``candidates[1].method``. Of a key in an
    inline table, that of the table; None where it stands nowhere, as a key that is missing does.

    Lines within a text of several lines that look like keys are taken for keys.
    """
    wanted = re.findall(r"[^.\[\]]+", key)
    counts: dict[str, int] = {}
    table: list[str] = []
    best, best_depth = None, 0
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _words(header[2])
            if header[1] == "[[":
                counts[header[2]] = counts.get(header[2], -1) + 1
                table = [*table, str(counts[header[2]])]
            place = table
        elif found := _KEY.match(line):
            place = [*table, *_words(found[1])]
        else:
            continue
        if len(place) > best_depth and _begins(wanted, place):
            best, best_depth = number, len(place)
    return best


def _words(dotted: str) -> list[str]:
    return [word.strip().strip("\"'") for word in dotted.split(".")]


def _begins(wanted: list[str], place: list[str]) -> bool:
    """Whether `place` leads to `wanted`; the number of a table in a list counts only where `wanted` has one."""
    if not any(word.isdecimal() for word in wanted):
        place = [word for word in place if not word.isdecimal()]
    return place == wanted[: len(place)]
