"""What an importer is: which records it knows, and where a call stands in them, as a table of paths."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from freehold.datasets.importing.chats import exchange
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    NotWanted,
    PassedOver,
    RecordOutcome,
    RejectedRecord,
    answer_text,
    answered_at,
    as_json,
    as_object,
    check_exchange,
    counted,
    moment,
    text_or_none,
)
from freehold.rows.reading import MAX_RECORD_BYTES, Row
from freehold.types.config import DataConfig

Mapping = dict[str, str]
"""What of a trace comes from which field, for people to read."""
Outcomes = Callable[[Iterable[Row]], Iterator[RecordOutcome]]


class Columns(NamedTuple):
    """Names of the fields of a file; `fixed` where every record has the same (a table)."""

    names: tuple[str, ...]
    fixed: bool


class ReadPlan(NamedTuple):
    """How one file is read: what comes from where, and rows to traces."""

    mapping: Mapping
    outcomes: Outcomes


class Importer(NamedTuple):
    """One format. `claims` tells whether a record is of it; `start` says how a file with these columns is read."""

    name: str
    title: str
    claims: Callable[[dict[str, Any]], bool]
    start: Callable[[DataConfig, Columns], ReadPlan]


class Bodies(NamedTuple):
    """What was asked and answered, in any API, and what is right."""

    asked: Any
    said: Any
    right: Any = None


class Paths(NamedTuple):
    """Where a tool's records have the parts of a call.

    A path is names joined by dots, ``a | b`` the first that is there, ``.`` the record itself; JSON that stands as text
    is read on the way. `bodies` takes out what `asked`, `answer` and `right` name to people; it raises `BadRecord` and
    `NotWanted`. `slices` is the metadata, `metadata` changes it.
    """

    bodies: Callable[[dict[str, Any]], Bodies]
    asked: str
    answer: str = ""
    right: str = ""
    tools: str = ""
    schema: str = ""
    at: str = ""
    conversation: str = ""
    user: str = ""
    liked: str = ""
    slices: str = ""
    id: str = "id"
    model: str = ""
    usage: str = ""
    end: str = ""
    ms: str = ""
    metadata: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]] = lambda record, found: found

    @property
    def mapping(self) -> Mapping:
        """The paths for people."""
        named = {people: getattr(self, name) for people, name in _PEOPLE.items()}
        return {people: path.replace(" | ", " or ") for people, path in named.items() if path}


_PEOPLE = {
    "asked": "asked", "answer": "answer", "right answer": "right", "tools": "tools", "answer's schema": "schema",
    "when": "at", "conversation": "conversation", "user": "user", "liked": "liked", "slices": "slices",
}  # fmt: skip


@lru_cache(maxsize=512)
def _ways(path: str) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Of each way its first name and, of several names, each with the whole rest of the way."""
    ways = [way.split(".") if way != "." else [""] for way in path.split(" | ") if way]
    steps = (tuple((name, ".".join(way[at:])) for at, name in enumerate(way)) for way in ways)
    return tuple((way[0], some if len(way) > 1 else ()) for way, some in zip(ways, steps, strict=True))


def pick(record: dict[str, Any], path: str) -> Any:
    """What stands at the first of the paths that is there and not empty. A name may itself hold dots."""
    for only, steps in _ways(path):
        value: Any = record if steps or not only else record.get(only)
        for name, rest in steps:
            inner = as_object(value)
            if (value := inner.get(rest)) is not None:
                break
            value = inner.get(name)
        if value is not None and value != "":
            return value
    return None


def call(line: int, record: dict[str, Any], paths: Paths) -> Imported:
    """The call in a record. Raises `BadRecord` and `NotWanted`."""
    asked, said, right = paths.bodies(record)
    found = exchange(asked, said, model=text_or_none(pick(record, paths.model)))
    gold = answer_text(right)
    if found.response is None and gold is None:
        raise BadRecord(f"no answer in {' or '.join(filter(None, (paths.answer, paths.right)))}")
    begin, end, ms = (moment(pick(record, paths.at)), moment(pick(record, paths.end)), pick(record, paths.ms))
    if begin is not None and end is not None:
        ms = (end - begin).total_seconds() * 1000
    liked = pick(record, paths.liked)
    counts = (counted(pick(record, path)) for path in paths.usage.split(" | "))
    return Imported(
        line=line,
        id=text_or_none(pick(record, paths.id)),
        request={
            **found.request,
            "messages": check_exchange(found.request["messages"], found.message, has_gold=gold is not None),
        },
        response=found.response,
        gold=gold,
        usage=found.usage or next((one for one in counts if one is not None), None),
        at=begin or answered_at(as_json(said)),
        total_ms=_milliseconds(ms),
        conversation_id=text_or_none(pick(record, paths.conversation)),
        user=text_or_none(pick(record, paths.user)),
        metadata=paths.metadata(record, as_object(pick(record, paths.slices))),
        desirable=liked if isinstance(liked, bool) else None,
    )


