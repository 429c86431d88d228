"""What requests to rented models cost, the models that freehold itself asks, and a cap on what a project's work spends.

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

import msgspec

from freehold.costs.prices import flat_price, request_price
from freehold.errors import MissingExtraError, UsageError, did_you_mean
from freehold.evals.client import HeldSpending, answer_tokens, is_count, unbounded
from freehold.evals.scorer import ChatAnswer
from freehold.types.config import EndpointConfig, IncumbentConfig, PriceConfig, ProjectConfig
from freehold.types.endpoint import Endpoint
from freehold.types.trace import Usage
from freehold.wire.base_url import is_loopback, joined
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


class PricedModel(NamedTuple):
    """Where it is, what it is called there, and what it costs."""

    model: str
    endpoint: Endpoint
    prices: Prices


def asked_model(name: str, config: ProjectConfig, *, role: str) -> PricedModel:
    """``incumbent``, or one of ``[[endpoints]]`` (``NAME``, or ``NAME/MODEL``). `role` is what it is asked as, for
    messages.

    Raises `UsageError` for a name that is none of these, and for one that cannot be asked.
    """
    if name == "incumbent":
        incumbent = config.incumbent
        if incumbent is None or incumbent.base_url is None:
            raise UsageError(
                f"{role} is to be the incumbent, and no address of it is known",
                hint="base_url and api_key_env in [incumbent]",
            )
        return _priced("the incumbent", name, incumbent.model, incumbent, role)
    named = {one.name: one for one in config.endpoints}
    first, _, model = name.partition("/")
    found = named.get(name) or named.get(first)
    if found is None:
        known = [*named, "incumbent"]
        raise UsageError(
            f"{role} {name} is not one of [[endpoints]]",
            hint=did_you_mean(name, known, f"known: {', '.join(known)}"),
        )
    model = model if found.name == first and model else next((one for one in found.models if one != "*"), "")
    if not model:
        raise UsageError(
            f"the endpoint {found.name} lists no models, so it is not known which one is {role}",
            hint=f'models = ["…"] in its [[endpoints]], or "{found.name}/MODEL"',
        )
    return _priced(f"the endpoint {found.name}", found.name, model, found, role)


def _priced(
    what: str, name: str, model: str, table: IncumbentConfig | EndpointConfig, role: str
) -> PricedModel:
    if table.api != "openai":
        raise UsageError(
            f"{what} speaks the {table.api} API, in which {role} is not asked",
            hint="put the gateway in front of it (freehold up) and name its address in [[endpoints]]",
        )
    endpoint = Endpoint(
        name=name,
        engine="remote",
        base_url=table.base_url or "",
        api_key_env=table.api_key_env,
        credentials=table.credentials,
    )
    return PricedModel(model, endpoint, Prices(table.price, model))


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
