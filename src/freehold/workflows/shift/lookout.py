"""Always looked at: what the gateway beside counts of each route, in every state, with capture off as well.

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
from freehold.stats.drift import USUAL_FAILURES, FailureDetector
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
    """Follows one gateway's numbers. `run_folder_file` is where that gateway says in which folder they are."""

    def __init__(self, run_folder_file: Path) -> None:
        self._file = run_folder_file
        self._folder: Path | None = None
        self._gateway = socket.gethostname()
        self._is_new = True
        self._before: dict[_Key, Counted] = {}
        self._detectors: dict[_Key, FailureDetector] = {}
        self._open: dict[_Key, RouteAlarm] | None = None
        self._told_at: dict[_Key, datetime] = {}
        self._good: dict[_Key, Counted] = {}

    def look(self, store: Store, *, at: datetime, limits_ms: dict[str, float]) -> list[RouteAlarm]:
        """What is to be told now: troubles that began, go on for an hour, or are over (`over_at`).

        `limits_ms` are the slowest 95th percentiles that are accepted, by route. Raises `StoreError`.
        """
        folder = self._run_folder()
        if folder is None:
            return []
        routes = store.routes()
        counted = counts(meters.read_all(folder), routes, limits_ms)
        is_first, self._is_new = self._is_new, False
        news = {key: _less(now, self._before.get(key, Counted())) for key, now in counted.items()}
        self._before = counted
        if is_first:
            # What was counted before this process looked may be of days ago.
            return []
        if self._open is None:
            self._open = {
                _Key(one.route, one.trouble, one.arm): one
                for one in store.records(RouteAlarm)
                if one.over_at is None and one.gateway == self._gateway
            }
        told = []
        states = {route.name: route for route in routes}
        for key, new in news.items():
            if (alarm := self._judged(key, new, states.get(key.route), at)) is not None:
                store.put(alarm)
                told.append(alarm)
        return told

    def _judged(self, key: _Key, new: Counted, route: Route | None, at: datetime) -> RouteAlarm | None:
        """The alarm that a look makes, repeats or ends; None where there is nothing to tell."""
        assert self._open is not None
        going_on = self._open.get(key)
        if going_on is None:
            detector = self._detectors.get(key, FailureDetector())
            detector = detector.update(round(new.requests), round(new.failed))
            self._detectors[key] = detector
            if not detector.alarm:
                return None
            self._detectors.pop(key)
            alarm = RouteAlarm(
                route=key.route, trouble=key.trouble, arm=key.arm, gateway=self._gateway, since=at,
                requests=round(new.requests), failed=round(new.failed), why=_why(key, new, route),
            )  # fmt: skip
            self._open[key], self._told_at[key] = alarm, at
            return alarm
        good = self._good.get(key, Counted())
        good = Counted(good.requests + new.requests, good.failed + new.failed)
        if good.failed > USUAL_FAILURES * good.requests:
            good = Counted()
        self._good[key] = good
        if good.requests >= OVER_AFTER:
            self._open.pop(key)
            self._good.pop(key)
            return msgspec.structs.replace(going_on, over_at=at)
        if new.failed and at - self._told_at.get(key, going_on.since) >= AGAIN_AFTER:
            self._told_at[key] = at
            return msgspec.structs.replace(going_on, why=_why(key, new, route))
        return None

    def _run_folder(self) -> Path | None:
        """The folder of the gateway that runs now; another one begins to count at nothing."""
        try:
            folder = Path(self._file.read_text("utf-8").strip())
        except OSError:
            return None
        if folder != self._folder:
            self._folder, self._is_new = folder, True
        return folder if folder.is_dir() else None


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
