"""(b) The build for this CPU beside the prebuilt library, same weights, same settings."""

from __future__ import annotations

import msgspec

from benchmarks.serving.common import Asked, Result, built, plan
from freehold.workflows.serve.engines import measure as speed_of

PROMPT, WRITTEN = 4.5, 2.2


async def measure(asked: Asked) -> list[Result]:
    """Prompt and generation speed at one stream."""
    base = plan(asked)
    ways = [
        msgspec.structs.replace(base, options={**base.options, "binary": binary})
        for binary in ("library", str(built()))
    ]
    wheel, speed = [await speed_of(way, log_dir=asked.logs, rounds=2 * asked.rounds + 1) for way in ways]
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
            ("prompts", speed.prompt_tokens_per_second, wheel.prompt_tokens_per_second, PROMPT),
            ("writing", speed.completion_tokens_per_second, wheel.completion_tokens_per_second, WRITTEN),
        )
    ]
