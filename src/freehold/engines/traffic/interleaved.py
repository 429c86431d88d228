"""Several plans under the same load in turn, so that other work on the machine slows all of them alike."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from freehold.engines.engine import start
from freehold.engines.traffic.drive import drive
from freehold.engines.traffic.workload import RequestBodies
from freehold.errors import UpstreamError
from freehold.types.endpoint import Endpoint, ServePlan

ENOUGH = 3
"""Finished requests a stream without which a rate is a matter of luck."""


async def drive_interleaved(
    plans: Sequence[ServePlan],
    workload: RequestBodies,
    *,
    streams: int,
    seconds: float,
    rounds: int,
    log_dir: Path,
    tell: Callable[[int, int], None] | None = None,
) -> list[float]:
    """Median requests a second of each plan over `rounds` slices of `seconds` at `streams` at once.

    Raises what a start raises, and `UpstreamError` when an engine answered nothing in a slice.
    """
    rates: list[list[float]] = [[] for _ in plans]
    done = 0
    async with contextlib.AsyncExitStack() as stack:
        endpoints = [
            await stack.enter_async_context(start(plan, log_dir=log_dir, name=f"interleaved-{number}"))
            for number, plan in enumerate(plans)
        ]
        for turn in range(rounds):
            # Each slice goes on where the last one was, or caches would hold its prompts to the end.
            place = turn * len(workload.bodies) // rounds
            shifted = workload._replace(bodies=[*workload.bodies[place:], *workload.bodies[:place]])
            for step in range(len(plans)):
                which = (step + turn) % len(plans)
                rates[which].append(
                    await _rate(endpoints[which], plans[which].model, shifted, streams, seconds)
                )
                done += 1
                if tell is not None:
                    tell(done, rounds * len(plans))
    return [statistics.median(found) for found in rates]


async def _rate(
    endpoint: Endpoint, model: str, workload: RequestBodies, streams: int, seconds: float
) -> float:
    """Requests a second, from at least `ENOUGH` requests a stream where eight slices' time allows."""
    for longer in (1, 2, 4, 8):
        (level,) = await drive(endpoint, model, workload, [streams], seconds=seconds * longer)
        if level.requests >= ENOUGH * streams or (longer == 8 and level.requests):
            return level.requests_per_second
    raise UpstreamError(
        f"{model} answered nothing in {seconds * longer:g} s at {streams} streams",
        hint="is something else using the whole machine? Try again, or with fewer streams",
    )
