"""Prices of rented models, from the `genai-prices` package (extra ``costs``), which carries them as data; and which
vendor's price of which model a name stands for: ``azure/gpt-4o``, Bedrock's ids, names that move.
"""

from __future__ import annotations

import datetime
import functools
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from freehold.errors import MissingExtraError, UsageError
from freehold.types.trace import ServiceTier, Usage

if TYPE_CHECKING:
    from freehold.types.config import PriceConfig


_VENDORS = {
    **dict.fromkeys(("azure", "azure_ai", "azure_text"), "azure"),
    **dict.fromkeys(("bedrock", "bedrock_converse", "amazon-bedrock", "aws"), "aws"),
    **dict.fromkeys(("vertex_ai", "vertex", "vertexai", "gemini", "google", "google_genai"), "google"),
    **dict.fromkeys(("mistral", "mistralai"), "mistral"),
    **dict.fromkeys(("xai", "x-ai"), "x-ai"),
    **dict.fromkeys(("together", "together_ai"), "together"),
    **dict.fromkeys(("fireworks", "fireworks_ai"), "fireworks"),
    **dict.fromkeys(("cohere", "cohere_chat"), "cohere"),
    **dict.fromkeys(("moonshot", "moonshotai"), "moonshotai"),
    **{name: name for name in ("openai", "anthropic", "groq", "deepseek", "perplexity", "cerebras", "openrouter",
                               "databricks", "cloudflare", "novita", "minimax", "zai", "baseten")},
}  # fmt: skip
"""A prefix, and the vendor's id in the price list."""
_BEDROCK = re.compile(
    r"(?:(?:us|eu|apac|ap|ca|sa|jp|au|us-gov|global)\.)?"
    r"(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen|writer|google|nvidia|moonshotai|zai)\.[a-z]"
)


class MovingName(NamedTuple):
    """A name that stands for another release from time to time, and what it stood for when that was read."""

    model: str
    read: datetime.date
    source: str


MOVING = {
    "mistral-large-latest": MovingName(
        "mistral-large-4",
        datetime.date(2026, 11, 27),
        "newest Mistral Large on the API since 2026-10-06 (docs.mistral.ai/models/mistral-large-4-0)",
    ),
}
"""Names that move and that the price list has not followed. All other names are as the price list reads them."""


class BilledName(NamedTuple):
    """A model as the price list calls it. `vendor` is None where the name does not say whose it is."""

    model: str
    vendor: str | None = None
    note: str | None = None


def billed_name(name: str) -> BilledName:
    """What to look up for a name as applications, gateways and clouds write it."""
    text = name.strip()
    if text.startswith("arn:"):  # of a foundation model or an inference profile of Bedrock
        return BilledName(text.rpartition("/")[2], "aws")
    if text.startswith(
        "ft:"
    ):  # the price list looks among one vendor's fine-tunes only when told whose they are
        return BilledName(text, "openai")
    prefix, slash, rest = text.partition("/")
    vendor = _VENDORS.get(prefix.lower()) if slash else None
    if vendor in ("aws", "azure"):  # the way (``converse``) or the region may stand between
        rest = rest.rpartition("/")[2]
    model = rest if vendor is not None else text
    if vendor is None and _BEDROCK.match(model.lower()):
        vendor = "aws"
    moved = MOVING.get(model.lower()) if vendor in (None, "mistral") else None
    if moved is None:
        return BilledName(model, vendor)
    note = (
        f"{model} is taken for {moved.model} ({moved.source}, read {moved.read}); name the release to be sure"
    )
    return BilledName(moved.model, "mistral", note)


MILLION = Decimal(1_000_000)


BATCH_DISCOUNT = Decimal("0.5")
"""What OpenAI, Anthropic, Google and Mistral take off for requests that may wait up to a day (their price pages, read
2026-11-24), where the price list has no batch price of a model. Other vendors may differ: state the price then."""
FRESH_DAYS = 90
"""A price list whose newest change is older than this is said to be old."""
_TIERS: dict[ServiceTier, dict[str, str]] = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
}
"""How the price list calls a tier."""
_SECOND_HAND = "imported from openrouter"
_CHECKED = "verified against"
"""A row that was copied from a reseller's list says so until its vendor's own price was seen."""
_MAKERS = (
    "openai",
    "anthropic",
    "google",
    "mistral",
    "x-ai",
    "deepseek",
    "cohere",
    "perplexity",
    "moonshotai",
    "minimax",
)
_NO_API = frozenset({"cursor", "github-copilot", "doubleword"})
"""Vendors of subscriptions to tools, and of answers that wait: none that could serve an application's requests."""


