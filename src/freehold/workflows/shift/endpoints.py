"""The endpoints of `freehold.toml` as a gateway gets them, those whose key is missing, and spend caps that cannot be
held, because what a route asks has no known price: refused where one is set, told at a start. At run time the
capped key alone is refused there (429 `price_unknown`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

import msgspec

from freehold.catalog.vendors import vendor
from freehold.errors import ConfigError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.spending import Charge, usd_of
from freehold.store import Store
from freehold.types.config import EndpointConfig, IncumbentConfig, PriceConfig, ProjectConfig
from freehold.types.endpoint import ANY_MODEL, INCUMBENT, SLOTS, Capabilities, Dialect, Endpoint, ServedModel
from freehold.types.route import ApiKey, LabelLimits, Route, Target
from freehold.wire.base_url import GEMINI_HOST, has_responses, is_azure, stem
from freehold.workflows.project import now

_CAPABILITIES = Capabilities(tools=True, json_schema=True, logprobs=True, embeddings=True)


# https://cloud.google.com/vertex-ai/generative-ai/docs/start/openai (read 2026-11-27): its "key" is an access token.
_VERTEX = "aiplatform.googleapis.com"
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


def configured_endpoints(config: ProjectConfig) -> tuple[Endpoint, ...]:
    """The incumbent, where the file gives its address, and those of ``[[endpoints]]``.

    Raises `ConfigError` for a key that cannot be held.
    """
    endpoints = []
    incumbent = config.incumbent
    if incumbent is not None and incumbent.base_url is not None:
        _check_credentials("[incumbent]", incumbent)
        # Its host is the one that clients asked before there was a gateway.
        endpoints.append(_endpoint(incumbent, INCUMBENT, (incumbent.model,), forward_client_key=True))
    for table in config.endpoints:
        if table.name in SLOTS:
            raise ConfigError(
                f"[[endpoints]] {table.name} has a name of freehold's own engines",
                hint="give it another name",
            )
        _check_credentials(f"endpoint {table.name}", table)
        endpoint = _endpoint(table, table.name, table.models, forward_client_key=table.forward_client_key)
        endpoints.append(msgspec.structs.replace(endpoint, context_tokens=table.context_tokens))
    return tuple(endpoints)


def _endpoint(
    table: IncumbentConfig | EndpointConfig, name: str, models: Iterable[str], *, forward_client_key: bool
) -> Endpoint:
    base_url = table.base_url or ""
    return Endpoint(
        name=name,
        engine="remote",
        base_url=stem(base_url),
        api=table.api,
        models=tuple(ServedModel(name=model, upstream_name=model) for model in models),
        capabilities=_capabilities(table),
        api_key_env=table.api_key_env,
        credentials=table.credentials,
        forward_client_key=forward_client_key,
        dialect=dialect_of(table.preset, base_url),
    )


def _capabilities(table: IncumbentConfig | EndpointConfig) -> Capabilities:
    if table.api != "openai":
        return _CAPABILITIES
    known = has_responses(table.base_url or "")
    return msgspec.structs.replace(_CAPABILITIES, responses=known, responses_unknown=not known)


def _check_credentials(where: str, table: IncumbentConfig | EndpointConfig) -> None:
    host = urlsplit(table.base_url or "").hostname or ""
    if table.api_key_env is not None and table.credentials is not None:
        raise ConfigError(
            f"{where}: api_key_env and credentials are both set, and a request carries one of them",
            hint="leave one of them out",
        )
    if table.api_key_env is not None and host.endswith(_VERTEX):
        raise ConfigError(
            f"{where}: Vertex AI takes access tokens, which end within the hour; {table.api_key_env} is read once",
            hint='credentials = "google" fetches them; leave both out where clients send tokens of their own',
        )


def dialect_of(preset: str | None, base_url: str) -> Dialect | None:
    """Whose own paths and key header are known at an address, by its preset or else by its host."""
    if preset is not None:
        return vendor(preset, "preset").dialect
    if is_azure(base_url):
        return "azure"
    host = urlsplit(base_url).hostname or ""
    if host.startswith("bedrock-runtime") and host.endswith(_AWS_HOSTS):
        return "bedrock"
    return "gemini" if host == GEMINI_HOST else None


def others_to(config: ProjectConfig) -> str | None:
    """The endpoint that everything else is passed on to, by ``[incumbent] others``.

    Left to itself, a key of the owner's is not lent for whatever a client asks; a client's own key opens nothing that
    it would not open without the gateway.
    """
    incumbent = config.incumbent
    if incumbent is None or incumbent.base_url is None or incumbent.others == "refuse":
        return None
    owners = incumbent.api_key_env is not None or incumbent.credentials is not None
    passes = incumbent.others == "pass" or not owners
    return INCUMBENT if passes else None


def without_key(endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """The endpoints whose key's environment variable is not set: known, not asked, never ready."""
    return tuple(
        endpoint.name
        for endpoint in endpoints
        if endpoint.api_key_env is not None and not os.environ.get(endpoint.api_key_env)
    )


