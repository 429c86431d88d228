"""Memory and descriptors of a gateway's processes over time, and whether they stay flat."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import psutil

MIB = 1 << 20
WARM_UP_SHARE = 0.25
"""Of the time: caches fill and connections open, which is not growth."""
_MODULES = {
    "freehold.gateway.worker": "workers",
    "freehold.gateway.capture.recorder": "recorder",
    "freehold.bounded.nursery": "readers",
}


class Sample(NamedTuple):
    """One moment of all processes of one role."""

    at_s: float
    memory_mib: float
    descriptors: int


class Trend(NamedTuple):
    """`mean` after the warm-up, the slope per hour of a straight line through it, and what it grew by in that time."""

    mean: float
    per_hour: float
    growth: float

    def is_flat(self, slack: float) -> bool:
        """Whether it grew by less than `slack` or a twentieth of its mean, whichever is more."""
        return self.growth <= max(slack, self.mean / 20)


def sampled(main: psutil.Process, at_s: float) -> dict[str, Sample]:
    """Memory (resident) and descriptors of the gateway's processes, added up by role."""
    found: dict[str, Sample] = {}
    for process in (main, *main.children(recursive=True)):
        with contextlib.suppress(psutil.Error):
            command = process.cmdline()
            role = next((name for module, name in _MODULES.items() if module in command), "main")
            before = found.get(role, Sample(at_s, 0.0, 0))
            found[role] = Sample(
                at_s,
                before.memory_mib + process.memory_info().rss / MIB,
                before.descriptors + process.num_fds(),
            )
    return found


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """A least-squares line through what comes after the warm-up. Raises `ValueError` for fewer than 3 values there."""
    first_s, last_s = times_s[0], times_s[-1]
    from_s = first_s + WARM_UP_SHARE * (last_s - first_s)
    points = [(at, value) for at, value in zip(times_s, values, strict=True) if at >= from_s]
    if len(points) < 3:
        raise ValueError(f"{len(points)} samples after the warm-up, expected 3 or more")
    mean_s = sum(at for at, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((at - mean_s) ** 2 for at, _ in points)
    slope = sum((at - mean_s) * (value - mean) for at, value in points) / spread
    return Trend(mean, slope * 3600, slope * (points[-1][0] - points[0][0]))
