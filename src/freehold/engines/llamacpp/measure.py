"""How fast llama.cpp is with given settings: its own timings of a few requests, one at a time."""

from __future__ import annotations

import statistics
from pathlib import Path

import aiohttp
import msgspec

from freehold.engines.engine import start
from freehold.engines.llamacpp.native import Speed
from freehold.engines.traffic import synthetic
from freehold.errors import EngineError
from freehold.types.endpoint import ServePlan

PROMPT_TOKENS = 400
COMPLETION_TOKENS = 48
ROUNDS = 5


async def measure(plan: ServePlan, *, log_dir: Path, rounds: int = ROUNDS) -> Speed:
    """Median prompt and generation speed of `plan` over `rounds` requests, after one to warm up.

    Prompts share nothing, and the prompt cache is off for them. Raises what a start raises, and `EngineError`
    when the engine does not tell its timings.
    """
    plan = msgspec.structs.replace(plan, parallel=1, port=0)
    workload = synthetic(prompt_tokens=PROMPT_TOKENS, completion_tokens=COMPLETION_TOKENS)
    prompts: list[float] = []
    completions: list[float] = []
    async with (
        start(plan, log_dir=log_dir, name="measure") as endpoint,
        aiohttp.ClientSession() as http,
    ):
        bodies = workload.endless()
        for number in range(rounds + 1):
            body = {**next(bodies), "model": plan.model, "cache_prompt": False}
            async with http.post(f"{endpoint.base_url}/v1/chat/completions", json=body) as reply:
                answer = await reply.json()
            timings = answer.get("timings")
            if timings is None:
                raise EngineError(f"the engine did not tell how long it took: {str(answer)[:200]}")
            if number:
                prompts.append(timings["prompt_per_second"])
                completions.append(timings["predicted_per_second"])
    return Speed(
        prompt_tokens_per_second=statistics.median(prompts),
        completion_tokens_per_second=statistics.median(completions),
    )
