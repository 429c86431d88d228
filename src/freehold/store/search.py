"""Search: newest arrivals first, a page at a time; and what the traffic was."""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select

from freehold.store import blocks
from freehold.store.blocks import Line, Sought, TraceHead
from freehold.store.database import Database
from freehold.store.index import (
    COUNTS,
    DAY_S,
    LONG_S,
    LONGEST,
    MIDDLE_S,
    NO_TIME,
    PER_DECADE,
    SHORT_KEPT_S,
    SHORT_S,
    is_error,
    phrases_of,
    tags_of,
    term_of,
    text_of,
    users_of,
    wanted_tags,
    words_in,
)
from freehold.store.tables import to_micros, trace_counts
from freehold.types.trace import (
    ArmTraffic,
    RecordedTraffic,
    Trace,
    TracePage,
    TraceQuery,
    TraceSummary,
    TrafficBucket,
    Usage,
)

READ_WITHIN_S, READ_BYTES = 0.1, 1 << 20
"""A page that is not full ends after that time, but not before it has read that much: a busy machine reads on."""
SHORTEST_PREFIX = 3
"""Of shorter beginnings of words the index would have to join thousands of lists."""
_SHOWN = tuple(set(TraceSummary.__struct_fields__) & set(Trace.__struct_fields__) - {"user"})
_PLAIN = re.compile(r"[\w.@:=-]+", re.ASCII)


def search(database: Database, query: TraceQuery) -> TracePage:
    """A page of the traces that meet all of a query. What an import replaced is left out.

    The index tells which blocks of traces may hold some; these are read, newest first, for `READ_WITHIN_S`: a page that
    is not full by then is `cut`. Raises `UsageError` for a status or a text that cannot be looked for.
    """
    meant = _Meant(query)
    deadline, read_bytes = time.monotonic() + READ_WITHIN_S, 0
    found: list[TraceSummary] = []
    with database.reading() as connection:
        replaced = blocks.replaced_places(connection)
        before = 1 << 62 if query.after is None else query.after
        for lines in blocks.read(connection, meant.blocks(), before=before, newest_first=True):
            for line in lines:
                trace = None if line.place in replaced else meant.trace(line)
                if trace is None:
                    continue
                if len(found) == query.most:
                    return TracePage(traces=tuple(found), next=found[-1].place)
                found.append(_summary(line.place, trace))
            read_bytes += sum(len(line.json) for line in lines)
            if read_bytes > READ_BYTES and lines and time.monotonic() >= deadline:
                return TracePage(traces=tuple(found), next=lines[-1].place, cut=True)
    return TracePage(traces=tuple(found), next=None)


class _Meant:
    """What a query means for blocks and for a trace."""

    def __init__(self, query: TraceQuery) -> None:
        self._query = query
        self._tags = set(wanted_tags(query))
        self._phrases = [] if query.text is None else phrases_of(query.text.casefold())
        self._since = None if query.since is None else to_micros(query.since)
        self._until = None if query.until is None else to_micros(query.until)
        named = (query.user, query.upstream_id, query.api_key, query.conversation_id)
        looked_for = [one for one in named if one is not None and _PLAIN.fullmatch(one)]
        looked_for += [word for phrase in self._phrases for word in phrase.words if word.isascii()]
        self._bytes = [one.casefold().encode() for one in looked_for]

    def blocks(self) -> Sought:
        terms = [term_of(tag) for tag in self._tags]
        for phrase in self._phrases:
            whole = phrase.words[:-1] if phrase.prefix else phrase.words
            terms += [word for word in whole if len(word) <= LONGEST]
            if phrase.prefix and SHORTEST_PREFIX <= len(phrase.words[-1]) <= LONGEST:
                terms.append(f"{phrase.words[-1]}*")
        return Sought(tuple(dict.fromkeys(terms)), self._since, self._until)

    def trace(self, line: Line) -> Trace | None:
        """The trace of a line, None where it is not one of those that are meant, or is damaged."""
        if self._bytes and line.json.isascii() and b"\\u" not in line.json:
            # Most that share a block with what is looked for are told apart without being taken apart.
            folded = line.json.lower()
            if not all(one in folded for one in self._bytes):
                return None
        head = line.head()
        if head is None or not self._may_be(head):
            return None
        trace = line.trace()
        if trace is None or not self._tags.issubset(tags_of(trace)):
            return None
        if self._phrases:
            said = " ".join(words_in(text_of(trace).casefold()))
            if not all(phrase.is_said(said) for phrase in self._phrases):
                return None
        return trace

    def _may_be(self, head: TraceHead) -> bool:
        query, at = self._query, to_micros(head.at)
        names = ("api_key", "arm", "endpoint", "conversation_id", "route", "model")
        return (
            all(getattr(query, name) in (None, getattr(head, name)) for name in names)
            and (self._since is None or at >= self._since)
            and (self._until is None or at < self._until)
            and (query.slower_than_ms is None or (head.total_ms or 0) > query.slower_than_ms)
        )


def _summary(place: int, trace: Trace) -> TraceSummary:
    usage = trace.usage or Usage()
    return TraceSummary(
        **{name: getattr(trace, name) for name in _SHOWN},
        place=place,
        error=is_error(trace),
        user=next(iter(users_of(trace)), None),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )


