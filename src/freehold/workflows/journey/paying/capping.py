"""A cap on what a project's work spends on rented models, whichever step asks them.

Every request is priced before it leaves: at the price that `freehold.toml` states for its address, else at the list
price of its model. Engines that freehold started itself cost nothing, and so does an address on this machine that
`freehold.toml` does not name and whose model has no list price. Anything else without a price is refused.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from freehold.engines.ports import is_loopback
from freehold.errors import UsageError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.cost_bounds import answer_tokens, is_count, unbounded
from freehold.evals.chat.spending_cap import HeldSpending
from freehold.types.config import PriceConfig, ProjectConfig
from freehold.types.endpoint import Endpoint
from freehold.wire.base_url import joined
from freehold.workflows.journey.paying.prices import Prices

_LOOK_AGAIN_SECONDS = 0.02


class Allowance(Protocol):
    """What is left to spend."""

    def take(self, requests: int, usd: Decimal | None, what: str) -> None:
        """Reserve; `usd` is None where no price is known. Raises `UsageError` where it is not covered."""

    def give_back(self, requests: int, usd: Decimal) -> None:
        """What was reserved and not spent."""

    def charge(self, usd: Decimal) -> None:
        """What was spent beyond what was reserved."""


class NamedAddress(NamedTuple):
    """An address of `freehold.toml`. `place` is its host and port. `model` is the one that its stated price is for;
    None: any."""

    place: str
    path: str
    model: str | None
    price: PriceConfig | None


class ProjectSpendingCap:
    """A `SpendingCap` that takes each request out of an allowance. `config` is read at the first request."""

    def __init__(self, config: Callable[[], ProjectConfig], allowance: Allowance) -> None:
        self._config, self._allowance = config, allowance
        self._under_way = 0
        self._lock = threading.Lock()

    def usd(self, base_url: str, model: str, body: dict[str, Any] | None = None) -> Decimal | None:
        """The most that a request to `model` can cost; None where its price is not known, or it has no bound.

        Without `body` one of a single token.
        """
        prices, named = self._prices(base_url, model)
        least = prices.usd(model, 1, 1)
        if least is None:
            own = not named and is_loopback(urlsplit(base_url).hostname or "")
            return Decimal(0) if own else None
        if body is None or not least:
            return least
        answers = 1 if body.get("n") is None else body["n"]
        if unbounded(body) is not None or not is_count(answers):
            return None
        return prices.most(model, {**body, "max_tokens": answer_tokens(body)}) * answers

    def _prices(self, base_url: str, model: str) -> tuple[Prices, bool]:
        """Of a model at an address, and whether `freehold.toml` names its host and port, at whatever path."""
        place, path = _placed(base_url)
        near = [one for one in _addresses(self._config()) if one.place == place]
        stated = next(
            (one.price for one in near if one.path == path and one.price and one.model in (None, model)), None
        )
        return Prices(stated, model), bool(near)

    async def hold(self, endpoint: Endpoint, body: dict[str, Any]) -> HeldSpending | None:
        """Reserve the most that the request can cost; None for an engine of one's own.

        Waits while requests under way may leave enough. Raises `UsageError`.
        """
        if not endpoint.engine_kind.is_rented:
            return None
        model = str(body.get("model", ""))
        most = self.usd(endpoint.base_url, model, body)
        what = f"a request to {model} at {endpoint.base_url}"
        if most is None and self.usd(endpoint.base_url, model) is not None:
            what += f" that {unbounded(body) or 'asks for more than one answer'}"
        while not self._took(most, what):
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        return HeldSpending(model, endpoint.base_url, most or Decimal(0))

    def _took(self, most: Decimal | None, what: str) -> bool:
        """Whether it was reserved. False: not yet, since what is under way will cost less than it can."""
        with self._lock:
            try:
                self._allowance.take(1, most, what)
            except UsageError:
                if most is None or not self._under_way:
                    raise
                return False
            self._under_way += 1
            return True

    def settle(self, held: HeldSpending, answer: ChatAnswer | None) -> None:
        """Give back what it did not cost, and take what it cost beyond its most. A request that reached nothing was
        none."""
        spent, sent = held.most_usd, 1
        if answer is not None:
            sent = 0 if (answer.error or "").startswith("unreachable") else 1
            prices, _ = self._prices(held.base_url, held.model)
            spent = prices.spent(held.model, answer, held.most_usd)
        with self._lock:
            self._under_way -= 1
            self._allowance.give_back(1 - sent, max(held.most_usd - spent, Decimal(0)))
            # An API may not hold to its limit, or not count thinking under it.
            if spent > held.most_usd:
                self._allowance.charge(spent - held.most_usd)


def _placed(base_url: str) -> tuple[str, str]:
    """Host and port that an address reaches, and its path. All names of this machine are one."""
    parts = urlsplit(joined(base_url, "/v1/chat/completions"))
    host = parts.hostname or ""
    try:
        port = parts.port
    except ValueError:  # no port at all, and nothing is sent there
        port = None
    port = port or (443 if parts.scheme == "https" else 80)
    return f"{'localhost' if is_loopback(host) else host}:{port}", re.sub("/+", "/", parts.path)


def _address(base_url: str, model: str | None, price: PriceConfig | None) -> NamedAddress:
    return NamedAddress(*_placed(base_url), model, price)


def _addresses(config: ProjectConfig) -> list[NamedAddress]:
    """Where `freehold.toml` says that models are asked, with their stated prices."""
    found = [_address(one.base_url, None, one.price) for one in config.endpoints if one.base_url]
    incumbent = config.incumbent
    if incumbent is not None and incumbent.base_url:
        found.append(_address(incumbent.base_url, incumbent.model, incumbent.price))
    options = [config.serve.options, config.task.options]  # the engine `remote`, and the judge
    found += [_address(url, None, None) for one in options if isinstance(url := one.get("base_url"), str)]
    return found
