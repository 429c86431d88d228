"""Where a request goes. Pure: the same table, request and draw give the same decision."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

from freehold.types.endpoint import ANY_MODEL, Api, Endpoint
from freehold.types.route import Route, RouteDecision, Target
from freehold.wire.errors import ApiError

_UNIT = 2**64


class RouteTable:
    """All routes and endpoints at one moment, arranged for quick look-up; replaced whole, never changed."""

    __slots__ = (
        "_catch_all",
        "_direct",
        "default_model",
        "endpoints",
        "others",
        "routes",
        "settled",
    )

    def __init__(
        self,
        routes: Iterable[Route],
        endpoints: Iterable[Endpoint],
        *,
        default_model: str | None = None,
        others_to: str | None = None,
    ) -> None:
        self.endpoints: dict[str, Endpoint] = {endpoint.name: endpoint for endpoint in endpoints}
        self.routes: dict[str, list[Route]] = {}
        for route in routes:
            self.routes.setdefault(route.model, []).append(route)
        for same_model in self.routes.values():
            same_model.sort(key=lambda route: (-_narrowness(route), route.name))
        self.settled = {
            route.name: decide(route, None, 0.0)
            for same_model in self.routes.values()
            for route in same_model
            if route.candidate is None
        }
        """By a route's name, the decision that is the same for all its requests."""
        self._direct: dict[str, RouteDecision] = {}
        self._catch_all: Endpoint | None = None
        for endpoint in self.endpoints.values():
            for served in endpoint.models:
                if served.name == ANY_MODEL:
                    self._catch_all = self._catch_all or endpoint
                    continue
                self._direct.setdefault(
                    served.name,
                    _decision("", Target(endpoint=endpoint.name), "incumbent", "served by the endpoint", 1.0),
                )
        self.default_model = default_model
        self.others = None if others_to is None else self.endpoints.get(others_to)
        """Who is asked what nothing here answers."""

    def all_routes(self) -> list[Route]:
        """Every route, by name."""
        return sorted(
            (route for same in self.routes.values() for route in same), key=lambda route: route.name
        )

    def model_names(self) -> list[str]:
        """Every name a client may ask for, in the order of routes, then endpoints."""
        names = [name for name in self.routes if name != ANY_MODEL]
        return list(dict.fromkeys([*names, *self._direct]))

    def find(self, model: str, header: Callable[[str], str | None], key_name: str | None) -> Route | None:
        """The narrowest route for a request; None when no route matches."""
        for name in (model, ANY_MODEL):
            for route in self.routes.get(name, ()):
                if (not route.match_keys or key_name in route.match_keys) and (
                    not route.match_headers
                    or all(header(wanted) == value for wanted, value in route.match_headers.items())
                ):
                    return route
        return None

    def direct(self, model: str, api: Api = "openai") -> RouteDecision:
        """Where a model without a route goes, asked for in an API. Raises `ApiError` (404) when no endpoint serves it.

        Others are passed on only in the API they are asked for in: a client of another API means another host.
        """
        decision = self._direct.get(model)
        if decision is not None:
            return decision
        if self._catch_all is not None:
            target = Target(endpoint=self._catch_all.name)
            return _decision("", target, "incumbent", "the endpoint takes any model", 1.0)
        if self.others is not None and self.others.api == api:
            target = Target(endpoint=self.others.name)
            return _decision("", target, "incumbent", "passed on: nothing here serves it", 1.0)
        raise ApiError(
            404,
            f"the model '{_abridged(model)}' does not exist here; GET /v1/models lists those that do",
            code="model_not_found",
            param="model",
        )


def decide(route: Route, assignment_key: str | bytes | None, draw: float) -> RouteDecision:
    """Send one request of a route to its incumbent or candidate.

    `assignment_key` is what must stay on one arm (a user, a conversation); None lets `draw` decide for this
    request alone. `draw`, uniform in [0, 1), also decides whether the request is mirrored. A key's place on
    the unit interval does not depend on the share: a key on the candidate stays there when the share grows.
    """
    candidate = route.candidate
    if candidate is None or route.state in ("incumbent", "rolled_back"):
        return _decision(route.name, route.incumbent, "incumbent", f"route is {route.state}", 1.0)
    if route.state == "promoted":
        return _decision(route.name, candidate, "candidate", "route is promoted", 1.0)
    mirrored = draw < route.shadow_share
    if route.state == "shadow":
        return _decision(
            route.name, route.incumbent, "incumbent", "route is shadow", 1.0, candidate if mirrored else None
        )
    position = draw if assignment_key is None else unit_position(route.name, assignment_key)
    why = "drawn" if assignment_key is None else f"sticky by {route.sticky}"
    if position < route.canary_share:
        return _decision(route.name, candidate, "candidate", why, route.canary_share)
    # The request's own draw decides on the mirror; a drawn assignment has used up [0, canary_share).
    if assignment_key is None:
        rest = 1.0 - route.canary_share
        mirrored = rest > 0 and (draw - route.canary_share) / rest < route.shadow_share
    return _decision(
        route.name,
        route.incumbent,
        "incumbent",
        why,
        1.0 - route.canary_share,
        candidate if mirrored else None,
    )


def unit_position(route_name: str, assignment_key: str | bytes) -> float:
    """Where a key lies in [0, 1) for a route: uniform over keys, independent between routes."""
    key = assignment_key.encode() if isinstance(assignment_key, str) else assignment_key
    digest = hashlib.blake2b(key, digest_size=8, key=route_name.encode()[:64]).digest()
    return int.from_bytes(digest, "big") / _UNIT


def targets_in_turn(route: Route | None, decision: RouteDecision) -> list[Target]:
    """The targets to try, in order: the chosen target, for a candidate the incumbent, then the route's fallbacks."""
    chain = [decision.target]
    if route is not None:
        if decision.arm == "candidate":
            chain.append(route.incumbent)
        chain.extend(target for target in route.fallback if target not in chain)
    return chain


def upstream_changes(endpoint: Endpoint, target: Target, requested: str) -> dict[str, Any]:
    """The fields of a request that differ at an endpoint: the model's name there, and what is served with it."""
    name = target.model or requested
    served = endpoint.served(name)
    return {"model": name} if served is None else served.fields


def _decision(
    route: str, target: Target, arm: str, reason: str, share: float, shadow: Target | None = None
) -> RouteDecision:
    return RouteDecision(
        route=route,
        target=target,
        arm="candidate" if arm == "candidate" else "incumbent",
        reason=reason,
        share=share,
        shadow=shadow,
    )


def _narrowness(route: Route) -> int:
    return 2 * len(route.match_headers) + bool(route.match_keys)


def _abridged(model: str) -> str:
    return model if len(model) <= 100 else model[:100] + "…"
