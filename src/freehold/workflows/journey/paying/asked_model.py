"""A model that freehold itself asks for something, found by the name a project gives it."""

from __future__ import annotations

from typing import NamedTuple

from freehold.errors import UsageError, did_you_mean
from freehold.types.config import ProjectConfig
from freehold.types.endpoint import Endpoint
from freehold.workflows.journey.paying.prices import Prices


class PricedModel(NamedTuple):
    """Where it is, what it is called there, and what it costs."""

    model: str
    endpoint: Endpoint
    prices: Prices

    @property
    def priced(self) -> bool:
        """Whether its price is known."""
        return self.prices.usd(self.model, 1, 1) is not None


def asked_model(name: str, config: ProjectConfig, *, role: str) -> PricedModel:
    """``incumbent``, or one of ``[[endpoints]]`` (``NAME``, or ``NAME/MODEL``). `role` is what it is asked as, for
    messages.

    Raises `UsageError` for a name that is none of these, and for one that cannot be asked.
    """
    if name == "incumbent":
        return _incumbent(config, role)
    return _of_endpoints(name, config, role)


def _incumbent(config: ProjectConfig, role: str) -> PricedModel:
    incumbent = config.incumbent
    if incumbent is None or incumbent.base_url is None:
        raise UsageError(
            f"{role} is to be the incumbent, and no address of it is known",
            hint="base_url and api_key_env in [incumbent]",
        )
    _check_api("the incumbent", incumbent.api, role)
    endpoint = Endpoint(
        name="incumbent",
        engine="remote",
        base_url=incumbent.base_url,
        api_key_env=incumbent.api_key_env,
        credentials=incumbent.credentials,
    )
    return PricedModel(incumbent.model, endpoint, Prices(incumbent.price, incumbent.model))


def _of_endpoints(name: str, config: ProjectConfig, role: str) -> PricedModel:
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
    _check_api(f"the endpoint {found.name}", found.api, role)
    endpoint = Endpoint(
        name=found.name,
        engine="remote",
        base_url=found.base_url,
        api_key_env=found.api_key_env,
        credentials=found.credentials,
    )
    return PricedModel(model, endpoint, Prices(found.price, model))


def _check_api(what: str, api: str, role: str) -> None:
    if api != "openai":
        raise UsageError(
            f"{what} speaks the {api} API, in which {role} is not asked",
            hint="put the gateway in front of it (freehold up) and name its address in [[endpoints]]",
        )
