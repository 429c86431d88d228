"""Measure one fault: what clients see, what is lost, and how long it takes until all is as before."""

import time
from collections import Counter
from typing import NamedTuple

from tests.faults import upstream as answers
from tests.faults.load import Clients
from tests.faults.measured_world import MeasuredWorld
from tests.faults.table import FAULTS
from tests.gateway.loopback import eventually

SETTINGS = {"workers": 2, "read_timeout_s": 3.0, "connect_timeout_s": 1.0, "breaker_pause_s": 1.0}
"""Of the gateways that are measured. Times are shorter than by default, so that a fault takes seconds."""
GIVEN_UP_S = 90.0
_SLOW_S = 1.0
_QUIET_S = 1.0
_SETTLED_S = 3.0


class Measured(NamedTuple):
    """What a fault did, `times` times over. Seconds are the longest of all times.

    `missing` are answers (200, whole) whose trace is not in the store at the end, `counted` what ``/metrics`` says of
    traces dropped and lost, `silent` the missing ones that are not counted; `silent_s` is the time in which as many
    requests are answered, for each fault. `answers_again_s` is how long after the fault the last request failed or
    took more than a second (on a busy machine: more than twice what one took before the fault), `stores_again_s` when
    the first trace of a later request was in the store; None where that was not so within 90 s.
    """

    name: str
    times: int
    statuses: dict[str, int]
    longest_s: float
    answered: int
    missing: int
    counted: int
    silent: int
    silent_s: float
    answers_again_s: float | None
    stores_again_s: float | None
    replaced_s: float | None
    failed_calls: int


def measure(name, *, seed, times, folder, upstream):
    """Do the fault `name` `times` times over, with a gateway in `folder` before `upstream`."""
    fault = FAULTS[name]
    upstream.reset()
    upstream.answer = answers.healthy
    settings = {**SETTINGS, **fault.settings}
    with MeasuredWorld(folder, upstream, seed=f"{seed}/{name}", **settings) as world:
        began_s = time.monotonic()
        with Clients(world.config.port, seed=f"{seed}/{name}", **fault.load) as clients:
            eventually(world.stored)
            recovered, failed_calls = [], 0
            for _ in range(times):
                upstream.seen.clear()
                quiet_s = time.monotonic() - _QUIET_S
                time.sleep(world.random.uniform(0.2, 1.0))
                usual = [one.waited_s for one in clients.outcomes if one.sent_s > quiet_s]
                slow_s = max(_SLOW_S, 2 * max(usual, default=0.0))
                recovered.append(_recovered(world, clients, _happen(fault, world), slow_s))
                failed_calls += world.shim.failed
        took_s = time.monotonic() - began_s
        outcomes = clients.outcomes
        answered = {one.trace_id for one in outcomes if one.is_answered}
        settle(world, answered)
        counted = world.counted()
    missing = answered - (world.stored() or set())
    silent = max(0, len(missing) - counted)
    return Measured(
        name=name,
        times=times,
        statuses=dict(Counter(str(one.status) for one in outcomes).most_common()),
        longest_s=max(one.waited_s for one in outcomes),
        answered=len(answered),
        missing=len(missing),
        counted=counted,
        silent=silent,
        silent_s=silent / (len(answered) / took_s) / times,
        answers_again_s=_longest(one.answers_s for one in recovered),
        stores_again_s=_longest(one.stores_s for one in recovered),
        replaced_s=max((one.whole_s for one in recovered if one.whole_s is not None), default=None),
        failed_calls=failed_calls,
    )


class _Recovery(NamedTuple):
    """Seconds; see `Measured`."""

    answers_s: float | None
    stores_s: float | None
    whole_s: float | None


def _happen(fault, world):
    """Do the fault; the moment from which recovery counts, and the moment before which it is not over."""
    began_s = time.monotonic()
    fault.begin(world)
    if fault.end is None:
        return began_s, began_s + fault.hold_s
    time.sleep(fault.hold_s)
    fault.end(world)
    return time.monotonic(), 0.0


def _recovered(world, clients, moments, slow_s):
    """When clients were answered (within `slow_s`), traces stored and processes there as before."""
    since_s, not_before_s = moments
    stores_s = whole_s = None
    while (now_s := time.monotonic()) < since_s + GIVEN_UP_S:
        outcomes = clients.outcomes
        later = [one for one in outcomes if one.sent_s >= since_s and one.is_answered]
        if stores_s is None and later and not (world.stored() or set()).isdisjoint(o.trace_id for o in later):
            stores_s = time.monotonic() - since_s
        if is_broken := not world.is_whole():
            whole_s = time.monotonic() - since_s
        bad = [one.sent_s + one.waited_s for one in outcomes if not one.is_answered or one.waited_s > slow_s]
        last_bad_s = max([since_s, *bad])
        is_quiet = now_s > max(last_bad_s + _QUIET_S, not_before_s) and clients.all_asked_after(
            now_s - _QUIET_S
        )
        if is_quiet and stores_s is not None and not is_broken:
            return _Recovery(last_bad_s - since_s, stores_s, whole_s)
        time.sleep(0.1)
    return _Recovery(None, stores_s, whole_s)


def settle(world, answered, *, settled_s=_SETTLED_S):
    """Wait until the store takes no more of what was answered, for so many seconds."""
    left, changed_s = None, time.monotonic()
    while time.monotonic() < changed_s + settled_s:
        now = len(answered - (world.stored() or set()))
        if now == 0:
            return
        if now != left:
            left, changed_s = now, time.monotonic()
        time.sleep(0.1)


def _longest(seconds):
    values = list(seconds)
    return None if None in values else max(values)
