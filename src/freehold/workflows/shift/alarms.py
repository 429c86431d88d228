"""Alarms sent to a webhook, by the observer and by `freehold watch`; and what is wrong with the running gateway, for
who looks at two in the morning: `freehold status` and `freehold doctor`.

Incidents are read from what the observer told and is not over, and from the gateway's own numbers, which are there
when the store is not. Nothing is changed.
"""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from freehold.gateway.child_process import RECORDER_SILENT_S, recorder_silent_s
from freehold.gateway.telemetry import meters
from freehold.types.config import WatchConfig
from freehold.types.finding import Finding, fail, warn
from freehold.types.record import Record
from freehold.types.rollout import RouteAlarm, Trouble
from freehold.visible import MIB

TIMEOUT_S = 15.0


AlarmKind = Literal["rolled_back", "quality", "drift", "check_failed", "trouble", "trouble_over"]


class Alarm(Record, frozen=True, kw_only=True):
    """What the webhook receives, as JSON. It carries no content of requests or answers."""

    kind: AlarmKind
    app: str
    route: str
    at: datetime
    why: str
    action: str = "none"


def send_alarm(alarm: Alarm, config: WatchConfig) -> tuple[str, ...]:
    """Send an alarm to the webhook; returns what went wrong, for the caller to show.

    Never raises: an alarm must not be lost twice.
    """
    if config.webhook_env is None:
        return ()
    problem = _post(config.webhook_env, msgspec.json.encode(alarm))
    return () if problem is None else (problem,)


def _post(variable: str, body: bytes) -> str | None:
    address = os.environ.get(variable)
    if not address:
        return f"the alarm's webhook was not told: {variable} is not set"
    if not address.startswith(("http://", "https://")):
        return f"the alarm's webhook was not told: {variable} is not an http:// or https:// address"
    try:
        request = urllib.request.Request(address, body, {"content-type": "application/json"}, method="POST")  # noqa: S310 (the scheme is checked above)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 (the scheme is checked above)
            answer.read(1024)
    except urllib.error.HTTPError as error:
        return f"the alarm's webhook answered {error.code}"
    except (OSError, ValueError) as error:
        # The address may hold a secret, so it is not shown.
        return f"the alarm's webhook cannot be reached: {type(error).__name__}"
    return None


_LEAST_FREE_BYTES = 4 * MIB
_HANGS_S = 30.0
_SLOW_S, _FEWEST = 2.5, 10
_UNANSWERED = "freehold doctor; an upstream's status page; freehold rollout rollback if it is the candidate"
_FIXES: dict[Trouble, str] = {
    "refused": "set the variable of its key (api_key_env) and start freehold up again",
    "limited": "ask the vendor for more, or add a fallback to the route: freehold routes set",
    "flood": "freehold keys list; in the request log, who asks",
    "cap": "freehold keys list; freehold keys limit NAME usd_per_day=…",
    "clock": "see to the machine's clock: limits, caps and retention go by it",
}


def incidents(state: Path, alarms: Iterable[RouteAlarm]) -> tuple[Finding, ...]:
    """What is wrong now (`fail`), or slow (`warn`), and what to do. `alarms` are those of the store, none where it
    cannot be read."""
    return (*_disk(state), *_told(alarms), *_seen(state.absolute() / "spool"))


def _disk(state: Path) -> Iterator[Finding]:
    try:
        place = os.statvfs(state)
    except OSError:
        return
    if place.f_bavail * place.f_frsize < _LEAST_FREE_BYTES:
        yield fail(
            "incidents",
            f"the disk of {state} is full: no trace is kept, no key can be made or revoked",
            "make room; freehold doctor says what of it is freehold's",
        )


def _told(alarms: Iterable[RouteAlarm]) -> Iterator[Finding]:
    open_ones = (one for one in alarms if one.over_at is None)
    for one in sorted(open_ones, key=lambda one: one.since, reverse=True):
        what = f"{one.why}; since {one.since:%H:%M} UTC"
        yield fail("incidents", what, _FIXES.get(one.trouble, _UNANSWERED))


def _seen(spool: Path) -> Iterator[Finding]:
    for folder, snapshots in meters.read_running(spool).items():
        silent_s = recorder_silent_s(folder)
        if silent_s is not None and silent_s > RECORDER_SILENT_S:
            yield fail(
                "incidents",
                f"the recorder has been silent for {silent_s:.0f} s: traces wait",
                "see to the disk and the store: freehold doctor",
            )
        if any(taken.gauges.get("freehold_config_stale") for taken in snapshots):
            yield fail(
                "incidents",
                "freehold.toml is not wholly in force: it was refused, or waits for the next start",
                "the output of freehold up says why",
            )
        paused = {
            labels[0] for taken in snapshots for labels, _ in taken.labelled.get("freehold_breaker_open", ())
        }
        down = {name for taken in snapshots for name, answers in taken.answers.items() if not answers}
        for name in sorted(paused | down):
            yield fail(
                "incidents", f"endpoint {name} keeps failing or does not answer a health check", _UNANSWERED
            )
        waits = [(age, route) for taken in snapshots for route, ages in taken.waiting.items() for age in ages]
        hang = [(age, route) for age, route in waits if age > _HANGS_S]
        if hang:
            longest_s, route = max(hang)
            yield fail(
                "incidents",
                f"{len(hang)} requests wait for the candidate of route {route}, one for {longest_s:.0f} s",
                f"freehold rollout rollback --route {route}",
            )
        yield from _slow(snapshots)


def _slow(snapshots: list[meters.Snapshot]) -> Iterator[Finding]:
    sums: dict[str, tuple[int, float]] = {}
    for taken in snapshots:
        for (endpoint,), cells, total_s in taken.histograms.get("freehold_upstream_seconds", ()):
            count, sum_s = sums.get(endpoint, (0, 0.0))
            sums[endpoint] = (count + sum(cells), sum_s + total_s)
    for endpoint, (count, sum_s) in sums.items():
        if count >= _FEWEST and sum_s / count > _SLOW_S:
            yield warn(
                "incidents",
                f"endpoint {endpoint} begins to answer after {sum_s / count:.1f} s, on average since the start",
                "its status page; first_byte_ms of a route lets the next target answer",
            )
