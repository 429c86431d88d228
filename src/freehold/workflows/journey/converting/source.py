"""What was read of a configuration and what was not: nothing of it goes unmentioned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST_TEXT = 2000
"""Characters of a text that is taken over."""


class Source:
    """A mapping of the file that remembers which of its keys were read, so that the rest can be named."""

    def __init__(self, value: dict[Any, Any], path: str = "", opened: list[Source] | None = None) -> None:
        self._value = {str(key): one for key, one in value.items()}
        self.path = path
        self._read: set[str] = set()
        self.opened = opened if opened is not None else []
        self.opened.append(self)

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def at(self, key: str) -> str:
        """Where a key stands in the file."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, *keys: str) -> Any:
        """The value of the first key that is there; it counts as read."""
        for key in keys:
            if key in self._value:
                self._read.add(key)
                return self._value[key]
        return None

    def peek(self, key: str) -> Any:
        """A value that does not count as read by that."""
        return self._value.get(key)

    def text(self, *keys: str) -> str | None:
        """A text that is neither empty nor too long to be a setting."""
        for key in keys:
            value = self._value.get(key)
            if isinstance(value, str) and value.strip() and len(value) <= LONGEST_TEXT:
                self._read.add(key)
                return value.strip()
        return None

    def number(self, *keys: str) -> Decimal | None:
        """A number, also where it is written as text; neither infinite nor NaN."""
        for key in keys:
            found = as_number(self._value.get(key))
            if found is not None:
                self._read.add(key)
                return found
        return None

    def whole(self, *keys: str) -> int | None:
        """A whole number from 0."""
        for key in keys:
            found = as_number(self._value.get(key))
            if found is not None and found == found.to_integral_value() and 0 <= found <= 10**12:
                self._read.add(key)
                return int(found)
        return None

    def part(self, *keys: str) -> Source | None:
        """A mapping in it."""
        for key in keys:
            value = self._value.get(key)
            if isinstance(value, dict):
                self._read.add(key)
                return Source(value, self.at(key), self.opened)
        return None

    def parts(self, *keys: str) -> list[Source]:
        """The mappings of a list in it; a list with anything else in it stays unread."""
        for key in keys:
            value = self._value.get(key)
            if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
                self._read.add(key)
                return [
                    Source(one, f"{self.at(key)}[{place}]", self.opened) for place, one in enumerate(value)
                ]
        return []

    def inner(self) -> list[tuple[str, Source]]:
        """All its values that are mappings, by key."""
        found = []
        for key, value in self._value.items():
            if isinstance(value, dict):
                self._read.add(key)
                found.append((key, Source(value, self.at(key), self.opened)))
        return found

    def unread(self) -> list[str]:
        """Where everything stands that was not read, in it and in what was opened from it."""
        return [
            source.at(key)
            for source in self.opened
            for key, value in source._value.items()
            if key not in source._read and value not in (None, "", [], {})
        ]


def as_number(value: Any) -> Decimal | None:
    """A number, also one written as text; None for truth values, NaN, infinity and anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    try:
        found = Decimal(str(value).replace("_", "").strip()[:40])
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < Decimal(10) ** 15 else None
