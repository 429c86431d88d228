"""`freehold console`: what an operator of a rollout sees, and may do about it.

Everything is read from the store; nothing here keeps state. Content of traces is never part of it: an
operator who may see that traffic moves need not see what customers write.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from freehold.errors import UsageError
from freehold.gateway.telemetry.meters import totals_of
from freehold.store import Store
from freehold.store.search.terms import is_error
from freehold.types.record import Record
from freehold.types.route import Route, RouteChange
from freehold.types.trace import Trace
from freehold.types.verdict import Verdict
from freehold.workflows.project import Project
from freehold.workflows.shift import background
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.tell.views.query import WindowQuery

BUCKETS = 48
MOST_TRACES = 4000
"""Newest traces read for one picture: enough for a shape, bounded for a busy gateway."""
HISTORY_SHOWN = 12
LATEST_SHOWN = 12


class Bucket(Record, frozen=True, kw_only=True):
    """Requests of one stretch of time, by who answered. `mirrored` were sent to the candidate as well."""

    at: datetime
    incumbent: int = 0
    candidate: int = 0
    mirrored: int = 0
    errors: int = 0


class ArmSummary(Record, frozen=True, kw_only=True):
    """What one side did in the window: times in milliseconds, None where nothing was answered."""

    requests: int
    errors: int
    fallbacks: int
    p50_ms: float | None
    p95_ms: float | None


class TraceLine(Record, frozen=True, kw_only=True):
    """One request, without its content."""

    id: str
    at: datetime
    arm: str
    mirrored: bool
    status: int
    completeness: str
    total_ms: float | None
    fallback: str | None
    completion_tokens: int | None


class RouteView(Record, frozen=True, kw_only=True):
    """One route with its traffic, its rollout and its history, newest first.

    `shortened` says that there was more traffic in the window than is read for a picture.
    """

    route: Route
    status: rollout.Status | None
    series: tuple[Bucket, ...]
    incumbent: ArmSummary
    candidate: ArmSummary
    mirrored: ArmSummary
    latest: tuple[TraceLine, ...]
    history: tuple[RouteChange, ...]
    shortened: bool


class ReportLine(Record, frozen=True, kw_only=True):
    """A report on disk."""

    name: str
    at: datetime


class PathLine(Record, frozen=True, kw_only=True):
    """What the gateway was asked by kind of path since it started, besides what it answers by its routes."""

    path: str
    passed_on: int
    refused: int


class Overview(Record, frozen=True, kw_only=True):
    """The whole page."""

    app: str
    at: datetime
    window_s: float
    incumbent: str | None
    gateway_url: str | None
    verdict: Verdict | None
    traces: int
    routes: tuple[RouteView, ...]
    reports: tuple[ReportLine, ...]
    others: tuple[PathLine, ...] = ()


def overview(project: Project, store: Store, query: WindowQuery, *, at: datetime) -> Overview:
    """What there is to see at a time, as far back as the query says."""
    window_s = query.window_s
    up = background.running(project)
    incumbent = project.config.incumbent
    return Overview(
        app=project.config.app.name,
        at=at,
        window_s=window_s,
        incumbent=incumbent.model if incumbent is not None else None,
        gateway_url=up.url if up is not None else None,
        verdict=store.latest(Verdict),
        traces=store.count_traces(complete_only=False),
        routes=tuple(_view(store, route, at=at, window_s=window_s) for route in store.routes()),
        reports=_reports(project.state / "reports"),
        others=others(project.state / "spool") if up is not None else (),
    )


def others(spool: Path) -> tuple[PathLine, ...]:
    """What the running gateway passed on and refused, by kind of path, what was refused most first."""
    passed: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for (_, path, _), value in totals_of(spool, "freehold_passed_on").items():
        passed[path] += int(value)
    for (_, path), value in totals_of(spool, "freehold_refusals").items():
        refused[path] += int(value)
    paths = sorted({*passed, *refused}, key=lambda path: (-refused[path], -passed[path], path))
    return tuple(PathLine(path=path, passed_on=passed[path], refused=refused[path]) for path in paths)


def series(
    traces: Sequence[Trace], *, at: datetime, window_s: float, buckets: int = BUCKETS
) -> tuple[Bucket, ...]:
    """Traffic in equal stretches of time, oldest first; the last one ends at `at`."""
    width = window_s / buckets
    start = at - timedelta(seconds=window_s)
    counts = [[0, 0, 0, 0] for _ in range(buckets)]
    for trace in traces:
        index = int((trace.at - start).total_seconds() / width)
        if not 0 <= index < buckets:
            continue
        row = counts[index]
        if trace.parent_id is not None:
            row[2] += 1
            continue
        row[0 if trace.arm == "incumbent" else 1] += 1
        row[3] += is_error(trace)
    return tuple(
        Bucket(
            at=start + timedelta(seconds=width * number),
            incumbent=row[0],
            candidate=row[1],
            mirrored=row[2],
            errors=row[3],
        )
        for number, row in enumerate(counts)
    )


def arm(traces: Sequence[Trace]) -> ArmSummary:
    """What some requests came to."""
    times = [trace.total_ms for trace in traces if trace.total_ms is not None and not is_error(trace)]
    return ArmSummary(
        requests=len(traces),
        errors=sum(map(is_error, traces)),
        fallbacks=sum(trace.fallback is not None for trace in traces),
        p50_ms=float(np.percentile(times, 50)) if times else None,
        p95_ms=float(np.percentile(times, 95)) if times else None,
    )


def _view(store: Store, route: Route, *, at: datetime, window_s: float) -> RouteView:
    since = at - timedelta(seconds=window_s)
    traces = store.latest_traces(MOST_TRACES, route=route.name, since=since, complete_only=False)
    own = [trace for trace in traces if trace.parent_id is None]
    return RouteView(
        route=route,
        status=_status(store, route.name, at),
        series=series(traces, at=at, window_s=window_s),
        incumbent=arm([trace for trace in own if trace.arm == "incumbent"]),
        candidate=arm([trace for trace in own if trace.arm == "candidate"]),
        mirrored=arm([trace for trace in traces if trace.parent_id is not None]),
        latest=tuple(_line(trace) for trace in traces[:LATEST_SHOWN]),
        history=tuple(reversed(store.route_history(route.name)[-HISTORY_SHOWN:])),
        shortened=len(traces) == MOST_TRACES,
    )


def _status(store: Store, route_name: str, at: datetime) -> rollout.Status | None:
    try:
        return rollout.status(store, route_name, at=at)
    except UsageError:  # no rollout of this route yet
        return None


def _line(trace: Trace) -> TraceLine:
    return TraceLine(
        id=trace.id,
        at=trace.at,
        arm=trace.arm,
        mirrored=trace.parent_id is not None,
        status=trace.status,
        completeness=trace.completeness,
        total_ms=trace.total_ms,
        fallback=trace.fallback,
        completion_tokens=trace.usage.completion_tokens if trace.usage is not None else None,
    )


def _reports(folder: Path) -> tuple[ReportLine, ...]:
    files = sorted(folder.glob("*.html"), key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(
        ReportLine(name=path.name, at=datetime.fromtimestamp(path.stat().st_mtime, UTC))
        for path in files[:10]
    )