def tool(
    name: str,
    title: str,
    claims: Callable[[dict[str, Any]], bool],
    *tables: Paths,
    which: Callable[[dict[str, Any]], int] = lambda record: 0,
    calls: Callable[[Iterable[Row]], Iterator[Row]] = iter,
) -> Importer:
    """The importer of a tool whose records have their calls at `Paths`; of several tables `which` tells a record's.
    `calls` takes rows apart or joins them, so that each is one call."""
    mapping = {people: path for table in reversed(tables) for people, path in table.mapping.items()}
    shown = {people: mapping[people] for people in _PEOPLE if people in mapping}

    def outcomes(rows: Iterable[Row]) -> Iterator[RecordOutcome]:
        for row in calls(rows):
            yield outcome_of(row, lambda line, record: call(line, record, tables[which(record)]))

    return Importer(name, title, claims, lambda data, columns: ReadPlan(shown, outcomes))


def each(convert: Callable[[int, dict[str, Any]], Imported]) -> Outcomes:
    """For formats in which every row is one call."""
    return lambda rows: (outcome_of(row, convert) for row in rows)


def outcome_of(row: Row, convert: Callable[[int, dict[str, Any]], Imported]) -> RecordOutcome:
    """One row converted: bad ones become rejects with the reason, unwanted ones are passed over."""
    reason = row.problem or "cannot be read"
    if row.value is not None:
        try:
            if row.size > MAX_RECORD_BYTES:
                raise BadRecord(f"record of {row.size:,} bytes, at most {MAX_RECORD_BYTES:,} are read")
            return convert(row.line, row.value)
        except NotWanted as unwanted:
            return PassedOver(line=row.line, reason=str(unwanted))
        except BadRecord as bad:
            reason = str(bad)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, RecursionError) as error:
            # Files of other tools hold undocumented shapes; one such record must not end the import.
            reason = f"not of the shape its tool is known to write ({type(error).__name__}: {error})"
    return RejectedRecord(line=row.line, reason=reason, text=row.text)


TIMES = ("at", "timestamp", "created_at", "created", "ts", "time", "startTime", "start_time")
AT = " | ".join(TIMES)
DURATIONS = ("latency_ms", "duration_ms", "total_ms")
"""Milliseconds until the answer was whole."""


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
        "at": moment(pick(record, AT)),
        "total_ms": _milliseconds(pick(record, " | ".join(DURATIONS))),
    }


def _milliseconds(value: Any) -> float | None:
    try:
        ms = float(value)
    except (TypeError, ValueError):
        return None
    return ms if 0 <= ms < math.inf else None


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
    answer = found.response["choices"][0]["message"] if found.response else {}
    weights = (message.get("weight") for message in (answer, *messages))
    here = {
        "answer": found.response,
        "right answer": found.gold is not None,
        "several turns": sum(message.get("role") == "user" for message in messages) > 1,
        "tools": found.request.get("tools"),
        "tool calls in the answer": answer.get("tool_calls"),
        "refusals": answer.get("refusal"),
        "an answer's schema": found.request.get("response_format"),
        "weights of messages": any(weight is not None for weight in weights),
        "a like or dislike": found.desirable is not None,
        "conversation": found.conversation_id is not None,
        "user": found.user is not None,
        "time": found.at is not None,
    }
    return (what for what, there in here.items() if there)


def present(mapping: Mapping, held: Collection[str]) -> Mapping:
    """The lines of a mapping that some record bore out. Answers that were taken for right ones say so."""
    shown: Mapping = {}
    for people, source in mapping.items():
        if people == "answer" and "answer" not in held and "right answer" in held:
            people = "right answer"
        if _HELD_AS.get(people) in (None, *held):
            shown.setdefault(people, source)
    return shown
