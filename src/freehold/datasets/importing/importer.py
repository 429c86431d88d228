"""What an importer is: it says which records it knows, and turns each into the common shape."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from freehold.datasets.importing.files.reading import SourceRow
from freehold.datasets.importing.records import (
    MAX_RECORD_BYTES,
    BadRecord,
    Imported,
    NotWanted,
    PassedOver,
    RecordOutcome,
    RejectedRecord,
    answer_text,
    as_object,
    moment,
    text_or_none,
)
from freehold.types.config import DataConfig

Mapping = dict[str, str]
"""What of a trace comes from which field, for people to read."""


class Columns(NamedTuple):
    """Names of the fields of a file; `fixed` where every record has the same (a table)."""

    names: tuple[str, ...]
    fixed: bool


class Converter(Protocol):
    """Turns rows into traces, one file long. `mapping` says what comes from where."""

    mapping: Mapping

    def feed(self, row: SourceRow) -> Iterable[RecordOutcome]:
        """What a row holds; nothing where more rows are needed first."""

    def finish(self) -> Iterable[RecordOutcome]:
        """What is left when the file has ended."""


class Importer(NamedTuple):
    """One format. `claims` tells whether a record is of it; `start` makes a converter that knows the columns."""

    name: str
    title: str
    claims: Callable[[dict[str, Any]], bool]
    start: Callable[[DataConfig, Columns], Converter]


Convert = Callable[[int, dict[str, Any], DataConfig], Imported]


class Each:
    """A converter for formats in which every row is one call."""

    def __init__(self, convert: Convert, data: DataConfig, mapping: Mapping) -> None:
        self._convert = convert
        self._data = data
        self.mapping = mapping

    def feed(self, row: SourceRow) -> Iterator[RecordOutcome]:
        yield outcome_of(row, lambda value: self._convert(row.line, value, self._data))

    def finish(self) -> Iterable[RecordOutcome]:
        return ()


def each(convert: Convert, mapping: Mapping) -> Callable[[DataConfig, Columns], Converter]:
    """`Importer.start` for a format whose rows each convert on their own."""
    return lambda data, columns: Each(convert, data, mapping)


def outcome_of(row: SourceRow, convert: Callable[[dict[str, Any]], Imported]) -> RecordOutcome:
    """One row converted: bad ones become rejects with the reason, unwanted ones are passed over."""
    if row.value is None:
        return RejectedRecord(line=row.line, reason=row.problem or "cannot be read", text=row.text)
    try:
        if row.size > MAX_RECORD_BYTES:
            raise BadRecord(f"record of {row.size:,} bytes, at most {MAX_RECORD_BYTES:,} are read")
        return convert(row.value)
    except BadRecord as bad:
        return RejectedRecord(line=row.line, reason=str(bad), text=row.text)
    except NotWanted as unwanted:
        return PassedOver(line=row.line, reason=str(unwanted))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        # Files of other tools hold undocumented shapes; one such record must not end the import.
        reason = f"not of the shape its tool is known to write ({type(error).__name__}: {error})"
        return RejectedRecord(line=row.line, reason=reason, text=row.text)


def first(record: dict[str, Any], *names: str) -> Any:
    """The value of the first field that is there and not empty."""
    for name in names:
        value = record.get(name)
        if value is not None and value != "":
            return value
    return None


def common(record: dict[str, Any]) -> dict[str, Any]:
    """Fields any JSON record may carry besides its conversation."""
    metadata = record.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        metadata = as_object(metadata)
        if not metadata:
            raise BadRecord("metadata is not an object")
    currency = record.get("currency")
    if isinstance(currency, str):  # that amounts are in several must not get lost
        metadata = {"currency": currency} | (metadata or {})
    return {
        "id": text_or_none(record.get("id")),
        "gold": answer_text(record.get("gold")),
        "conversation_id": text_or_none(record.get("conversation_id")),
        "user": text_or_none(record.get("user")),
        "metadata": metadata or {},
        "at": moment(first(record, "at", "timestamp", "created_at", "created")),
    }


_HELD_AS = {
    "answer": "answer",
    "right answer": "right answer",
    "tools": "tools",
    "answer's schema": "an answer's schema",
    "learned or not": "weights of messages",
    "liked": "a like or dislike",
    "when": "time",
    "conversation": "conversation",
    "user": "user",
}
"""What a line of a mapping needs records to hold; lines that are not here hold of all records."""


def holds(found: Imported) -> Iterator[str]:
    """What one record has."""
    messages = found.request["messages"]
    answer: dict[str, Any] = {}
    if found.response:
        yield "answer"
        answer = found.response["choices"][0]["message"]
    if found.gold is not None:
        yield "right answer"
    if sum(message.get("role") == "user" for message in messages) > 1:
        yield "several turns"
    if found.request.get("tools"):
        yield "tools"
    if answer.get("tool_calls"):
        yield "tool calls in the answer"
    if answer.get("refusal"):
        yield "refusals"
    if found.request.get("response_format"):
        yield "an answer's schema"
    if answer.get("weight") is not None or any(message.get("weight") is not None for message in messages):
        yield "weights of messages"
    if found.desirable is not None:
        yield "a like or dislike"
    for name in ("conversation_id", "user", "at"):
        if getattr(found, name) is not None:
            yield {"conversation_id": "conversation", "user": "user", "at": "time"}[name]


def present(mapping: Mapping, held: Collection[str]) -> Mapping:
    """The lines of a mapping that some record bore out. Answers that were taken for right ones say so."""
    shown: Mapping = {}
    for people, source in mapping.items():
        if people == "answer" and "answer" not in held and "right answer" in held:
            people = "right answer"
        if _HELD_AS.get(people) in (None, *held):
            shown.setdefault(people, source)
    return shown