class TokenPrice(NamedTuple):
    """Flat prices stated by the user: dollars per million tokens. Of what the cache takes and gives, None is the price
    of other prompt tokens."""

    input_usd_per_million_tokens: Decimal
    output_usd_per_million_tokens: Decimal
    cached_usd_per_million_tokens: Decimal | None = None
    cache_write_usd_per_million_tokens: Decimal | None = None

    def of(self, usage: Usage) -> Decimal:
        """Dollars for one request. Raises `UsageError` for a price below zero."""
        if any(price is not None and not price >= 0 for price in self):
            raise UsageError("a price per million tokens is 0 or more")
        prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
        read, written = usage.cached_prompt_tokens or 0, usage.cache_write_tokens or 0
        plain = self.input_usd_per_million_tokens
        total = (
            max(0, prompt - read - written) * plain
            + read
            * (plain if self.cached_usd_per_million_tokens is None else self.cached_usd_per_million_tokens)
            + written
            * (
                plain
                if self.cache_write_usd_per_million_tokens is None
                else self.cache_write_usd_per_million_tokens
            )
            + completion * self.output_usd_per_million_tokens
        ) / MILLION
        return total * (1 - BATCH_DISCOUNT) if usage.service_tier == "batch" else total


def flat_price(stated: PriceConfig | None) -> TokenPrice | None:
    """A price of the configuration as one to count with."""
    if stated is None:
        return None
    return TokenPrice(stated.prompt, stated.completion, stated.cached_prompt, stated.cache_write)


class PriceBasis(NamedTuple):
    """Where a price comes from: what it is called there, whose it is, how old the list is."""

    model: str
    vendor: str | None
    newest_change: datetime.date | None
    text: str
    notes: tuple[str, ...] = ()


def request_price(
    model: str, usage: Usage, *, at: datetime.datetime | None = None, flat: TokenPrice | None = None
) -> Decimal:
    """Dollars for one request, at the prices of `at` (None: of now) or at stated ones.

    Raises `UsageError` for a model without a known price and a stated one below zero, `MissingExtraError` without
    the package.
    """
    if flat is not None:
        return flat.of(usage)
    vendor, found = _listed(model)
    return _price(found, vendor, _counts(usage), usage.service_tier, at or datetime.datetime.now(UTC))


def total_price(
    model: str,
    usages: Iterable[Usage],
    *,
    at: datetime.datetime | None = None,
    flat: TokenPrice | None = None,
) -> Decimal:
    """Dollars for all of these requests, each at the tier that it was answered at. Raises as `request_price` does.

    A token has one price up to a length of the prompt, and another beyond: requests that are alike in that, and in
    their tier, cost their mean's price times their number.
    """
    if flat is not None:
        return sum(map(flat.of, usages), Decimal(0))
    vendor, found = _listed(model)
    at = at or datetime.datetime.now(UTC)
    priced = (found.get_prices(at), *(one.prices for one in found.price_variants or ()))
    tiered = (one for prices in priced for one in vars(prices).values() if hasattr(one, "tiers"))
    starts = sorted({tier.start for one in tiered for tier in one.tiers})
    alike: defaultdict[tuple[ServiceTier | None, int], Counter[str]] = defaultdict(Counter)
    for usage in usages:
        counts = _counts(usage)
        alike[usage.service_tier, bisect_left(starts, counts["input_tokens"])].update(counts, requests=1)
    spent = Decimal(0)
    for (tier, _), total in alike.items():
        number = total.pop("requests")
        mean = {name: Decimal(count) / number for name, count in total.items()}
        spent += number * _price(found, vendor, mean, tier, at)
    return spent


def longest_prompt(model: str) -> int | None:
    """Tokens of context that the price list states for a model; None where it does not, or is not installed."""
    try:
        return _listed(model)[1].context_window or None
    except (UsageError, MissingExtraError):
        return None


def price_basis(
    model: str, *, flat: TokenPrice | None = None, today: datetime.date | None = None
) -> PriceBasis:
    """Where `request_price` takes its price from, and how old that is. Raises as it does."""
    if flat is not None:
        return PriceBasis(model, None, None, "prices as stated")
    from importlib.metadata import version

    vendor, found = _listed(model)
    newest = newest_change()
    called = f"{found.id} of {vendor.name}"
    text = f"{called}, prices of genai-prices {version('genai-prices')}"
    notes = [note] if (note := billed_name(model).note) is not None else []
    if newest is not None:
        text += f" (its newest change is of {newest})"
        age = ((today or datetime.datetime.now(UTC).date()) - newest).days
        if age > FRESH_DAYS:
            notes.append(
                f"old prices: the list's newest change is {age:,} days old, more than {FRESH_DAYS}: "
                "pip install -U genai-prices, or state the price"
            )
    return PriceBasis(found.id, vendor.id, newest, text, tuple(notes))


@functools.cache
def newest_change() -> datetime.date | None:
    """The newest day on which a price of the list changed, and not one that is still to come: the list is at least as
    young as that."""
    today = datetime.datetime.now(UTC).date()
    days = []
    for vendor in _package().data_snapshot.get_snapshot().providers:
        for model in vendor.models:
            dated = model.prices if isinstance(model.prices, list) else []
            for row in (*dated, *(model.price_variants or ())):
                day = getattr(row.constraint, "start_date", None)
                if day is not None and day <= today:
                    days.append(day)
    return max(days, default=None)


