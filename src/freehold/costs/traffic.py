"""Traffic from logged requests: tokens per request, requests a month, the peak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from freehold.errors import UsageError
from freehold.types.cost import Traffic

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
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_prompt_tokens: int
    prompt_characters: int
    completion_characters: int
    reasoning_tokens: int = 0

    def tokens(self) -> tuple[int, int, bool]:
        """Prompt tokens, completion tokens, and whether they had to be estimated."""
        if self.prompt_tokens is not None and self.completion_tokens is not None:
            return self.prompt_tokens, self.completion_tokens, False
        prompt = self.prompt_tokens or -(-self.prompt_characters // CHARACTERS_PER_TOKEN)
        completion = self.completion_tokens or -(-self.completion_characters // CHARACTERS_PER_TOKEN)
        return prompt, completion, True


def from_requests(requests: Iterable[LoggedRequest], *, requests_per_month: Decimal | None = None) -> Traffic:
    """Averages and a monthly rate. The rate is taken from the log's time span when it is a day or more.

    Raises `UsageError` when there is nothing, and when the span is too short and no rate was stated: a burst
    of tests says nothing about a month.
    """
    seen = list(requests)
    if not seen:
        raise UsageError(
            "no traffic to price",
            hint="freehold import FILE brings some in, or state it: --requests-per-month, "
            "--prompt-tokens, --completion-tokens",
        )
    counted = [request.tokens() for request in seen]
    if not any(prompt or completion for prompt, completion, _ in counted):
        raise UsageError(
            f"none of {len(seen):,} traces has tokens or text: there is nothing to price",
            hint="state it: --requests-per-month, --prompt-tokens, --completion-tokens",
        )
    count = Decimal(len(seen))
    times = sorted(request.at for request in seen)
    days = (times[-1] - times[0]).total_seconds() / 86400
    if requests_per_month is None:
        if days < LEAST_DAYS:
            raise UsageError(
                f"{len(seen):,} traces within {days * 24:.1f} hours do not say how much a month is",
                hint="state it: --requests-per-month N",
            )
        requests_per_month = count / Decimal(str(days)) * DAYS_PER_MONTH
        how = f"{len(seen):,} traces over {days:.1f} days"
    else:
        _possible("requests a month", requests_per_month)
        how = f"tokens from {len(seen):,} traces, rate as stated"
    return Traffic(
        requests_per_month=requests_per_month,
        prompt_tokens=Decimal(sum(prompt for prompt, _, _ in counted)) / count,
        cached_prompt_tokens=Decimal(sum(request.cached_prompt_tokens for request in seen)) / count,
        completion_tokens=Decimal(sum(completion for _, completion, _ in counted)) / count,
        reasoning_tokens=Decimal(sum(request.reasoning_tokens for request in seen)) / count,
        peak_factor=_peak(times, days),
        how=how,
        traces=len(seen),
        days=days,
        estimated_share=sum(estimated for _, _, estimated in counted) / len(seen),
    )


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
        "reasoning tokens": reasoning_tokens,
    }
    for what, value in numbers.items():
        _possible(what, value)
    if cached_prompt_tokens > prompt_tokens:
        raise UsageError(f"{cached_prompt_tokens} cached prompt tokens of {prompt_tokens} make no sense")
    if reasoning_tokens > completion_tokens:
        raise UsageError(f"{reasoning_tokens} reasoning tokens of {completion_tokens} make no sense")
    if not 0 <= batch_share <= 1:
        raise UsageError(f"a share of {batch_share} in batches makes no sense, expected 0 to 1")
    check_peak(peak_factor)
    return Traffic(
        requests_per_month=requests_per_month,
        prompt_tokens=prompt_tokens,
        cached_prompt_tokens=cached_prompt_tokens,
        completion_tokens=completion_tokens,
        peak_factor=peak_factor,
        reasoning_tokens=reasoning_tokens,
        batch_share=batch_share,
        how="as stated",
    )
