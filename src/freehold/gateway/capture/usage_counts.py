"""Tokens and dollars of what was answered, counted by the recorder: the worker need not read an answer for them.

Covered: every trace that was written, by route, arm, model and key; with capture off, what is billed to a spend cap.
Not covered: answers that are neither captured nor charged; with capture on, those of clients that opt out. When a
recorder is killed, what it counted since it last wrote its numbers (half a second) is lost, and traces that it had
written and not yet told are sent again, and counted again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.gateway.config import GatewayConfig
from freehold.gateway.spending import Charge, usd_of
from freehold.gateway.telemetry.meters import Meters
from freehold.types.trace import Trace, Usage

_PRICED_FOR_S = 600.0
_MODELS_MAX = 1_000
_SHORT_TOKENS = 16_000
"""Prompts up to this cost the same a token: makers' tiers for longer ones begin at 32,000 and above."""


class _KeptPrice(NamedTuple):
    until_s: float
    per_token: tuple[Decimal, Decimal, Decimal] | None
    """Dollars for a token of prompt, of prompt from the maker's cache, of answer; None where there is no price."""


class UsageCounts:
    """The counters of one recorder."""

    def __init__(self, config: GatewayConfig, meters: Meters) -> None:
        self._config = config
        self._meters = meters
        self._prices: dict[tuple[str, str], _KeptPrice] = {}

    def follow(self, config: GatewayConfig) -> None:
        """Count by other prices from now on."""
        self._config = config
        self._prices.clear()

    def count(self, written: Iterable[Trace]) -> None:
        """Count traces that were written."""
        for trace in written:
            if trace.status >= 400 or trace.endpoint is None:
                continue
            told = (trace.response or {}).get("model")
            self._count(
                (
                    trace.route or "",
                    "mirrored" if trace.parent_id is not None else trace.arm,
                    self._meters.model_label(trace.model),
                    "" if trace.api_key is None else self._meters.key_label(trace.api_key),
                ),
                trace.endpoint,
                told if isinstance(told, str) and told else trace.model,
                trace.usage,
            )

    def count_charge(self, charge: Charge) -> None:
        """Count what was billed to a spend cap, where no trace is kept of it."""
        if self._config.capture != "off":
            return
        named = dict(name.split(":", 1) for name in charge.names if ":" in name)
        key = named.get("key", "")
        labels = (
            named.get("route", ""),
            "",
            self._meters.model_label(charge.model),
            self._meters.key_label(key) if key else "",
        )
        self._count(labels, charge.endpoint, charge.model, None if charge.estimated else charge.counted())

    def _count(self, labels: tuple[str, ...], endpoint: str, model: str, usage: Usage | None) -> None:
        meters = self._meters
        prompt = 0 if usage is None else usage.prompt_tokens or 0
        completion = 0 if usage is None else usage.completion_tokens or 0
        if prompt:
            meters.count("freehold_tokens", *labels, "prompt", by=prompt)
        if completion:
            meters.count("freehold_tokens", *labels, "completion", by=completion)
        if not self._config.charges(endpoint):
            return
        usd = None if usage is None or not (prompt or completion) else self._usd(endpoint, model, usage)
        if usd is None:
            meters.count("freehold_cost_unknown", endpoint, meters.model_label(model))
        else:
            meters.count("freehold_cost_usd", *labels, by=float(usd))

    def _usd(self, endpoint: str, model: str, usage: Usage) -> Decimal | None:
        """What an answer cost.

        To look a price up takes a tenth of a millisecond. Short prompts and answers of nothing but text cost so much a
        token, which is kept for a while, as is that there is no price; others are looked up each time.
        """
        now_s = time.monotonic()
        kept = self._prices.get((endpoint, model))
        if kept is None or kept.until_s < now_s:
            if len(self._prices) >= _MODELS_MAX:
                self._prices.clear()
            kept = self._prices[endpoint, model] = self._looked_up(endpoint, model, now_s + _PRICED_FOR_S)
        if kept.per_token is None:
            return None
        prompt, completion = usage.prompt_tokens or 0, usage.completion_tokens or 0
        cached = usage.cached_prompt_tokens or 0
        plain = Usage(prompt_tokens=prompt, completion_tokens=completion)
        if (
            prompt <= _SHORT_TOKENS
            and msgspec.structs.replace(
                usage, prompt_tokens=prompt, completion_tokens=completion, cached_prompt_tokens=None
            )
            == plain
        ):
            fresh, again, said = kept.per_token
            return max(0, prompt - cached) * fresh + cached * again + completion * said
        return self._price(endpoint, model, usage)

    def _looked_up(self, endpoint: str, model: str, until_s: float) -> _KeptPrice:
        """What a token of prompt, of prompt from the cache and of answer costs, where prompts are short."""
        many = _SHORT_TOKENS
        usages = (
            Usage(prompt_tokens=many, completion_tokens=0),
            Usage(prompt_tokens=many, completion_tokens=0, cached_prompt_tokens=many),
            Usage(prompt_tokens=0, completion_tokens=many),
        )
        prices = [self._price(endpoint, model, usage) for usage in usages]
        if None in prices:
            return _KeptPrice(until_s, None)
        fresh, again, said = (price / many for price in prices if price is not None)
        return _KeptPrice(until_s, (fresh, again, said))

    def _price(self, endpoint: str, model: str, usage: Usage) -> Decimal | None:
        return usd_of(Charge([], endpoint, model, 0, 0, 0, usage=usage), self._config, at=datetime.now(UTC))
