"""Read LiteLLM's YAML within bounds (files of strangers may do harm), and remember which of its keys were read.

Covered: files that are too long; YAML with tags (refused), with aliases or merged keys that unfold to more than they
look like, nested too deep; documents that are not a mapping. Scalars stay text, so no number takes minutes to compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar

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
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
_EMPTY = ("", "~", "null", "Null", "NULL")
Kind = TypeVar("Kind", dict[str, Any], list[Any], str)


def read_document(path: Path) -> dict[str, Any]:
    """The content of a file as mappings, lists and texts; None for what is empty.

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
        node = yaml.compose(raw.decode("utf-8-sig"), Loader=yaml.BaseLoader)
        found = None if node is None else _Values(path).of(node)
    except UnicodeDecodeError:
        raise InputError("not UTF-8", path=str(path)) from None
    except RecursionError:
        raise InputError("nested too deep to be read", path=str(path)) from None
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        raise InputError(
            f"not valid YAML: {(getattr(error, 'problem', None) or str(error))[:200]}",
            path=str(path),
            line=None if mark is None else mark.line + 1,
        ) from None
    if not isinstance(found, dict):
        raise InputError("does not hold a mapping", path=str(path))
    return found


class _Values:
    """What the nodes of one document stand for, as long as that is no more than a configuration holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = MOST_VALUES

    def of(self, node: yaml.Node, depth: int = 0) -> Any:
        """One node's value. Raises `InputError` for tags and beyond the bounds."""
        self._left -= 1
        if self._left < 0 or depth > MOST_DEPTH:
            raise InputError(
                f"holds more than {MOST_VALUES:,} values or {MOST_DEPTH} levels, which no configuration does",
                path=str(self._path),
            )
        if node.tag not in _PLAIN:
            raise InputError(
                f"YAML that is more than plain values: {node.tag}",
                path=str(self._path),
                line=node.start_mark.line + 1,
                hint="tags such as !!python or !include are not read: write out what they stand for",
            )
        if isinstance(node, yaml.ScalarNode):
            return None if node.value in _EMPTY else node.value
        if isinstance(node, yaml.SequenceNode):
            return [self.of(one, depth + 1) for one in node.value]
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in node.value:
            found = self.of(value, depth + 1)
            if key.value == "<<":
                for one in reversed(found if isinstance(found, list) else [found]):
                    merged |= one if isinstance(one, dict) else {}
            else:
                own[str(self.of(key, depth + 1))] = found
        return merged | own


class Source:
    """A mapping of the file that remembers which of its keys were read, so that the rest can be named."""

    def __init__(self, value: dict[str, Any], path: str = "", opened: list[Source] | None = None) -> None:
        self._value = value
        self.path = path
        self._read: set[str] = set()
        self._opened = opened if opened is not None else []
        self._opened.append(self)

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)

    def at(self, key: str) -> str:
        """Where a key stands in the file."""
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, kind: type[Kind]) -> Kind | None:
        """A value, if it is of this kind; only then it counts as read."""
        value = self._value.get(key)
        if not isinstance(value, kind):
            return None
        self._read.add(key)
        return value

    def text(self, key: str) -> str | None:
        """A text that is neither empty nor too long to be a setting."""
        value = self._value.get(key)
        if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_TEXT:
            return None
        self._read.add(key)
        return value.strip()

    def number(self, key: str, *, whole: bool = False) -> Decimal | None:
        """A number from 0 that is not beyond all measure; `whole`: without a fraction."""
        try:
            found = Decimal(str(self._value.get(key)).replace("_", "").strip()[:40])
        except InvalidOperation:
            return None
        if not found.is_finite() or not 0 <= found < 10**15 or (whole and found != found.to_integral_value()):
            return None
        self._read.add(key)
        return found

    def part(self, key: str) -> Source | None:
        """A mapping in it."""
        value = self.take(key, dict)
        return None if value is None else Source(value, self.at(key), self._opened)

    def parts(self, key: str) -> list[Source]:
        """The mappings of a list in it; a list with anything else in it stays unread."""
        value = self._value.get(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            return []
        self._read.add(key)
        return [Source(one, f"{self.at(key)}[{place}]", self._opened) for place, one in enumerate(value)]

    def unread(self) -> list[str]:
        """Where everything stands that was not read, in it and in what was opened from it."""
        return [
            source.at(key)
            for source in self._opened
            for key, value in source._value.items()
            if key not in source._read and value not in (None, "", [], {})
        ]
