"""Always looked at: what the gateways of this machine count of each route, in every state, with capture off as well;
and what words show for nothing: answers that are empty, or of a promoted candidate in another language than asked.

A rollout's own tests (`freehold.workflows.shift.rollout`) are about small differences and end with it. These are
about what an on-call person must hear of within seconds, before, during and after it: an arm that does not answer
or is refused, answers that break their schema, are empty, in another language or too late (those that hang are
counted while they do), clients without a key. `moves_back` says which of them end a candidate's time.

By its words a promoted candidate is judged against what it did before: a task may want empty answers, or
translations. Only captured traces have words.
"""

from __future__ import annotations

import logging
import math
import socket
import time
from bisect import bisect_left
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from freehold.datasets.sampling import answer_of
from freehold.deferring.request_text import request_text
from freehold.gateway.telemetry import meters
from freehold.stats.drift import LOOKS_TO_ALARM, USUAL_FAILURES, MeanDetector
from freehold.stats.sequential import MeanLimit
from freehold.store import Store
from freehold.types.rollout import RouteAlarm, Trouble
from freehold.types.route import Route
from freehold.types.trace import Trace
from freehold.workflows.choose.needs import language_of
from freehold.workflows.shift.endpoints import asked_targets

Arm = Literal["candidate", "incumbent"]
_CHECKS: tuple[Trouble, ...] = ("empty", "language")
_OF_OTHERS: dict[Trouble, float] = {"empty": 0.25}
"""Of an incumbent, which nothing was known of before, only what hardly a task wants."""
_BASELINE_TRACES = 200
_PAGE = 200
_SLOWER_TIMES = 3.0
_LEAST_SLOW_MS = 200.0
"""A sooner answer is not late, whatever was usual before: one of 5 ms takes 20 while the same machine trains the next
generation, or starts it."""
_FEWEST_TIMES = 20


class _Watched(NamedTuple):
    limits: dict[Trouble, float]
    slow_ms: float | None
    """Three times its 95th percentile before it was promoted, and not below `_LEAST_SLOW_MS`."""


class Counted(NamedTuple):
    """Requests of one kind, and those of them that went wrong."""

    requests: float = 0.0
    failed: float = 0.0
    usual: float = USUAL_FAILURES
    """The share of failures that is borne."""


class _Key(NamedTuple):
    """What is looked at: a route, empty where none was named, what may be wrong with it, and who answered."""

    route: str
    trouble: Trouble
    arm: Arm


class FreeChecks:
    """Follows the traces of a store from its first look on, and promoted candidates from when it sees that they are."""

    def __init__(self) -> None:
        self._cursor: int | None = None
        self._watched: dict[tuple[str, int], _Watched] = {}

    def look(self, store: Store, routes: Iterable[Route]) -> dict[_Key, Counted]:
        """What the newest traces since the last look show. Raises `StoreError`."""
        promoted = {(route.name, route.revision): route for route in routes if route.state == "promoted"}
        self._watched = {
            key: self._watched.get(key) or _baseline(store, route) for key, route in promoted.items()
        }
        usual = {name: watched.limits for (name, _), watched in self._watched.items()}
        newest = store.newest_trace().place
        since, self._cursor = self._cursor, newest
        if since is None or since == newest:
            return {}
        news: dict[_Key, Counted] = {}
        for _, trace in store.traces_after(max(since, newest - _PAGE), most=_PAGE, complete_only=False):
            own = trace.arm == "candidate" and trace.route in usual
            limits = usual[trace.route or ""] if own else _OF_OTHERS
            for check, limit in limits.items():
                if (failed := _fails(check, trace)) is not None:
                    key = _Key(trace.route or "", check, trace.arm)
                    before = news.get(key, Counted())
                    news[key] = Counted(before.requests + 1, before.failed + failed, limit)
        return news

    def slow_ms(self, route: str) -> float | None:
        """How late an answer of a route's promoted candidate is, by what it was before."""
        return next((one.slow_ms for (name, _), one in self._watched.items() if name == route), None)