def check_routes(
    routes: Iterable[Route], config: GatewayConfig, *, with_engine: bool, say: Callable[[str], None]
) -> None:
    """Tell of endpoints without a key, and of routes that nothing can answer. Raises `ConfigError` where that is each
    of them: one of many must not keep the others from being answered."""
    problems: dict[str, tuple[str, str]] = {}
    routes = list(routes)
    for route in routes:
        if (problem := _why_unanswered(route, config, with_engine=with_engine)) is not None:
            problems[route.name] = problem
    for message, hint in problems.values():
        if len(problems) == len(routes):
            raise ConfigError(message, hint=hint)
        say(f"{message}; {hint}")
    variables = {endpoint.name: endpoint.api_key_env for endpoint in config.endpoints}
    for name in config.without_key:
        say(f"not ready: the endpoint {name} is not asked, because {variables[name]} is not set")


def _why_unanswered(route: Route, config: GatewayConfig, *, with_engine: bool) -> tuple[str, str] | None:
    """Why some requests of a route would be answered by no endpoint, and the way out."""
    endpoints = {endpoint.name: endpoint for endpoint in config.endpoints}
    asked = asked_targets(route)
    if not with_engine:
        for target in asked:
            if target.endpoint not in endpoints:
                return (
                    f"route {route.name} goes to {target.endpoint}, which a gateway without an engine does not have",
                    "leave --no-engine out; or move the route: freehold rollout rollback, freehold routes set",
                )
    names = [target.endpoint for target in _answering(route)]
    if all(name in config.without_key for name in names):
        variable = endpoints[names[0]].api_key_env
        return (
            f"route {route.name} has no endpoint that can answer: the key of {names[0]} is not in the environment "
            f"({variable} is not set)",
            f"export {variable}=…",
        )
    return None


def _answering(route: Route) -> list[Target]:
    """Who may answer a client on this route, in turn."""
    first = [route.candidate] if route.state == "promoted" and route.candidate is not None else []
    return [*first, route.incumbent, *route.fallback]


def asked_targets(route: Route) -> list[Target]:
    """Whom the requests of a route are put to, those that are mirrored included."""
    asked = _answering(route)
    if route.candidate is not None and route.state in ("shadow", "canary"):
        asked.append(route.candidate)
    return asked


def check_endpoints(config: GatewayConfig) -> None:
    """A gateway without an engine needs an endpoint that answers. Raises `ConfigError`."""
    if not config.endpoints:
        raise ConfigError(
            "without an engine nothing can answer: freehold.toml names no endpoint with a base_url",
            hint="give [incumbent] a base_url, or add [[endpoints]]; or leave --no-engine out",
        )


PRICE_HINT = (
    "state it: [incumbent] or [[endpoints]] price = { prompt = 2.5, completion = 10 } (dollars per million tokens); "
    "list prices need the extra: pip install 'freehold[costs]'"
)


def stated_prices(config: ProjectConfig) -> dict[str, PriceConfig]:
    """The prices that the file states, by endpoint."""
    prices = {table.name: table.price for table in config.endpoints if table.price is not None}
    if config.incumbent is not None and config.incumbent.price is not None:
        prices[INCUMBENT] = config.incumbent.price
    return prices


def check_caps(store: Store, config: ProjectConfig, *caps: ApiKey | LabelLimits | Route) -> None:
    """Raises `UsageError` for a cap that cannot be held, of a key, label or route that is to be stored."""
    gateway = GatewayConfig(endpoints=configured_endpoints(config), prices=stated_prices(config))
    changed = {cap.name: cap for cap in caps if isinstance(cap, Route)}
    routes = changed.values() if changed else store.routes()
    # A route that is changed may be one that other keys' caps are not to be held on.
    others = [*_caps(store)] if changed else []
    for problem in _unheld(routes, [*caps, *others], gateway):
        raise UsageError(problem, hint=PRICE_HINT)


def unheld_caps(store: Store, gateway: GatewayConfig) -> list[str]:
    """Which caps in force cannot be held where, and why."""
    return [*_unheld(store.routes(), [*_caps(store), *store.routes()], gateway)]


def _caps(store: Store) -> Iterator[ApiKey | LabelLimits]:
    yield from (key for key in store.records(ApiKey) if key.revoked_at is None)
    yield from store.records(LabelLimits)


def _unheld(
    routes: Iterable[Route], caps: Iterable[ApiKey | LabelLimits | Route], gateway: GatewayConfig
) -> Iterator[str]:
    capped = [cap for cap in caps if cap.limits.caps_spending]
    for route in routes if capped else ():
        model = _unpriced(route, gateway)
        for cap in capped if model is not None else ():
            if _meets(cap, route):
                yield f"{_named(cap)} has a spend cap, and no price of {model} is known, which route {route.name} asks"


def _unpriced(route: Route, gateway: GatewayConfig) -> str | None:
    """A model without a known price that a route asks for money."""
    for target in asked_targets(route):
        model = target.model or route.model
        if model == ANY_MODEL or not gateway.charges(target.endpoint):
            continue
        if usd_of(Charge([], target.endpoint, model, 1, 0, 1), gateway, at=now()) is None:
            return model
    return None


def _meets(cap: ApiKey | LabelLimits | Route, route: Route) -> bool:
    if isinstance(cap, Route):
        return cap.name == route.name
    if isinstance(cap, LabelLimits):
        return True
    return (
        (not cap.routes or route.name in cap.routes)
        and (not cap.models or route.model in (*cap.models, ANY_MODEL))
        and (not route.match_keys or cap.name in route.match_keys)
    )


def _named(cap: ApiKey | LabelLimits | Route) -> str:
    if isinstance(cap, LabelLimits):
        return f"label {cap.label}"
    return f"{'route' if isinstance(cap, Route) else 'key'} {cap.name}"
