"""N streams that each ask again as soon as they have their answer."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from freehold.engines.traffic import TimedAnswer, session, timed
from freehold.types.endpoint import Endpoint


class Level(NamedTuple):
    """What came within the time; answers that were under way at its end do not count."""

    requests_per_second: float
    completion_tokens_per_second: float
    first_ms: float
    """The median time to the first piece."""


async def drive(
    endpoint: Endpoint, model: str, bodies: Sequence[dict[str, Any]], streams: int, *, seconds: float
) -> Level:
    """Hold `streams` for `seconds`, after one request that pays for what is lazy. Raises what `timed` raises."""
    turn = itertools.cycle(bodies)
    answers: list[TimedAnswer] = []

    async def stream() -> None:
        while True:
            answers.append(await timed(http, endpoint, model, next(turn)))

    async with session(endpoint) as http:
        await timed(http, endpoint, model, next(turn))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for _ in range(streams):
                    group.create_task(stream())
    return Level(
        requests_per_second=len(answers) / seconds,
        completion_tokens_per_second=sum(one.completion_tokens for one in answers) / seconds,
        first_ms=1000 * statistics.median(one.first_s for one in answers) if answers else 0.0,
    )


def from_place(bodies: Sequence[dict[str, Any]], place: int) -> list[dict[str, Any]]:
    """The same requests, beginning at another of them."""
    place %= len(bodies)
    return [*bodies[place:], *bodies[:place]]
