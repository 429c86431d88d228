"""What may be spent on requests, where a caller sets a cap: asked before each request leaves, told what came of it."""

from __future__ import annotations

from contextvars import ContextVar
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from freehold.evals.answers import ChatAnswer
from freehold.types.endpoint import Endpoint


class HeldSpending(NamedTuple):
    """What a request that is under way may cost at most, in dollars; `model` is the name it asks for."""

    model: str
    base_url: str
    most_usd: Decimal


class SpendingCap(Protocol):
    """Holds requests to rented models within a limit."""

    async def hold(self, endpoint: Endpoint, body: dict[str, Any]) -> HeldSpending | None:
        """Reserve the most that the request can cost; None where the endpoint costs nothing. Raises `UsageError` where
        the limit does not cover it, or its price is not known."""

    def settle(self, held: HeldSpending, answer: ChatAnswer | None) -> None:
        """Give back what it did not cost. None: how it ended is not known, so it counts at its most."""


spending_cap: ContextVar[SpendingCap | None] = ContextVar("spending_cap", default=None)
"""Of the work in this context. A client keeps the one it was made under."""
