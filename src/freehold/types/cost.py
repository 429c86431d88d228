"""Prices and costs. Money is `Decimal`, in US dollars."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

from freehold.types.record import Record

Advice = Literal["leave", "stay", "undecided"]


class Range(Record, frozen=True, kw_only=True):
    """Two ends of what is plausible; equal where it is known."""

    low: Decimal
    high: Decimal


class Ending(Record, frozen=True, kw_only=True):
    """The day on which a rented model is shut down, and what its maker names in its place."""

    model: str
    shutdown: date
    replacement: str | None = None

    def text(self, today: date) -> str:
        """A sentence without its full stop."""
        days = (self.shutdown - today).days
        count = f"{abs(days):,} day{'' if abs(days) == 1 else 's'}"
        when = f"is shut down on {self.shutdown}, in {count}"
        if days < 0:
            when = f"was shut down on {self.shutdown}, {count} ago"
        named = f"; its maker names {self.replacement} in its place" if self.replacement else ""
        return f"{self.model} {when}{named}"

    @property
    def of_fallback(self) -> str:
        """What a promotion that leaves a part to this model has to know: the day, what answers that part then, and the
        ways out."""
        named = "" if self.replacement is None else f" such as {self.replacement},"
        return (
            f"{self.model} answers the rest until {self.shutdown}; after that those requests fail, unless [incumbent] "
            f"names another model,{named} of which nothing is proven, or a larger model of your own takes them "
            "([defer] upper)."
        )


class Traffic(Record, frozen=True, kw_only=True):
    """What an application asks of a model in a month.

    `estimated_share` is the share of requests whose tokens were counted by characters because the upstream
    did not report them. `peak_factor` is the busiest hour over the average one.
    """

    requests_per_month: Decimal
    prompt_tokens: Decimal
    cached_prompt_tokens: Decimal
    completion_tokens: Decimal
    """Tokens per request, on average."""
    peak_factor: float
    how: str
    traces: int = 0
    days: float | None = None
    estimated_share: float = 0.0
    reasoning_tokens: Decimal = Decimal(0)
    """Of the completion tokens, those of hidden reasoning, on average."""
    batch_share: float = 0.0
    """Share of requests that wait in a batch interface at a discount."""
    cache_write_tokens: Decimal = Decimal(0)
    """Of the prompt tokens, those written to the upstream's cache, on average: most vendors charge more for these."""
    audio_tokens: Decimal = Decimal(0)
    """Of all tokens, those of sound, on average: paid for on the API at their own price."""


class Bill(Record, frozen=True, kw_only=True):
    """What the rented model costs a month."""

    model: str
    usd_per_month: Range
    usd_per_request: Range
    basis: str
    prices_of: str | None = None
    """The day of the price list's newest change; None where the price was stated."""
    notes: tuple[str, ...] = ()
    """What to know of the price: a name that stands for another, a list that is old."""


class SelfHost(Record, frozen=True, kw_only=True):
    """What holding a model costs a month: `machines` of them, sized for the peak."""

    model: str
    served_as: str = ""
    """Quantization and engine."""
    machine: str
    machines: tuple[int, int]
    usd_per_month: Range
    usd_per_machine_month: Range
    requests_per_machine_month: tuple[float, float]
    """What one machine can serve in a month at the target utilisation, slow and fast end."""
    basis: str
    concurrency: int = 1
    """Requests at once that a full machine answers."""
    prices_of: str | None = None
    """The day of the newest rental price; None where the price was stated."""
    notes: tuple[str, ...] = ()


class Cost(Record, frozen=True, kw_only=True):
    """Bill against self-hosting, the traffic at which they meet, and what that means."""

    id: str
    traffic: Traffic
    bill: Bill
    ending: Ending | None = None
    """When the rented model is shut down, where that is known."""
    replacement: Bill | None = None
    """What the model named in its place costs for the same traffic: what staying costs then."""
    self_host: SelfHost
    with_fallback: Range | None = None
    """What a month costs where the rented model, or the one named in its place, answers what was not promoted; None: it
    answers nothing, or its price is not known."""
    break_even_requests_per_month: Range
    advice: Advice
    sentence: str
    reasons: tuple[str, ...]
    sensitivity: tuple[tuple[str, Advice], ...] = ()
    """What the advice would be if one assumption were different."""
    hosted_open: tuple[tuple[str, Decimal], ...] = ()
    """Hosted prices of the same open model: who, and dollars a month for this traffic."""
    made_from: tuple[str, ...] = ()
    version: str = ""