HOURS_MOST_S = 8 * DAY_S
"""How long a window is read in hours: each hour of each route has as many rows as classes of time."""


def traffic(
    database: Database,
    *,
    since: datetime,
    until: datetime,
    route: str | None = None,
    most_buckets: int = 48,
) -> RecordedTraffic:
    """All traffic that gateways recorded, in at most `most_buckets` + 1 stretches of time.

    The stretches begin at whole multiples of their length: a multiple of ten seconds or of five minutes, of hours for
    what began more than a day before `until`, of days (UTC) for what is longer than `HOURS_MOST_S`. The first begins at
    or before `since`, the last one holds `until`.
    """
    begin, end = int(since.timestamp()), int(until.timestamp())
    wanted_s = (end - begin) / most_buckets
    base = MIDDLE_S if wanted_s >= MIDDLE_S else SHORT_S
    if end - begin > SHORT_KEPT_S - LONG_S:
        base = LONG_S if end - begin <= HOURS_MOST_S else DAY_S
    width = max(1, math.ceil(wanted_s / base)) * base
    first = begin - begin % width
    edges = range(first, end + 1, width)
    table = trace_counts
    where = [table.c.width_s == base, table.c.begins_s >= first, table.c.begins_s <= end]
    if route is not None:
        where.append(table.c.route == route)
    by = [
        ((table.c.begins_s - first) // width).label("bucket"),
        table.c.arm,
        table.c.outcome,
        table.c.time_class,
    ]
    query = select(*by, *(func.sum(table.c[name]).label(name) for name in COUNTS))
    with database.reading() as connection:
        rows = connection.execute(query.where(*where).group_by(*by)).all()
    return _traffic(rows, edges, width)


def _traffic(rows: Sequence[Any], edges: range, width: int) -> RecordedTraffic:
    series = [{"incumbent": 0, "candidate": 0, "mirrored": 0, "errors": 0} for _ in edges]
    arms: dict[str, list[Any]] = {"incumbent": [], "candidate": [], "mirrored": []}
    for row in rows:
        arms[row.arm].append(row)
        counts = series[int(row.bucket)]
        counts[row.arm] += int(row.requests)
        if row.outcome == "error" and row.arm != "mirrored":
            counts["errors"] += int(row.requests)
    return RecordedTraffic(
        bucket_s=width,
        buckets=tuple(
            TrafficBucket(at=datetime.fromtimestamp(at, UTC), **counts)
            for at, counts in zip(edges, series, strict=True)
        ),
        incumbent=_arm(arms["incumbent"]),
        candidate=_arm(arms["candidate"]),
        mirrored=_arm(arms["mirrored"]),
    )


def _arm(rows: Sequence[Any]) -> ArmTraffic:
    times: dict[int, int] = defaultdict(int)
    for row in rows:
        if row.time_class != NO_TIME:
            times[row.time_class] += int(row.requests)
    return ArmTraffic(
        requests=sum(int(row.requests) for row in rows),
        errors=sum(int(row.requests) for row in rows if row.outcome == "error"),
        fallbacks=sum(int(row.fallbacks) for row in rows),
        prompt_tokens=sum(int(row.prompt_tokens) for row in rows),
        completion_tokens=sum(int(row.completion_tokens) for row in rows),
        p50_ms=_percentile(times, 0.50),
        p95_ms=_percentile(times, 0.95),
    )


def _percentile(times: dict[int, int], share: float) -> float | None:
    """The middle (geometric) of the class that holds this share of all times; None where there are none."""
    wanted = share * sum(times.values())
    passed = 0
    for one in sorted(times):
        passed += times[one]
        if passed >= wanted:
            return float(10 ** ((one + 0.5) / PER_DECADE))
    return None


class AnsweredTokens(NamedTuple):
    """Requests of clients that one endpoint answered on the candidate's side, and their tokens."""

    endpoint: str
    requests: int
    prompt_tokens: int
    completion_tokens: int


def answered_by_candidate(database: Database, *, since: datetime, until: datetime) -> list[AnsweredTokens]:
    """What each endpoint answered of requests that were sent to the candidate's side, most first.

    It is read from what was counted as traces came, in stretches of five minutes, of hours for more than a day:
    from the beginning of the one that holds `since` to the end of the one that holds `until`. Mirrored copies are left
    out, and so are errors and requests that another endpoint stood in for: nothing was spared by those. An incumbent
    that answered by a rule of deferral stands there under its own name.
    """
    begin, end = int(since.timestamp()), int(until.timestamp())
    width = MIDDLE_S if end - begin <= SHORT_KEPT_S - LONG_S else LONG_S
    counted = trace_counts.c
    requests = func.sum(counted.requests)
    query = (
        select(
            counted.endpoint, requests, func.sum(counted.prompt_tokens), func.sum(counted.completion_tokens)
        )
        .where(counted.width_s == width, counted.begins_s >= begin - begin % width, counted.begins_s <= end)
        .where(counted.arm == "candidate", counted.outcome == "ok")
        .group_by(counted.endpoint)
        .order_by(requests.desc())
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return [AnsweredTokens(row[0], *(int(value) for value in row[1:])) for row in rows]
