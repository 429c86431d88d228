"""One record as it stands in a file."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from freehold.datasets.importing.records import SHOWN_CHARACTERS


class SourceRow(NamedTuple):
    """One record as it stands in a file. `problem` says why `value` could not be read."""

    line: int
    value: dict[str, Any] | None
    size: int
    text: str = ""
    problem: str | None = None


def shown(text: bytes) -> str:
    """The beginning of a record, as a reject shows it."""
    return text[:SHOWN_CHARACTERS].decode("utf-8", "replace")


def json_or_none(text: bytes) -> Any:
    """A JSON value; None where the text is not one."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
