"""Threads for an engine that answers for a while beside other work: those of the cores that are free.

Two threads of a small model meet at hundreds of barriers a token. Where something else wants the same cores, each
barrier waits until the system lets both run, and one thread, which waits for nobody, answers several times as fast
(measured: docs/benchmarks.md). A server stays for long and keeps its threads; evaluation and parity start an engine
of their own and look first.

Covered: other work when the engine starts, on the cores this process may use.
Not covered: work that begins or ends later.
"""

from __future__ import annotations

import os
import time

import msgspec
import psutil

from freehold.engines.llamacpp.engine import usable_cores
from freehold.settings import Settings
from freehold.types.endpoint import ServePlan
from freehold.types.progress import Progress

LOOK_SECONDS = 0.5


def for_a_job(plan: ServePlan, settings: Settings, progress: Progress) -> ServePlan:
    """`plan` with no more threads than cores are free, one at least; FREEHOLD_THREADS goes before that."""
    if plan.engine != "llamacpp" or settings.threads is not None:
        return plan
    cores = usable_cores()
    wanted = plan.threads or cores
    busy = busy_cores()
    threads = min(wanted, max(1, cores - round(busy)))
    if threads == wanted:
        return plan
    progress.say(
        f"other work keeps {busy:.1f} of {cores} cores busy: answering with {threads} of {wanted} threads "
        "(FREEHOLD_THREADS says otherwise)"
    )
    return msgspec.structs.replace(plan, threads=threads)


def busy_cores(seconds: float = LOOK_SECONDS) -> float:
    """How many of the cores this process may use were busy during the last `seconds`; 0 where that cannot be told."""
    before = _times()
    time.sleep(seconds)
    return sum(
        busy / (busy + idle)
        for busy, idle in ((b - a, d - c) for (a, c), (b, d) in zip(before, _times(), strict=False))
        if busy + idle > 0
    )


def _times() -> list[tuple[float, float]]:
    """Seconds busy and idle since the start of the machine, for each core this process may use."""
    try:
        found = psutil.cpu_times(percpu=True)
    except (OSError, psutil.Error):
        return []
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        found = [one for number, one in enumerate(found) if number in allowed]
    # A guest's time is within user time already; waiting for a disk leaves the core to others.
    return [
        (
            sum(getattr(one, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal")),
            one.idle + getattr(one, "iowait", 0.0),
        )
        for one in found
    ]
