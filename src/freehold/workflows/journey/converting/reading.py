"""Read LiteLLM's YAML within bounds (files of strangers may do harm), and remember which of its keys were read.

Covered: files that are too long; YAML with tags (refused), with aliases or merged keys that unfold to more than they
look like, nested too deep, with numbers that take minutes to compute; documents that are not a mapping.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from freehold import files
from freehold.errors import InputError

MOST_BYTES = 4 * 1024 * 1024
"""The longest file that is read."""
MOST_VALUES = 100_000
"""Values that a file may hold, counted as often as they are referred to."""
MOST_DEPTH = 50
LONGEST_TEXT = 2000
"""Characters of a text that is taken over."""


def read_document(path: Path) -> dict[Any, Any]:
    """The content of a file as plain values.

    Raises `InputError` for a file that cannot be read, is not such a mapping, or holds more than a configuration does.
    """
    with files.reading(path):
        if not path.is_file():  # a pipe would be waited for without end
            raise InputError("expected a file", path=str(path))
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise InputError(
            f"holds more than {MOST_BYTES:,} bytes, which no configuration does",
            path=str(path),
            hint="a log of traffic is read by: freehold import FILE",
        )
    try:
        found = _yaml(raw.decode("utf-8-sig"), path)
    except UnicodeDecodeError:
        raise InputError("not UTF-8", path=str(path)) from None
    except RecursionError:
        raise InputError("nested too deep to be read", path=str(path)) from None
    _check_size(found, path)
    if not isinstance(found, dict):
        raise InputError("does not hold a mapping", path=str(path))
    return found


def _yaml(text: str, path: Path) -> Any:
    try:
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 -- a loader of plain values only
    except yaml.constructor.ConstructorError as error:
        raise InputError(
            f"YAML that is more than plain values: {error.problem}",
            path=str(path),
            line=None if error.problem_mark is None else error.problem_mark.line + 1,
            hint="tags such as !!python or !include are not read: write out what they stand for",
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise InputError(
            f"not valid YAML: {error.problem or error.context}",
            path=str(path),
            line=None if mark is None else mark.line + 1,
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"not valid YAML: {str(error)[:200]}", path=str(path)) from None


class _PlainLoader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's safe loader without dates and without numbers that are long or to the base of 60, and with a bound to
    what merged keys unfold to."""

    merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        self.merged += len(node.value)
        if self.merged > MOST_VALUES:
            raise yaml.constructor.ConstructorError(
                None, None, f"merged keys unfold to more than {MOST_VALUES:,} values", node.start_mark
            )


_PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]{0,18})$"), list("-+0123456789")
)
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9][0-9_]{0,30}(?:\.[0-9]{0,30})?(?:[eE][-+]?[0-9]{1,3})?$"),
    list("-+0123456789"),
)


def _check_size(found: Any, path: Path) -> None:
    """Aliases share what they refer to: loading is cheap where walking is without end."""
    left = MOST_VALUES
    waiting = [(found, 0)]
    while waiting:
        value, depth = waiting.pop()
        left -= 1
        if left < 0 or depth > MOST_DEPTH:
            raise InputError(
                f"holds more than {MOST_VALUES:,} values or {MOST_DEPTH} levels, which no configuration does",
                path=str(path),
            )
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += [(one, depth + 1) for one in inner]


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