def _baseline(store: Store, route: Route) -> _Watched:
    """What was usual until the route was moved last; what goes on now may be the fault that is looked for."""
    change = next(reversed(store.route_history(route.name)), None)
    until = None if change is None else change.at
    recent = store.latest_traces(_BASELINE_TRACES, route=route.name, until=until, complete_only=False)
    own = [trace for trace in recent if trace.arm == "candidate"]
    limits: dict[Trouble, float] = {}
    for check in _CHECKS:
        judged = [one for trace in own if (one := _fails(check, trace)) is not None]
        share = sum(judged) / len(judged) if judged else 0.0
        if (limit := USUAL_FAILURES + 2 * share) < 1:
            limits[check] = limit
    times = sorted(trace.total_ms for trace in own if trace.total_ms is not None)
    slow_ms = None
    if len(times) >= _FEWEST_TIMES:
        slow_ms = max(_LEAST_SLOW_MS, _SLOWER_TIMES * times[len(times) * 95 // 100])
    return _Watched(limits, slow_ms)


def _fails(check: Trouble, trace: Trace) -> bool | None:
    """Whether an answer to a client fails a check; None where it cannot be judged."""
    if trace.parent_id is not None or trace.fallback is not None:
        return None
    if trace.kind != "chat" or trace.completeness != "complete" or trace.status >= 400:
        return None
    answer = (answer_of(trace) or "").strip()
    if check == "empty":
        return not answer
    asked, said = language_of(request_text(trace.request)), language_of(answer)
    return None if asked is None or said is None else asked != said


log = logging.getLogger("freehold.observer")

_REFUSALS = frozenset(("401", "403", "429"))
AGAIN_AFTER = timedelta(hours=1)
"""A trouble that goes on is told again after this long."""
HANGS_MS = 30_000.0
"""An answer of a candidate that is open for longer is late, where nothing says what is."""
OFTEN = 0.25
"""Share of requests from which on refusals are a trouble: some clients' mistakes are none."""
MOVES_AT = LOOKS_TO_ALARM * 1600
"""For what moves traffic: a year of looks every two seconds, a hundred times over."""
MOVING: frozenset[Trouble] = frozenset(("slow", "schema", "empty", "language"))
CLOCK_STEP_S = 60.0
OVER_AFTER = 20
"""Requests in a row of looks, few of which fail, after which a trouble is over."""


class Lookout:
    """Follows the numbers of a project's gateways on this machine, which leave word of them in the folder `spool`.

    Each gateway has an observer, and what one has told, another does not tell again.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._machine = socket.gethostname()
        self._before: dict[Path, dict[_Key, Counted]] = {}
        self._detectors: dict[_Key, MeanDetector] = {}
        self._told_at: dict[_Key, datetime] = {}
        self._good: dict[_Key, Counted] = {}
        self._checks = FreeChecks()
        self._causes: dict[tuple[str, str], float] = {}
        self._clock_s = _clock_s()
        self._news_of_causes: dict[tuple[str, str], float] = {}
        self.open: list[RouteAlarm] = []
        """The alarms of the last look that are not over."""
        self.answers: dict[str, bool] = {}
        """What the gateways' health checks of endpoints found last."""

    def look(self, store: Store, *, at: datetime, limits_ms: dict[str, float]) -> list[RouteAlarm]:
        """What is to be told now: troubles that began, go on for an hour, or are over (`over_at`).

        `limits_ms` are the slowest 95th percentiles that are accepted, by route. Raises `StoreError`.
        """
        routes = {route.name: route for route in store.routes()}
        going_on = {
            _Key(one.route, one.trouble, one.arm): one
            for one in store.records(RouteAlarm)
            if one.over_at is None and one.gateway == self._machine
        }
        later = {
            route.name: self._checks.slow_ms(route.name) or HANGS_MS
            for route in routes.values()
            if route.state in ("canary", "promoted")
        }
        news = self._news(routes.values(), later | limits_ms)
        news |= self._checks.look(store, routes.values())
        moved_s, self._clock_s = abs(_clock_s() - self._clock_s), _clock_s()
        news[_Key("", "clock", "incumbent")] = Counted(20, 20 * (moved_s > CLOCK_STEP_S))
        told = []
        for key in news.keys() | going_on.keys():
            new, route = news.get(key, Counted()), routes.get(key.route)
            if (alarm := self._judged(key, new, going_on.get(key), route, at)) is not None:
                store.put(alarm)
                told.append(alarm)
                going_on[key] = alarm
        self.open = [one for one in going_on.values() if one.over_at is None]
        return told

    def _news(self, routes: Iterable[Route], limits_ms: dict[str, float]) -> dict[_Key, Counted]:
        """What was counted since the last look. Of a gateway that is seen for the first time that is not known: it may
        be of days ago."""
        running = meters.read_running(self._spool)
        now = {folder: counts(snapshots, routes, limits_ms) for folder, snapshots in running.items()}
        causes = _causes_of(one for snapshots in running.values() for one in snapshots)
        self._news_of_causes = {key: n - self._causes.get(key, 0) for key, n in causes.items()}
        self._causes = causes
        self.answers = {
            name: up for taken in running.values() for one in taken for name, up in one.answers.items()
        }
        news: dict[_Key, Counted] = {}
        for folder, counted in now.items():
            if (before := self._before.get(folder)) is None:
                continue
            for key, one in counted.items():
                sum_, more = news.get(key, Counted()), _less(one, before.get(key, Counted()))
                news[key] = Counted(sum_.requests + more.requests, sum_.failed + more.failed, one.usual)
        self._before = now
        return news

    def _judged(
        self, key: _Key, new: Counted, going_on: RouteAlarm | None, route: Route | None, at: datetime
    ) -> RouteAlarm | None:
        """The alarm that a look makes, repeats or ends; None where there is nothing to tell."""
        if going_on is None:
            self._good.pop(key, None)
            if _is_asked_no_more(key, route):
                return None  # what comes in late of an arm that was moved away from is the same incident
            failed, others = round(new.failed), round(new.requests - new.failed)
            detector = self._detectors.pop(key, MeanDetector())
            detector = detector.update([1.0] * failed + [0.0] * others, MeanLimit(new.usual))
            if detector.statistic < (
                MOVES_AT if key.arm == "candidate" and key.trouble in MOVING else LOOKS_TO_ALARM
            ):
                self._detectors[key] = detector
                return None
            self._told_at[key] = at
            return RouteAlarm(
                route=key.route, trouble=key.trouble, arm=key.arm, gateway=self._machine, since=at,
                requests=round(new.requests), failed=round(new.failed), why=self._why(key, new, route),
            )  # fmt: skip
        self._detectors.pop(key, None)
        good = self._good.get(key, Counted())
        good = Counted(good.requests + new.requests, good.failed + new.failed)
        if good.failed > new.usual * good.requests:
            good = Counted()
        self._good[key] = good
        if good.requests >= OVER_AFTER or _is_asked_no_more(key, route):
            return msgspec.structs.replace(going_on, over_at=at)
        if new.failed and at - self._told_at.get(key, going_on.since) >= AGAIN_AFTER:
            self._told_at[key] = at
            return msgspec.structs.replace(going_on, why=self._why(key, new, route))
        return None

    def _why(self, key: _Key, new: Counted, route: Route | None) -> str:
        state = "" if route is None else f", {route.state}"
        what = {
            "failures": f"the {key.arm} did not answer",
            "schema": "the candidate's answers broke their schema",
            "slow": "the candidate was later than its limit, answers that are still open included",
            "mirror": "the candidate did not answer what was mirrored to it",
            "empty": f"the {key.arm}'s answers were empty",
            "language": "the candidate answered in another language than it was asked in",
            "refused": f"the {key.arm}'s endpoint refused the key that it was sent (401 or 403)",
            "limited": f"the {key.arm}'s endpoint took no more requests (429)",
            "flood": "clients showed no valid key",
            "cap": "requests were refused because a spend cap is reached",
            "clock": "the clock of this machine was moved",
        }[key.trouble]
        if key.trouble == "clock":
            return what
        asked = {one.endpoint for one in (route and asked_targets(route)) or ()}
        causes = [one for one in self._news_of_causes.items() if not route or one[0][0] in asked]
        causes.sort(key=lambda one: -one[1])
        named = ", ".join(
            f"endpoint {endpoint}: {n:.0f} × {kind}" for (endpoint, kind), n in causes[:3] if n > 0
        )
        rest = ""
        if key.trouble == "failures":
            rest = (f" ({named})" if named else "") + "; what else the route names is asked for each of them"
        where = f" (route {key.route}{state})" if key.route else ""
        return f"{what}: {new.failed:.0f} of {new.requests:.0f} requests since the last look{where}{rest}"


def _clock_s() -> float:
    """What differs only where the clock is set; a machine that slept is not."""
    return time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def _is_asked_no_more(key: _Key, route: Route | None) -> bool:
    """Whether nothing can show that a trouble is over: the route is gone, or its candidate gets no requests."""
    if not key.route:
        return False
    return route is None or (key.arm == "candidate" and route.state in ("incumbent", "rolled_back"))


def _causes_of(snapshots: Iterable[meters.Snapshot]) -> dict[tuple[str, str], float]:
    """How often tries of endpoints failed, by endpoint and kind, since the gateways began."""
    found: dict[tuple[str, str], float] = {}
    for taken in snapshots:
        for (endpoint, kind), count in taken.counters.get("freehold_upstream_failures", ()):
            named = _KINDS.get(kind, f"status {kind}")
            found[endpoint, named] = found.get((endpoint, named), 0) + count
    return found


_KINDS = {
    "connection": "no connection",
    "name": "its host name cannot be resolved",
    "timeout": "no answer in time",
    "credentials": "no credentials",
}


def moves_back(alarm: RouteAlarm) -> bool:
    """Whether an alarm is for the incumbent to answer in the candidate's place."""
    return alarm.over_at is None and alarm.arm == "candidate" and alarm.trouble in MOVING


def counts(
    snapshots: Iterable[meters.Snapshot], routes: Iterable[Route], limits_ms: dict[str, float]
) -> dict[_Key, Counted]:
    """What all of a gateway's processes have counted of each route since they began."""
    names = {"", *(route.name for route in routes)}
    found: dict[_Key, Counted] = {}

    def add(
        route: str, trouble: Trouble, arm: Arm, requests: float, failed: float, usual: float = USUAL_FAILURES
    ) -> None:
        if route in names:
            key = _Key(route, trouble, arm)
            before = found.get(key, Counted())
            found[key] = Counted(before.requests + requests, before.failed + failed, usual)

    for taken in snapshots:
        for (route, _, arm, status), count in taken.counters.get("freehold_requests", ()):
            if status not in _REFUSALS:  # which are neither answers nor failures to answer
                add(route, "failures", _arm(arm), count, count if int(status) >= 500 else 0)
            add(route, "refused", _arm(arm), count, count if status in ("401", "403") else 0, OFTEN)
            add(route, "limited", _arm(arm), count, count if status == "429" else 0, OFTEN)
            add("", "flood", "incumbent", count, 0, OFTEN)
            add("", "cap", "incumbent", count, 0)
            if arm == "candidate":
                add(route, "schema", "candidate", count, 0)
        for (code, _), count in taken.counters.get("freehold_refusals", ()):
            if code in ("invalid_api_key", "expired_api_key"):
                add("", "flood", "incumbent", count, count, OFTEN)
            elif code == "spend_cap_reached":
                add("", "cap", "incumbent", count, count)
        for (route, why), count in taken.counters.get("freehold_fallbacks", ()):
            if why == "schema":
                add(route, "schema", "candidate", count, count)
        for (route, arm, _), count in taken.counters.get("freehold_failures", ()):
            add(route, "failures", _arm(arm), count, count)
        for (route, outcome), count in taken.counters.get("freehold_shadows", ()):
            if outcome in ("answered", "failed"):
                add(route, "mirror", "candidate", count, count if outcome == "failed" else 0)
        for (route, arm), cells, _ in taken.histograms.get("freehold_request_seconds", ()):
            if arm == "candidate" and route in limits_ms:
                add(route, "slow", "candidate", sum(cells), _later(cells, limits_ms[route] / 1000))
        for route, ages in taken.waiting.items():
            if route in limits_ms:
                edge_s = _edge(limits_ms[route] / 1000)
                late = sum(age > edge_s for age in ages)
                add(route, "slow", "candidate", late, late)
    return found


def _later(cells: list[int], limit_s: float) -> int:
    """Answers that were certainly later: those beyond the first edge that is not below the limit."""
    return sum(cells[bisect_left(meters.BUCKETS_S, limit_s) + 1 :])


def _edge(limit_s: float) -> float:
    edges = (*meters.BUCKETS_S, math.inf)
    return edges[bisect_left(edges, limit_s)]


def _arm(name: str) -> Arm:
    return "candidate" if name == "candidate" else "incumbent"


def _less(now: Counted, before: Counted) -> Counted:
    return Counted(max(0.0, now.requests - before.requests), max(0.0, now.failed - before.failed))
