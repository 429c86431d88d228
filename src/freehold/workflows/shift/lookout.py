"""Always looked at: what the gateways of this machine count of each route, in every state, with capture off as well.

A rollout's own tests (`freehold.workflows.shift.rollout`) are about small differences and end with it. These are about
what an on-call person must hear of within seconds, before, during and after it: an arm that does not answer, answers
that break their schema, answers that are too late, a candidate that fails what is mirrored. They tell and move nothing:
a failing candidate's requests are answered by the incumbent one by one as long as there is one.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from freehold.gateway.telemetry import meters
from freehold.stats.drift import LOOKS_TO_ALARM, USUAL_FAILURES, MeanDetector
from freehold.stats.sequential import MeanLimit
from freehold.store import Store
from freehold.types.route import Route
from freehold.types.serving.rollout import RouteAlarm, Trouble

log = logging.getLogger("freehold.observer")

AGAIN_AFTER = timedelta(hours=1)
"""A trouble that goes on is told again after this long."""
OVER_AFTER = 20
"""Requests in a row of looks, few of which fail, after which a trouble is over."""
Arm = Literal["candidate", "incumbent"]


class Counted(NamedTuple):
    """Requests of one kind, and those of them that went wrong."""

    requests: float = 0.0
    failed: float = 0.0


class _Key(NamedTuple):
    route: str
    trouble: Trouble
    arm: Arm


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
        news = self._news(routes.values(), limits_ms)
        told = []
        for key in news.keys() | going_on.keys():
            new, route = news.get(key, Counted()), routes.get(key.route)
            if (alarm := self._judged(key, new, going_on.get(key), route, at)) is not None:
                store.put(alarm)
                told.append(alarm)
        return told

    def _news(self, routes: Iterable[Route], limits_ms: dict[str, float]) -> dict[_Key, Counted]:
        """What was counted since the last look. Of a gateway that is seen for the first time that is not known: it may
        be of days ago."""
        now = {
            folder: counts(snapshots, routes, limits_ms)
            for folder, snapshots in meters.read_running(self._spool).items()
        }
        news: dict[_Key, Counted] = {}
        for folder, counted in now.items():
            if (before := self._before.get(folder)) is None:
                continue
            for key, one in counted.items():
                sum_, more = news.get(key, Counted()), _less(one, before.get(key, Counted()))
                news[key] = Counted(sum_.requests + more.requests, sum_.failed + more.failed)
        self._before = now
        return news

    def _judged(
        self, key: _Key, new: Counted, going_on: RouteAlarm | None, route: Route | None, at: datetime
    ) -> RouteAlarm | None:
        """The alarm that a look makes, repeats or ends; None where there is nothing to tell."""
        if going_on is None:
            self._good.pop(key, None)
            failed, others = round(new.failed), round(new.requests - new.failed)
            detector = self._detectors.pop(key, MeanDetector())
            detector = detector.update([1.0] * failed + [0.0] * others, MeanLimit(USUAL_FAILURES))
            if detector.statistic < LOOKS_TO_ALARM:
                self._detectors[key] = detector
                return None
            self._told_at[key] = at
            return RouteAlarm(
                route=key.route, trouble=key.trouble, arm=key.arm, gateway=self._machine, since=at,
                requests=round(new.requests), failed=round(new.failed), why=_why(key, new, route),
            )  # fmt: skip
        self._detectors.pop(key, None)
        good = self._good.get(key, Counted())
        good = Counted(good.requests + new.requests, good.failed + new.failed)
        if good.failed > USUAL_FAILURES * good.requests:
            good = Counted()
        self._good[key] = good
        if good.requests >= OVER_AFTER or _is_asked_no_more(key, route):
            return msgspec.structs.replace(going_on, over_at=at)
        if new.failed and at - self._told_at.get(key, going_on.since) >= AGAIN_AFTER:
            self._told_at[key] = at
            return msgspec.structs.replace(going_on, why=_why(key, new, route))
        return None


def _is_asked_no_more(key: _Key, route: Route | None) -> bool:
    """Whether nothing can show that a trouble is over: the route is gone, or its candidate gets no requests."""
    return route is None or (key.arm == "candidate" and route.state in ("incumbent", "rolled_back"))


def counts(
    snapshots: Iterable[meters.Snapshot], routes: Iterable[Route], limits_ms: dict[str, float]
) -> dict[_Key, Counted]:
    """What all of a gateway's processes have counted of each route since they began."""
    names = {route.name for route in routes}
    found: dict[_Key, Counted] = {}

    def add(route: str, trouble: Trouble, arm: Arm, requests: float, failed: float) -> None:
        if route in names:
            key = _Key(route, trouble, arm)
            before = found.get(key, Counted())
            found[key] = Counted(before.requests + requests, before.failed + failed)

    for taken in snapshots:
        for (route, _, arm, status), count in taken.counters.get("freehold_requests", ()):
            add(route, "failures", _arm(arm), count, count if int(status) >= 500 else 0)
            if arm == "candidate":
                add(route, "schema", "candidate", count, 0)
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
    return found


def _later(cells: list[int], limit_s: float) -> int:
    """Answers that were certainly later: those beyond the first edge that is not below the limit."""
    edges = meters.BUCKETS_S
    first = next((at for at, edge in enumerate(edges) if edge >= limit_s), len(edges))
    return sum(cells[first + 1 :])


def _arm(name: str) -> Arm:
    return "candidate" if name == "candidate" else "incumbent"


def _less(now: Counted, before: Counted) -> Counted:
    return Counted(max(0.0, now.requests - before.requests), max(0.0, now.failed - before.failed))


def _why(key: _Key, new: Counted, route: Route | None) -> str:
    state = "" if route is None else f", {route.state}"
    what = {
        "failures": f"the {key.arm} did not answer",
        "schema": "the candidate's answers broke their schema",
        "slow": "the candidate was later than the rollout's limit",
        "mirror": "the candidate did not answer what was mirrored to it",
    }[key.trouble]
    rest = ""
    if key.trouble == "failures":
        rest = "; what else the route names is asked for each of them"
    counted = f"{new.failed:.0f} of {new.requests:.0f} requests since the last look"
    return f"{what}: {counted} (route {key.route}{state}){rest}"
