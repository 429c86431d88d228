"""(b) The build for this CPU beside the prebuilt library, same weights, same settings."""

from __future__ import annotations

import statistics

import msgspec

from benchmarks.serving.common import Asked, Result, built, plan
from freehold.engines.engine import start
from freehold.engines.traffic import made_up, rates
from freehold.types.endpoint import ServePlan

PROMPT, WRITTEN = 4.5, 2.2


PROMPT_TOKENS, COMPLETION_TOKENS = 400, 48


async def speeds_of(way: ServePlan, asked: Asked) -> tuple[float, float]:
    """Tokens per second at one stream, of prompts and of answers; medians."""
    bodies = made_up(2 * asked.rounds + 2, prompt_tokens=PROMPT_TOKENS, completion_tokens=COMPLETION_TOKENS)
    alone = msgspec.structs.replace(way, parallel=1, port=0)
    async with start(alone, log_dir=asked.logs, name="measure") as endpoint:
        found = await rates(endpoint, way.model, bodies)
    return statistics.median(one.prompt for one in found), statistics.median(one.completion for one in found)


async def measure(asked: Asked) -> list[Result]:
    """Prompt and generation speed at one stream."""
    base = plan(asked)
    ways = [
        msgspec.structs.replace(base, options={**base.options, "binary": binary})
        for binary in ("library", str(built()))
    ]
    wheel, speed = [await speeds_of(way, asked) for way in ways]
    return [
        Result(
            "builds",
            f"{what}, built here over prebuilt",
            one / other,
            "×",
            f"{one:,.0f} and {other:,.0f} tokens/s",
            f"≥ {least}",
            one / other >= least,
        )
        for what, one, other, least in (
            ("prompts", speed[0], wheel[0], PROMPT),
            ("writing", speed[1], wheel[1], WRITTEN),
        )
    ]
