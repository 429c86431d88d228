"""Prices of rented models, from the `genai-prices` package (extra ``costs``), which carries them as data.

Covered: cached prompt tokens, tiers by prompt length, price changes by date, fine-tuned models (``ft:…``).
Not covered: batch discounts, committed-use contracts, taxes. An unknown model is an error, never zero.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from freehold.errors import MissingExtraError, UsageError

MILLION = Decimal(1_000_000)


BATCH_DISCOUNT = Decimal("0.5")
"""What OpenAI, Anthropic and Google take off for requests that may wait up to a day (their price pages, read
2026-11-24). Other vendors may differ: state the price then."""


def with_batches(price: Decimal, share: float) -> Decimal:
    """A request's price when `share` of all requests go through a batch interface."""
    return price * (1 - BATCH_DISCOUNT * Decimal(str(share)))


class TokenPrice(NamedTuple):
    """Flat prices stated by the user: dollars per million tokens."""

    input_usd_per_million_tokens: Decimal
    output_usd_per_million_tokens: Decimal
    cached_usd_per_million_tokens: Decimal | None = None


def request_price(
    model: str,
    *,
    prompt_tokens: int,
    completion_tokens: int,
    cached_prompt_tokens: int = 0,
    at: datetime | None = None,
    flat: TokenPrice | None = None,
) -> Decimal:
    """Dollars for one request. `prompt_tokens` include the cached ones, as the APIs count them.

    Raises `UsageError` for a model without a known price and a stated one below zero, `MissingExtraError` without
    the package.
    """
    if flat is not None:
        if any(price is not None and not price >= 0 for price in flat):
            raise UsageError("a price per million tokens is 0 or more")
        cached = flat.cached_usd_per_million_tokens
        cached_price = flat.input_usd_per_million_tokens if cached is None else cached
        return (
            (prompt_tokens - cached_prompt_tokens) * flat.input_usd_per_million_tokens
            + cached_prompt_tokens * cached_price
            + completion_tokens * flat.output_usd_per_million_tokens
        ) / MILLION
    prices = _package()
    usage = prices.Usage(
        input_tokens=prompt_tokens,
        output_tokens=completion_tokens,
        cache_read_tokens=cached_prompt_tokens or None,
    )
    try:
        # The package only looks among one provider's fine-tunes when told whose they are.
        whose = "openai" if model.startswith("ft:") else None
        found = prices.calc_price(usage, model, provider_id=whose, genai_request_timestamp=at)
    except LookupError:
        raise UsageError(
            f"no price of {model} is known",
            hint="state it: --input-price and --output-price, in dollars per million tokens",
        ) from None
    total: Decimal = found.total_price
    return total


def hosted_prices(
    names: tuple[str, ...], *, prompt_tokens: int, completion_tokens: int
) -> list[tuple[str, Decimal]]:
    """Dollars per request for an open model from those who host it, cheapest first. Empty when no known vendor
    does. `names` are spellings of the model (catalog id and aliases)."""
    prices = _package()
    wanted = {name.lower().rpartition("/")[2] for name in names}
    found: dict[str, Decimal] = {}
    for vendor in prices.data_snapshot.get_snapshot().providers:
        for model in vendor.models:
            if model.id.lower().rpartition("/")[2] not in wanted or model.prices is None:
                continue
            try:
                price = prices.calc_price(
                    prices.Usage(input_tokens=prompt_tokens, output_tokens=completion_tokens),
                    model.id,
                    provider_id=vendor.id,
                ).total_price
            except LookupError:
                continue
            if price > 0 and (vendor.name not in found or price < found[vendor.name]):
                found[vendor.name] = price
    return sorted(found.items(), key=lambda pair: pair[1])


def _package() -> Any:
    try:
        import genai_prices
    except ImportError:
        raise MissingExtraError("pricing usage", "costs") from None
    return genai_prices
