"""`freehold traces`: look at what was captured, and export it; and what a person says of an answer: good or bad, the
right one, a comment, kept as ``POST /freehold/v1/feedback`` of the gateway keeps it, after the same redaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from freehold import __version__, files
from freehold.errors import UsageError, did_you_mean
from freehold.gateway.capture.redaction import redactor_of
from freehold.gateway.config import Capture
from freehold.store import Store, audit
from freehold.store import search as finding
from freehold.store.traces import TraceFilter
from freehold.types.record import Record
from freehold.types.trace import Trace, TraceQuery
from freehold.wire.otlp import spans_document
from freehold.workflows.project import now

Format = Literal["jsonl", "otel"]
BATCH = 200
SEARCH_PAGE = 500


class TraceExport(Record, frozen=True, kw_only=True):
    """What an export wrote."""

    file: str
    traces: int
    format: Format


def find(store: Store, id: str) -> Trace:
    """The trace whose id is, or begins with, `id`. Raises `UsageError`."""
    exact = store.get_trace(id)
    found = [exact] if exact is not None else store.find_traces(id)
    if len(found) != 1:
        raise UsageError(
            f"{'no trace has' if not found else 'several traces have'} an id starting with {id}",
            hint="freehold traces list shows the latest",
        )
    return found[0]


def mirrored(store: Store, id: str) -> list[Trace]:
    """What was mirrored from a request."""
    return list(store.traces(parent_id=id, complete_only=False))


def trace_filter(
    *,
    route: str | None = None,
    model: str | None = None,
    since: str | None = None,
    now: datetime,
) -> TraceFilter:
    """A filter from what was typed. `since` is ``30m``, ``12h``, ``7d`` or a date. Raises `UsageError`."""
    found = TraceFilter(complete_only=False, own_only=False)
    if route is not None:
        found["route"] = route
    if model is not None:
        found["model"] = model
    if since is not None:
        found["since"] = moment(since, now)
    return found


def search(store: Store, query: TraceQuery, most: int) -> list[Trace]:
    """The newest traces that meet a query, at most `most`. Raises `UsageError` for a status or a text that cannot be
    looked for."""
    found: list[Trace] = []
    while len(found) < most:
        query = msgspec.structs.replace(query, most=min(most - len(found), SEARCH_PAGE))
        page = finding.search(store.database, query)
        whole = store.get_traces(one.id for one in page.traces)
        found.extend(whole[one.id] for one in page.traces if one.id in whole)
        if page.next is None:
            break
        query = msgspec.structs.replace(query, after=page.next)
    return found


def check_names(store: Store, *, route: str | None = None, model: str | None = None) -> None:
    """Raises `UsageError` for a route or model that no trace and no route of the store has: it is misspelt."""
    if route is not None and not store.latest_traces(1, route=route, complete_only=False):
        _check_name("route", route, {one.name for one in store.routes()} | set(store.trace_names("route")))
    if model is not None and not store.latest_traces(1, model=model, complete_only=False):
        _check_name("model", model, {one.model for one in store.routes()} | set(store.trace_names("model")))


def _check_name(what: str, name: str, known: set[str]) -> None:
    names = sorted(known)
    if names and name not in known:
        raise UsageError(
            f"no trace is of the {what} {name!r}",
            hint=did_you_mean(name, names, f"{what}s here: {', '.join(names[:8])}"),
        )


def export(
    store: Store,
    file: Path,
    filter: TraceFilter,
    *,
    format: Format,
    content: bool,
    who: str,
    say: Callable[[int], None],
) -> TraceExport:
    """Write traces to a file, in the order they came. Nothing is left behind when it fails half-way.

    Who took how many goes into the audit record.

    Raises `StorageError` when the file cannot be written.
    """
    count = 0
    detail: dict[str, Any] = {"format": format, "content": content or format == "jsonl"}
    begun = audit.note(store.database, "export.begin", "traces", who=who, at=now(), detail=detail)
    with (
        files.writing(f"{file}: cannot be written"),
        files.replacing(file) as partial,
        partial.open("wb") as out,
    ):
        for batch in _batches(store.traces(**filter)):
            if format == "jsonl":
                out.writelines(msgspec.json.encode(trace) + b"\n" for trace in batch)
            else:
                document = spans_document(batch, version=__version__, content=content)
                out.write(msgspec.json.encode(document) + b"\n")
            count += len(batch)
            say(count)
    # Not the file's name: the record only grows, and a name may be a person's.
    detail |= {"begun": begun.number, "traces": count}
    audit.note(store.database, "export", "traces", who=who, at=now(), detail=detail)
    return TraceExport(file=str(file), traces=count, format=format)


def _batches(traces: Iterator[Trace]) -> Iterator[list[Trace]]:
    while batch := list(islice(traces, BATCH)):
        yield batch


def moment(text: str, now: datetime) -> datetime:
    """The time that was typed: ``30m``, ``12h``, ``7d`` before `now`, or a date. Raises `UsageError`."""
    units = {"m": 60, "h": 3600, "d": 86_400}
    try:
        if text[:-1].isdecimal() and text[-1] in units:
            return now - timedelta(seconds=int(text[:-1]) * units[text[-1]])
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError):  # or longer ago than there were years
        raise UsageError(f"{text!r} is not a time", hint="30m, 12h, 7d, or 2026-03-01") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class Said(Record, frozen=True, kw_only=True):
    """What was said; `gold` is the right answer. What is None was not said and leaves what was there."""

    thumb: Literal["up", "down"] | None = None
    gold: str | None = None
    comment: str | None = None


def give_feedback(
    store: Store, trace_id: str, said: Said, *, capture: Capture, who: str, at: datetime
) -> None:
    """Keep it with the trace, redacted as `capture` says, and note on the audit record that it was given, not what.

    Raises `UsageError` for a trace that is not here, and where nothing was said.
    """
    if said == Said():
        raise UsageError(
            "nothing was said of this answer", hint="say whether it is good, or what would be right"
        )
    trace = store.get_trace(trace_id)
    if trace is None:
        raise UsageError("this trace is not here any more", hint="it was forgotten, or has expired")
    clean = redactor_of(capture) or str
    before = trace.metadata.get("feedback")
    feedback = {**before} if isinstance(before, dict) else {}
    feedback |= {"at": at.isoformat(), "key": who}
    if said.thumb is not None:
        feedback["thumb"] = said.thumb
    if said.comment is not None:
        feedback["comment"] = clean(said.comment)
    metadata = {**trace.metadata, "feedback": feedback}
    gold = trace.gold if said.gold is None else str(clean(said.gold))
    if not store.replace_trace(msgspec.structs.replace(trace, metadata=metadata, gold=gold)):
        raise UsageError("this trace is not here any more", hint="it was forgotten, or has expired")
    detail = {"thumb": said.thumb, "gold": said.gold is not None, "comment": said.comment is not None}
    audit.note(store.database, "trace.feedback", trace_id, who=who, at=at, detail=detail)
