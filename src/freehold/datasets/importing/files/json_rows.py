"""JSON lines, and JSON documents or arrays however they are broken into lines, as rows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from freehold.datasets.importing.files import reading
from freehold.datasets.importing.files.reading import (
    CHUNK_BYTES,
    DAMAGED,
    SourceRow,
    bounded_lines,
    opened,
    shown,
)
from freehold.datasets.importing.records import SHOWN_CHARACTERS
from freehold.types.units import MIB

MAX_DOCUMENT_CHARACTERS = 256 * MIB
_ENVELOPES = ("data", "rows", "items", "runs", "observations")
_OF_A_PAGE = frozenset(
    {
        "object",
        "has_more",
        "first_id",
        "last_id",
        "meta",
        "cursor",
        "cursors",
        "next",
        "next_cursor",
        "next_page",
    }
    | {"total", "count", "page", "page_size", "total_pages", "limit", "offset", "error", "success"}
)


def json_line_rows(path: Path) -> Iterator[SourceRow]:
    """A record a line."""
    number = 0
    with opened(path) as file:
        try:
            for number, line in enumerate(bounded_lines(file), start=1):
                if line.isspace():
                    continue
                if len(line) > reading.MAX_LINE_BYTES:
                    problem = f"line of more than {reading.MAX_LINE_BYTES:,} bytes"
                    yield SourceRow(number, None, len(line), shown(line), problem)
                    continue
                yield from _unwrapped(_row(number, line))
        except DAMAGED as error:
            yield SourceRow(
                number + 1, None, 0, "", f"the file ends early or is damaged from here on: {error}"
            )


def _row(number: int, text: bytes) -> SourceRow:
    try:
        value = msgspec.json.decode(text)
    except UnicodeDecodeError:
        return SourceRow(number, None, len(text), shown(text), "not valid UTF-8")
    except msgspec.DecodeError as error:
        try:
            text.decode()
        except UnicodeDecodeError:
            return SourceRow(number, None, len(text), shown(text), "not valid UTF-8")
        return SourceRow(number, None, len(text), shown(text), f"not valid JSON: {error}")
    except RecursionError:
        return SourceRow(number, None, len(text), shown(text), "JSON nested too deeply")
    if not isinstance(value, dict):
        return SourceRow(
            number, None, len(text), shown(text), f"expected a JSON object, got {type(value).__name__}"
        )
    return SourceRow(number, value, len(text), shown(text))


def _unwrapped(row: SourceRow) -> Iterator[SourceRow]:
    """The records of a page as APIs return it (``{"object": "list", "data": […]}``), else the row itself."""
    value = row.value
    names = [] if value is None else [name for name in value if name not in _OF_A_PAGE]
    listed = value[names[0]] if value and len(names) == 1 and names[0] in _ENVELOPES else None
    if not (isinstance(listed, list) and listed and all(isinstance(one, dict) for one in listed)):
        yield row
        return
    for one in listed:
        text = msgspec.json.encode(one)
        yield SourceRow(row.line, one, len(text), shown(text))


def json_rows(path: Path) -> Iterator[SourceRow]:
    """Objects of an array, or documents one after another, however they are broken into lines."""
    decoder = json.JSONDecoder()
    with opened(path) as raw:
        text = io.TextIOWrapper(raw, encoding="utf-8", errors="surrogateescape", newline="")
        buffer, at, line, ended, in_array, failure = "", 0, 1, False, None, ""
        want = CHUNK_BYTES
        while True:
            while at < len(buffer) and buffer[at] in " \t\r\n,":
                line += buffer[at] == "\n"
                at += 1
            if in_array is None and at < len(buffer):
                in_array = buffer[at] == "["
                at += in_array
                continue
            if in_array and at < len(buffer) and buffer[at] == "]":
                in_array, at = None, at + 1  # another array may follow
                continue
            if at < len(buffer):
                try:
                    _, end = decoder.raw_decode(buffer, at)
                except RecursionError:
                    yield SourceRow(
                        line, None, 0, "", "JSON nested too deeply; nothing after it could be read"
                    )
                    return
                except json.JSONDecodeError as error:
                    failure, end = str(error), None
                    # What merely goes on beyond the buffer fails at its end, or in a string not yet closed.
                    broken = not error.msg.startswith("Unterminated") and error.pos < len(buffer) - 8
                    ended = ended or broken
                if end is not None and (end < len(buffer) or ended):
                    piece = buffer[at:end]
                    yield from _unwrapped(_row(line, piece.encode("utf-8", "surrogateescape")))
                    line += piece.count("\n")
                    at, want = end, CHUNK_BYTES
                    if in_array is False:
                        in_array = None
                    continue
            if ended:
                if at < len(buffer):
                    reason = f"not valid JSON: {failure}; nothing after it could be read"
                    rest = buffer[at : at + SHOWN_CHARACTERS].encode("utf-8", "replace").decode()
                    yield SourceRow(line, None, len(buffer) - at, rest, reason)
                return
            if len(buffer) - at > MAX_DOCUMENT_CHARACTERS:
                reason = "one JSON document of more than 256 MiB; make JSON lines of it: jq -c '.data[]'"
                yield SourceRow(line, None, len(buffer) - at, buffer[at : at + 200], reason)
                return
            try:
                more = text.read(want)
            except DAMAGED as error:
                yield SourceRow(line, None, 0, "", f"the file ends early or is damaged from here on: {error}")
                more = ""
            want *= 2
            ended = not more
            buffer, at = buffer[at:] + more, 0
