"""Traffic counted as traces come: how many requests in each stretch of time, by route, arm and outcome.

Stretches of ten seconds and of five minutes are kept for a little more than a day, hours and days for ever.
Times are counted in classes of a twentieth of a decade, 12 % wide. What is counted stays when a trace is forgotten: it
is a number of requests.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete

from freehold.store.tables import answered_counts, insert_many, searchable, trace_counts
from freehold.store.terms import is_error
from freehold.types.trace import Trace

SHORT_S, MIDDLE_S, LONG_S, DAY_S = 10, 300, 3600, 86_400
"""Lengths of stretches. A day in ten-second ones is hundreds of thousands of rows, and so is a quarter of a year in
hours."""
SHORT_KEPT_S = 26 * 3600
PER_DECADE = 20
NO_TIME = -1_000
"""The class of an answer whose time is not known, or that is an error."""
MOST_TOKENS = 1 << 40
"""Of one answer: what a broken upstream reports must not add up to more than a database keeps."""
COUNTS = ("requests", "fallbacks", "prompt_tokens", "completion_tokens")


def add_counts(connection: Connection, new: Iterable[Trace]) -> None:
    """Count traces that a gateway recorded, in the caller's transaction, and let go of short stretches that are old."""
    rows: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for trace in new:
        if trace.source != "gateway":
            continue
        at, error = int(trace.at.timestamp()), is_error(trace)
        arm = "mirrored" if trace.parent_id is not None else trace.arm
        more = (1, int(trace.fallback is not None), *_tokens(trace))
        for width in (SHORT_S, MIDDLE_S, LONG_S, DAY_S):
            key = (
                width,
                at - at % width,
                searchable(trace.route or ""),
                arm,
                "error" if error else "ok",
                NO_TIME if error else time_class(trace.total_ms),
            )
            row = rows[key]
            for place, value in enumerate(more):
                row[place] += value
    # Both widths by name: below an hour is one range of the key, whose every row would be read, with each batch.
    _add(connection, trace_counts, rows, short=(SHORT_S, MIDDLE_S))


def add_answered(connection: Connection, new: Iterable[Trace]) -> None:
    """Count what was answered on the candidate's side, by who answered, in the caller's transaction: not mirrored
    copies, errors or requests that another endpoint stood in for."""
    rows: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for trace in new:
        if trace.source != "gateway" or trace.arm != "candidate" or trace.parent_id is not None:
            continue
        if trace.fallback is not None or is_error(trace):
            continue
        at, tokens = int(trace.at.timestamp()), _tokens(trace)
        for width in (MIDDLE_S, LONG_S):
            row = rows[width, at - at % width, searchable(trace.endpoint or "")]
            for place, value in enumerate((1, *tokens)):
                row[place] += value
    _add(connection, answered_counts, rows, short=(MIDDLE_S,))


def _tokens(trace: Trace) -> tuple[int, int]:
    usage = trace.usage
    if usage is None:
        return 0, 0
    return min(usage.prompt_tokens or 0, MOST_TOKENS), min(usage.completion_tokens or 0, MOST_TOKENS)


def _add(
    connection: Connection, table: Table, rows: Mapping[tuple[Any, ...], list[int]], *, short: Sequence[int]
) -> None:
    """Add to what was counted, and let go of stretches of the widths `short` that are old. What is dated ahead of the
    clock does not say what is old: a gateway whose clock was wrong would take the last day from all others."""
    if not rows:
        return
    names, key = list(table.columns.keys()), ", ".join(table.primary_key.columns.keys())
    sums = ", ".join(
        f"{name} = {table.name}.{name} + excluded.{name}" for name in names[len(table.primary_key) :]
    )
    # In the order of the key: two that count at once wait for each other, and not both.
    values = [(*one, *row) for one, row in sorted(rows.items())]
    insert_many(connection, table, values, f"ON CONFLICT ({key}) DO UPDATE SET {sums}")
    now = time.time()
    newest = max((begins_s for _, begins_s, *_ in rows if begins_s <= now), default=0)
    old = table.c.width_s.in_(short) & (table.c.begins_s < newest - SHORT_KEPT_S)
    connection.execute(delete(table).where(old))


def time_class(total_ms: float | None) -> int:
    """The class of a time in milliseconds: twenty for each power of ten."""
    if total_ms is None or not total_ms > 0:
        return NO_TIME
    return math.floor(PER_DECADE * math.log10(total_ms))
