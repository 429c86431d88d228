"""Traffic from logged requests: tokens per request, requests a month, the peak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.errors import UsageError
from freehold.types.cost import Traffic
from freehold.types.trace import Usage

DAYS_PER_MONTH = Decimal("30.4375")
CHARACTERS_PER_TOKEN = 4
"""Rule of thumb for English text, used only where the upstream reported no tokens, which is then noted."""
DEFAULT_PEAK = 4.0
"""Busiest hour over average hour where it is not known: an office day's traffic in a third of the hours."""
LEAST_DAYS = 1.0
MOST = 10**12
"""More requests a month than all vendors together serve (2026), and more tokens than any context holds."""


class LoggedRequest(NamedTuple):
    """What one logged request tells about cost."""

    at: datetime
    usage: Usage | None
    prompt_characters: int
    completion_characters: int

    def counted(self) -> tuple[Usage, bool]:
        """What it is billed for, and whether tokens had to be estimated."""
        usage = self.usage or Usage()
        if usage.prompt_tokens is not None and usage.completion_tokens is not None:
            return usage, False
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        if prompt is None:
            prompt = -(-self.prompt_characters // CHARACTERS_PER_TOKEN)
        if completion is None:
            completion = -(-self.completion_characters // CHARACTERS_PER_TOKEN)
        return msgspec.structs.replace(usage, prompt_tokens=prompt, completion_tokens=completion), True


def from_requests(requests: Iterable[LoggedRequest], *, requests_per_month: Decimal | None = None) -> Traffic:
    """Averages and a monthly rate. The rate is taken from the log's time span when it is a day or more.

    Raises `UsageError` when there is nothing, and when the span is too short and no rate was stated: a burst of tests
    says nothing about a month.
    """
    seen = list(requests)
    if not seen:
        raise UsageError(
            "no traffic to price",
            hint="freehold import FILE brings some in, or state it: --requests-per-month, "
            "--prompt-tokens, --completion-tokens",
        )
    counted = [request.counted() for request in seen]
    usages = [usage for usage, _ in counted]
    if not any(usage.prompt_tokens or usage.completion_tokens for usage in usages):
        raise UsageError(
            f"none of {len(seen):,} traces has tokens or text: there is nothing to price",
            hint="state it: --requests-per-month, --prompt-tokens, --completion-tokens",
        )
    times = sorted(request.at for request in seen)
    days = (times[-1] - times[0]).total_seconds() / 86400
    monthly, how = rate(len(seen), days, requests_per_month)

    def mean(name: str) -> Decimal:
        return Decimal(sum(getattr(usage, name) or 0 for usage in usages)) / len(usages)

    return Traffic(
        requests_per_month=monthly,
        prompt_tokens=mean("prompt_tokens"),
        cached_prompt_tokens=mean("cached_prompt_tokens"),
        cache_write_tokens=mean("cache_write_tokens"),
        completion_tokens=mean("completion_tokens"),
        reasoning_tokens=mean("reasoning_tokens"),
        audio_tokens=mean("audio_prompt_tokens") + mean("audio_completion_tokens"),
        batch_share=sum(usage.service_tier == "batch" for usage in usages) / len(usages),
        peak_factor=_peak(times, days),
        how=how,
        traces=len(seen),
        days=days,
        estimated_share=sum(estimated for _, estimated in counted) / len(usages),
    )


def rate(count: int, days: float, requests_per_month: Decimal | None = None) -> tuple[Decimal, str]:
    """Requests a month, and how that is known. Raises `UsageError` where these days are too few to tell."""
    if requests_per_month is not None:
        _possible("requests a month", requests_per_month)
        return requests_per_month, f"tokens from {count:,} traces, rate as stated"
    if days < LEAST_DAYS:
        raise UsageError(
            f"{count:,} traces within {days * 24:.1f} hours do not tell your monthly traffic",
            hint="state it: --requests-per-month N",
        )
    return Decimal(count) / Decimal(str(days)) * DAYS_PER_MONTH, f"{count:,} traces over {days:.1f} days"


def _possible(what: str, value: Decimal) -> None:
    if not value.is_finite() or not 0 <= value <= MOST:
        raise UsageError(f"{what}: {value}, expected 0 to {MOST:,}")


def check_peak(peak_factor: float) -> None:
    """Raise `UsageError` for a busiest hour below the average one, or a thousand times as busy."""
    if not 1 <= peak_factor <= 1000:
        raise UsageError(f"the busiest hour is {peak_factor:g} × the average, expected 1 to 1000")


def _peak(times: list[datetime], days: float) -> float:
    if days < LEAST_DAYS or len(times) < 100:
        return DEFAULT_PEAK
    hours = Counter(int(at.timestamp() // 3600) for at in times)
    return max(1.0, max(hours.values()) / (len(times) / (days * 24)))


def stated(
    *,
    requests_per_month: Decimal,
    prompt_tokens: Decimal,
    completion_tokens: Decimal,
    cached_prompt_tokens: Decimal = Decimal(0),
    cache_write_tokens: Decimal = Decimal(0),
    reasoning_tokens: Decimal = Decimal(0),
    batch_share: float = 0.0,
    peak_factor: float = DEFAULT_PEAK,
) -> Traffic:
    """Traffic as stated by the user. Raises `UsageError` for negative numbers and a cache larger than the prompt."""
    if prompt_tokens == 0 == completion_tokens:
        raise UsageError(
            "a request of 0 prompt and 0 completion tokens asks nothing: there is nothing to price"
        )
    numbers = {
        "requests a month": requests_per_month,
        "prompt tokens": prompt_tokens,
        "completion tokens": completion_tokens,
        "cached prompt tokens": cached_prompt_tokens,
        "prompt tokens written to a cache": cache_write_tokens,
        "reasoning tokens": reasoning_tokens,
    }
    for what, value in numbers.items():
        _possible(what, value)
    if cached_prompt_tokens + cache_write_tokens > prompt_tokens:
        written = f" and {cache_write_tokens} written ones" if cache_write_tokens else ""
        raise UsageError(
            f"{cached_prompt_tokens} cached prompt tokens{written} of {prompt_tokens} make no sense",
            hint="--prompt-tokens are all of the prompt: add what Anthropic counts apart from its input",
        )
    if reasoning_tokens > completion_tokens:
        raise UsageError(f"{reasoning_tokens} reasoning tokens of {completion_tokens} make no sense")
    if not 0 <= batch_share <= 1:
        raise UsageError(f"a share of {batch_share} in batches makes no sense, expected 0 to 1")
    check_peak(peak_factor)
    return Traffic(
        requests_per_month=requests_per_month,
        prompt_tokens=prompt_tokens,
        cached_prompt_tokens=cached_prompt_tokens,
        cache_write_tokens=cache_write_tokens,
        completion_tokens=completion_tokens,
        peak_factor=peak_factor,
        reasoning_tokens=reasoning_tokens,
        batch_share=batch_share,
        how="as stated",
    )
