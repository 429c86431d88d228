"""How much traffic there was, read from what was counted as traces came: right at any rate."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, select

from freehold.store.counts import (
    COUNTS,
    DAY_S,
    LONG_S,
    MIDDLE_S,
    NO_TIME,
    PER_DECADE,
    SHORT_KEPT_S,
    SHORT_S,
)
from freehold.store.database import Database
from freehold.store.tables import answered_counts, trace_counts
from freehold.types.trace_search import ArmTraffic, RecordedTraffic, TrafficBucket

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
    counted = answered_counts.c
    requests = func.sum(counted.requests)
    query = (
        select(
            counted.endpoint, requests, func.sum(counted.prompt_tokens), func.sum(counted.completion_tokens)
        )
        .where(counted.width_s == width, counted.begins_s >= begin - begin % width, counted.begins_s <= end)
        .group_by(counted.endpoint)
        .order_by(requests.desc())
    )
    with database.reading() as connection:
        rows = connection.execute(query).all()
    return [AnsweredTokens(row[0], *(int(value) for value in row[1:])) for row in rows]
