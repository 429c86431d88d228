"""Whole numbers of a `config.json`, with checks."""

from __future__ import annotations

from typing import Any

from freehold.errors import InputError


class ConfigKeys:
    """One config and where it was read."""

    def __init__(self, raw: dict[str, Any], path: str) -> None:
        self.raw = raw
        self.path = path

    def optional(self, *keys: str) -> int | None:
        """The first of some keys that holds a whole number; None where none does. Raises `InputError` for one that
        cannot be."""
        for key in keys:
            value = self.raw.get(key)
            if value is None or isinstance(value, bool) or not isinstance(value, int):
                continue
            if not 0 <= value < 1 << 40:
                raise InputError(f"{key} is {value}", path=self.path)
            return value
        return None

    def whole(self, key: str, most: int = 1 << 40) -> int:
        """A whole number above zero. Raises `InputError` that says whether it is missing or what it is instead."""
        value = self.optional(key)
        if not value or value > most:
            if key not in self.raw:
                raise InputError(f"{key} is missing; the sizes need it", path=self.path)
            raise InputError(
                f"{key} is {self.raw[key]!r}, expected a whole number from 1 to {most:,}", path=self.path
            )
        return value

    def words(self, key: str) -> list[str] | None:
        """A list of words, None where it is none."""
        value = self.raw.get(key)
        return value if isinstance(value, list) and all(isinstance(one, str) for one in value) else None