def hosted_prices(names: tuple[str, ...], usage: Usage) -> list[tuple[str, Decimal]]:
    """Dollars per request for an open model from those who host it, cheapest first. Empty when no known vendor
    does. `names` are spellings of the model (catalog id and aliases).

    Rows that were copied from a reseller's list and not seen at the vendor are left out, and so are free ones.
    """
    wanted = {name.lower().rpartition("/")[2] for name in names}
    now = datetime.datetime.now(UTC)
    found: dict[str, Decimal] = {}
    for vendor in _package().data_snapshot.get_snapshot().providers:
        for model in vendor.models:
            if vendor.id in _NO_API or _is_second_hand(model) or not model.prices:
                continue
            if model.id.lower().rpartition("/")[2] not in wanted:
                continue
            price = _price(model, vendor, _counts(usage), usage.service_tier, now)
            if price > 0 and (vendor.name not in found or price < found[vendor.name]):
                found[vendor.name] = price
    return sorted(found.items(), key=lambda pair: pair[1])


def _listed(model: str) -> tuple[Any, Any]:
    """Vendor and model of the price list. Raises `UsageError`, `MissingExtraError`."""
    snapshot, name = _package().data_snapshot.get_snapshot(), billed_name(model)
    try:
        found, listed = snapshot.find_provider_model(name.model, None, name.vendor, None)
    except LookupError:
        listed = None
        # A name need not show whose it is (``chatgpt-4o-latest``): makers are asked, sellers of others' models are not.
        makers = [one for one in snapshot.providers if name.vendor is None and one.id in _MAKERS]
        for found in makers:
            listed = listed or found.find_model(name.model)
    if listed is None or (_owner(listed, found).id == "openai" and _is_second_hand(listed)):
        hint = (
            "state it: [incumbent] price = { prompt = 2.5, completion = 10 }, in dollars per million tokens"
        )
        if name.vendor == "azure":
            hint = (
                f"a deployment may have any name: say which model it is, azure/gpt-4o for example; or {hint}"
            )
        raise UsageError(f"no price of {model} is known", hint=hint)
    return _owner(listed, found), listed


def _owner(model: Any, vendor: Any) -> Any:
    """The vendor among whose models it is listed: batch prices are known to that one only."""
    if any(model is one for one in vendor.models):
        return vendor
    listed = _package().data_snapshot.get_snapshot().providers
    return next((one for one in listed if any(model is each for each in one.models)), vendor)


def _price(
    model: Any,
    vendor: Any,
    counts: Mapping[str, int | Decimal],
    tier: ServiceTier | None,
    at: datetime.datetime,
) -> Decimal:
    context = _TIERS.get(tier) if tier is not None else None
    usage = _package().Usage(**counts)
    total: Decimal = model.calc_price(
        usage, vendor, genai_request_timestamp=at, price_context=context
    ).total_price
    if tier == "batch" and not _has_batch_price(model, at):
        return total * (1 - BATCH_DISCOUNT)
    return total


def _has_batch_price(model: Any, at: datetime.datetime) -> bool:
    return any(
        variant.when == _TIERS["batch"] and (variant.constraint is None or variant.constraint.active(at))
        for variant in model.price_variants or ()
    )


def _counts(usage: Usage) -> dict[str, int]:
    """As the package calls them. It wants the parts that two counts share told: what was cached is taken for text."""
    prompt = usage.prompt_tokens or 0
    read = min(usage.cached_prompt_tokens or 0, prompt)
    written = min(usage.cache_write_tokens or 0, prompt - read)
    counts = {
        "cache_read_tokens": read,
        "cache_write_tokens": written,
        "cache_write_1h_tokens": min(usage.cache_write_1h_tokens or 0, written),
        "output_reasoning_tokens": min(usage.reasoning_tokens or 0, usage.completion_tokens or 0),
        "output_audio_tokens": min(usage.audio_completion_tokens or 0, usage.completion_tokens or 0),
    }
    if usage.audio_prompt_tokens:
        counts["input_audio_tokens"] = min(usage.audio_prompt_tokens, prompt - read - written)
        counts |= {"cache_audio_read_tokens": 0, "cache_audio_write_tokens": 0}
    told = {name: count for name, count in counts.items() if count or name.startswith("cache_audio")}
    return {"input_tokens": prompt, "output_tokens": usage.completion_tokens or 0, **told}


def _is_second_hand(model: Any) -> bool:
    said = (model.price_comments or "").lower()
    return said.startswith(_SECOND_HAND) and _CHECKED not in said


def _package() -> Any:
    try:
        import genai_prices
    except ImportError:
        raise MissingExtraError("pricing usage", "costs") from None
    return genai_prices


def asking_cost(
    model: str, usages: Iterable[Usage | None], *, at: datetime.datetime | None = None
) -> Decimal | None:
    """Dollars for requests with these token counts at the maker's list price.

    None where the price is not known, the extra ``costs`` is not installed, or no request was counted.
    """
    counted = [usage for usage in usages if usage is not None and usage.prompt_tokens is not None]
    with suppress(UsageError, MissingExtraError):
        return total_price(model, counted, at=at) if counted else None
    return None
