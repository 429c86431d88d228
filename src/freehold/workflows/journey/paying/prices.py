"""What a request will cost, can cost, and did cost. Dollars at the list price, or at a stated one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from freehold.costs.prices import flat_price, request_price
from freehold.errors import MissingExtraError, UsageError
from freehold.evals.answers import ChatAnswer
from freehold.types.config import PriceConfig
from freehold.types.trace import Usage
from freehold.workflows.project import now

_REQUEST_TOKENS = 64
"""What an API may add around messages and tools, generously."""


class Prices:
    """The prices of the incumbent and of the model that writes. None of a model: it is not known."""

    def __init__(self, stated: PriceConfig | None, stated_for: str) -> None:
        self._stated, self._stated_for = stated, stated_for

    def usd(self, model: str, prompt_tokens: int, completion_tokens: int) -> Decimal | None:
        """Dollars for one request; None where the price is not known."""
        return self.usd_of(model, Usage(prompt_tokens=prompt_tokens, completion_tokens=completion_tokens))

    def usd_of(self, model: str, usage: Usage) -> Decimal | None:
        """Dollars for an answer with these counts; None where the price is not known."""
        flat = None
        if self._stated is not None and model == self._stated_for:
            flat = flat_price(self._stated)
        try:
            return request_price(model, usage, at=now(), flat=flat)
        except (UsageError, MissingExtraError):
            return None

    def most(self, model: str, body: dict[str, Any]) -> Decimal:
        """The most a request can cost: a byte is at least one token's worth of nothing, so there are never more tokens
        than bytes, and never more of an answer than `max_tokens`."""
        prompt = len(msgspec.json.encode([body["messages"], body.get("tools"), body.get("response_format")]))
        return self.usd(model, prompt + _REQUEST_TOKENS, body["max_tokens"]) or Decimal(0)

    def spent(self, model: str, answer: ChatAnswer, most: Decimal) -> Decimal:
        """What an answer cost. One without counts costs the most it can, unless the API refused to answer."""
        usage = answer.usage
        if usage is not None and usage.prompt_tokens is not None:
            return self.usd_of(model, usage) or Decimal(0)
        return Decimal(0) if answer.is_refusal else most
