"""What asking a rented model costs, where its price is known."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from freehold.costs.prices import request_price
from freehold.errors import MissingExtraError, UsageError
from freehold.types.trace import Usage


def asking_cost(model: str, usages: Iterable[Usage | None], *, at: datetime | None = None) -> Decimal | None:
    """Dollars for requests with these token counts at the maker's list price.

    None where the price is not known, the extra ``costs`` is not installed, or no request was counted.
    """
    total, counted = Decimal(0), False
    for usage in usages:
        if usage is None or usage.prompt_tokens is None:
            continue
        try:
            total += request_price(model, usage, at=at)
        except (UsageError, MissingExtraError):
            return None
        counted = True
    return total if counted else None
