"""How fast llama.cpp is with given settings: its own timings of a few requests, several settings in turn.

Settings that are compared run at the same time and are asked in turn, one request at a time, so that other work on
the machine slows all of them alike. An engine that waits costs nothing: its threads sleep.
"""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.engines import keys
from freehold.engines.engine import start
from freehold.engines.llamacpp.native import StreamSpeed
from freehold.engines.traffic import synthetic
from freehold.errors import EngineError
from freehold.late import aiohttp
from freehold.types.endpoint import Endpoint, ServePlan

PROMPT_TOKENS = 400
COMPLETION_TOKENS = 48
ROUNDS = 5


class RequestSize(NamedTuple):
    """What is asked to measure: words in the prompt (about a token each) and tokens in the answer."""

    prompt_tokens: int = PROMPT_TOKENS
    completion_tokens: int = COMPLETION_TOKENS


SHAPE = RequestSize()


async def measure(plan: ServePlan, *, log_dir: Path, rounds: int = ROUNDS) -> StreamSpeed:
    """Median prompt and generation speed of `plan` over `rounds` requests, after one to warm up.

    Prompts share nothing, and the prompt cache is off for them. Raises what a start raises, and `EngineError`
    when the engine does not tell its timings.
    """
    return (await measure_interleaved([plan], log_dir=log_dir, rounds=rounds))[0]


async def measure_interleaved(
    plans: Sequence[ServePlan],
    *,
    log_dir: Path,
    rounds: int = ROUNDS,
    shape: RequestSize = SHAPE,
    tell: Callable[[int, int], None] | None = None,
) -> list[StreamSpeed]:
    """Median speeds of several plans, asked in turn; see `measure`. `tell` gets the requests done and the total."""
    total = (rounds + 1) * len(plans)
    timings: list[list[dict[str, float]]] = [[] for _ in plans]
    async with contextlib.AsyncExitStack() as stack:
        # The server closes kept connections after a while, sometimes just as they are used again.
        connector = aiohttp.TCPConnector(force_close=True)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        endpoints = []
        for number, plan in enumerate(plans):
            alone = msgspec.structs.replace(plan, parallel=1, port=0)
            session = start(alone, log_dir=log_dir, name=f"measure-{number}")
            endpoints.append(await stack.enter_async_context(session))
        bodies = synthetic(
            prompt_tokens=shape.prompt_tokens, completion_tokens=shape.completion_tokens
        ).endless()
        for turn in range(rounds + 1):
            asked = [next(bodies)] * len(plans)
            for place in range(len(plans)):
                which = (place + turn) % len(plans)  # none is always the first after a pause
                found = await _ask(http, endpoints[which], plans[which].model, asked[which])
                if turn:
                    timings[which].append(found)
                if tell is not None:
                    tell(turn * len(plans) + place + 1, total)
    return [_median(found) for found in timings]


async def _ask(
    http: aiohttp.ClientSession, endpoint: Endpoint, model: str, body: dict[str, Any]
) -> dict[str, float]:
    asked = {**body, "model": model, "cache_prompt": False}
    async with http.post(
        f"{endpoint.base_url}/v1/chat/completions", json=asked, headers=keys.headers(endpoint)
    ) as reply:
        answer = await reply.json()
    timings = answer.get("timings") if isinstance(answer, dict) else None
    if not isinstance(timings, dict):
        raise EngineError(f"the engine did not tell how long it took: {str(answer)[:200]}")
    return timings


def _median(timings: Sequence[dict[str, float]]) -> StreamSpeed:
    def of(key: str) -> Iterator[float]:
        return (found[key] for found in timings)

    return StreamSpeed(
        prompt_tokens_per_second=statistics.median(of("prompt_per_second")),
        completion_tokens_per_second=statistics.median(of("predicted_per_second")),
    )
