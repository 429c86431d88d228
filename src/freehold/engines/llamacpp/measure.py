"""How fast llama.cpp is with given settings: its own timings of a few requests."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold.engines import keys
from freehold.engines.engine import start
from freehold.engines.llamacpp.native import StreamSpeed
from freehold.engines.traffic import synthetic
from freehold.errors import EngineError
from freehold.late import aiohttp
from freehold.types.endpoint import Endpoint, ServePlan

ROUNDS = 5
PROMPT_TOKENS, COMPLETION_TOKENS = 400, 48
"""Words in the prompt (about a token each) and tokens in the answer."""


async def measure(plan: ServePlan, *, log_dir: Path, rounds: int = ROUNDS) -> StreamSpeed:
    """Median prompt and generation speed of `plan` over `rounds` requests, after one to warm up.

    Prompts share nothing, and the prompt cache is off for them. Raises what a start raises, and `EngineError`
    when the engine does not tell its timings.
    """
    alone = msgspec.structs.replace(plan, parallel=1, port=0)
    # The server closes kept connections after a while, sometimes just as they are used again.
    connector = aiohttp.TCPConnector(force_close=True)
    bodies = synthetic(prompt_tokens=PROMPT_TOKENS, completion_tokens=COMPLETION_TOKENS).endless()
    async with (
        start(alone, log_dir=log_dir, name="measure") as endpoint,
        aiohttp.ClientSession(connector=connector) as http,
    ):
        timings = [await _ask(http, endpoint, plan.model, next(bodies)) for _ in range(rounds + 1)]
    return _median(timings[1:])


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
