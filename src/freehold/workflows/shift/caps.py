"""Spend caps that cannot be held, because what a route asks has no known price: refused where one is set, told at a
start. At run time the capped key alone is refused there (429 `price_unknown`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from freehold.errors import UsageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.spending import Charge, usd_of
from freehold.store import Store
from freehold.types.config import PriceConfig, ProjectConfig
from freehold.types.endpoint import ANY_MODEL, INCUMBENT
from freehold.types.route import ApiKey, LabelLimits, Route
from freehold.workflows.project import now
from freehold.workflows.shift.endpoints import asked_targets, configured_endpoints

HINT = (
    "state it: [incumbent] or [[endpoints]] price = { prompt = 2.5, completion = 10 } (dollars per million tokens); "
    "list prices need the extra: pip install 'freehold[costs]'"
)


def stated_prices(config: ProjectConfig) -> dict[str, PriceConfig]:
    """The prices that the file states, by endpoint."""
    prices = {table.name: table.price for table in config.endpoints if table.price is not None}
    if config.incumbent is not None and config.incumbent.price is not None:
        prices[INCUMBENT] = config.incumbent.price
    return prices


def check(store: Store, config: ProjectConfig, *caps: ApiKey | LabelLimits | Route) -> None:
    """Raises `UsageError` for a cap that cannot be held, of a key, label or route that is to be stored."""
    gateway = GatewayConfig(endpoints=configured_endpoints(config), prices=stated_prices(config))
    changed = {cap.name: cap for cap in caps if isinstance(cap, Route)}
    routes = changed.values() if changed else store.routes()
    # A route that is changed may be one that other keys' caps are not to be held on.
    others = [*_caps(store)] if changed else []
    for problem in _unheld(routes, [*caps, *others], gateway):
        raise UsageError(problem, hint=HINT)


def unheld(store: Store, gateway: GatewayConfig) -> list[str]:
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
