"""A pattern on an answer, as a job for a process that a limit of time ends: some patterns never end."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec


class PatternSearch(msgspec.Struct, frozen=True, array_like=True):
    """What is searched, and for what. `full`: the whole text must match."""

    pattern: str
    flags: int
    text: str
    full: bool
    group: int | str | None = None


class PatternFound(msgspec.Struct, frozen=True, array_like=True):
    """Whether the pattern matched, what the group of the last match captured, why the pattern is not one."""

    matched: bool = False
    captured: str | None = None
    error: str | None = None


def find(parts: Sequence[bytes]) -> list[bytes]:
    """The job."""
    return [msgspec.msgpack.encode(found(msgspec.msgpack.decode(parts[0], type=PatternSearch)))]


def found(search: PatternSearch) -> PatternFound:
    """The last match of a pattern."""
    try:
        pattern = re.compile(search.pattern, search.flags)
    except (re.error, RecursionError, OverflowError) as error:
        return PatternFound(error=str(error))
    last = None
    if search.full:
        last = pattern.fullmatch(search.text)
    else:
        for match in pattern.finditer(search.text):
            last = match
            if search.group is None:
                break
    if last is None:
        return PatternFound()
    return PatternFound(True, None if search.group is None else last[search.group])


JOBS = {"find": find}
