"""How fast answers came: quantiles of what a replay measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

from freehold.types.evaluated import LatencySummary
from freehold.types.evaluation import EvalResult


def summarize(
    results: Sequence[EvalResult], *, concurrency: int, wall_seconds: float | None = None
) -> LatencySummary:
    """Quantiles over the answers that came. Give `wall_seconds` only where all of them were asked in that time."""
    timed = [one for one in results if one.total_ms is not None]
    return LatencySummary(
        n=len(timed),
        concurrency=concurrency,
        ttft_p50_ms=quantile([one.ttft_ms for one in timed], 0.5),
        ttft_p95_ms=quantile([one.ttft_ms for one in timed], 0.95),
        total_p50_ms=quantile([one.total_ms for one in timed], 0.5),
        total_p95_ms=quantile([one.total_ms for one in timed], 0.95),
        prompt_tokens=_total([one.usage.prompt_tokens if one.usage else None for one in timed]),
        completion_tokens=_total([one.usage.completion_tokens if one.usage else None for one in timed]),
        wall_seconds=wall_seconds,
    )


def quantile(values: Sequence[float | None], share: float) -> float | None:
    """The smallest value that at least `share` of the values don't exceed (inverse of the distribution)."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return known[max(0, math.ceil(share * len(known)) - 1)]


def _total(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
