"""Traffic counted as traces are indexed: how many requests in each stretch of time, by route, arm and outcome.

Stretches of ten seconds and of five minutes are kept for a little more than a day, hours and days for ever.
Times are counted in classes of a twentieth of a decade, 12 % wide. What is counted stays when a trace is forgotten: it
is a number of requests.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, text

from freehold.store.search.terms import is_error
from freehold.store.tables import answered_counts, trace_counts
from freehold.types.trace import Trace

SHORT_S, MIDDLE_S, LONG_S, DAY_S = 10, 300, 3600, 86_400
"""Lengths of stretches. A day in ten-second ones is hundreds of thousands of rows, and so is a quarter of a year in
hours."""
SHORT_KEPT_S = 26 * 3600
PER_DECADE = 20
NO_TIME = -1_000
"""The class of an answer whose time is not known, or that is an error."""
_UPSERT = """
    INSERT INTO trace_counts (width_s, begins_s, route, arm, outcome, time_class,
                              requests, fallbacks, prompt_tokens, completion_tokens)
    VALUES (:width_s, :begins_s, :route, :arm, :outcome, :time_class,
            :requests, :fallbacks, :prompt_tokens, :completion_tokens)
    ON CONFLICT (width_s, begins_s, route, arm, outcome, time_class) DO UPDATE SET
        requests = trace_counts.requests + excluded.requests,
        fallbacks = trace_counts.fallbacks + excluded.fallbacks,
        prompt_tokens = trace_counts.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = trace_counts.completion_tokens + excluded.completion_tokens
"""
_UPSERT_ANSWERED = """
    INSERT INTO answered_counts (width_s, begins_s, endpoint, requests, prompt_tokens, completion_tokens)
    VALUES (:width_s, :begins_s, :endpoint, :requests, :prompt_tokens, :completion_tokens)
    ON CONFLICT (width_s, begins_s, endpoint) DO UPDATE SET
        requests = answered_counts.requests + excluded.requests,
        prompt_tokens = answered_counts.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = answered_counts.completion_tokens + excluded.completion_tokens
"""
_KEY = ("width_s", "begins_s", "route", "arm", "outcome", "time_class")
COUNTS = ("requests", "fallbacks", "prompt_tokens", "completion_tokens")


def add_counts(connection: Connection, new: Sequence[Trace]) -> None:
    """Count traces that a gateway recorded, in the caller's transaction, and let go of short stretches that are old."""
    _add_answered(connection, new)
    rows: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    newest = 0
    for trace in new:
        if trace.source != "gateway":
            continue
        at, error = int(trace.at.timestamp()), is_error(trace)
        newest = max(newest, at)
        arm = "mirrored" if trace.parent_id is not None else trace.arm
        usage = trace.usage
        more = (
            1,
            int(trace.fallback is not None),
            (usage.prompt_tokens or 0) if usage is not None else 0,
            (usage.completion_tokens or 0) if usage is not None else 0,
        )
        for width in (SHORT_S, MIDDLE_S, LONG_S, DAY_S):
            key = (
                width,
                at - at % width,
                trace.route or "",
                arm,
                "error" if error else "ok",
                NO_TIME if error else time_class(trace.total_ms),
            )
            row = rows[key]
            for place, value in enumerate(more):
                row[place] += value
    if not rows:
        return
    # In the order of the key: two that count at once wait for each other, and not both.
    values = [dict(zip((*_KEY, *COUNTS), (*key, *row), strict=True)) for key, row in sorted(rows.items())]
    connection.execute(text(_UPSERT), values)
    # Both widths by name: below an hour is one range of the key, whose every row would be read, with each batch.
    short = trace_counts.c.width_s.in_((SHORT_S, MIDDLE_S))
    old = short & (trace_counts.c.begins_s < newest - SHORT_KEPT_S)
    connection.execute(delete(trace_counts).where(old))


def _add_answered(connection: Connection, new: Sequence[Trace]) -> None:
    """Count what was answered on the candidate's side, by who answered: not mirrored copies, errors or requests that
    another endpoint stood in for."""
    rows: dict[tuple[int, int, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    newest = 0
    for trace in new:
        if trace.source != "gateway" or trace.arm != "candidate" or trace.parent_id is not None:
            continue
        if trace.fallback is not None or is_error(trace):
            continue
        at, usage = int(trace.at.timestamp()), trace.usage
        newest = max(newest, at)
        tokens = (0, 0) if usage is None else (usage.prompt_tokens or 0, usage.completion_tokens or 0)
        for width in (MIDDLE_S, LONG_S):
            row = rows[width, at - at % width, trace.endpoint or ""]
            for place, value in enumerate((1, *tokens)):
                row[place] += value
    if not rows:
        return
    names = ("width_s", "begins_s", "endpoint", "requests", "prompt_tokens", "completion_tokens")
    values = [dict(zip(names, (*key, *row), strict=True)) for key, row in sorted(rows.items())]
    connection.execute(text(_UPSERT_ANSWERED), values)
    table = answered_counts.c
    old = (table.width_s == MIDDLE_S) & (table.begins_s < newest - SHORT_KEPT_S)
    connection.execute(delete(answered_counts).where(old))


def time_class(total_ms: float | None) -> int:
    """The class of a time in milliseconds: twenty for each power of ten."""
    if total_ms is None or not total_ms > 0:
        return NO_TIME
    return math.floor(PER_DECADE * math.log10(total_ms))
