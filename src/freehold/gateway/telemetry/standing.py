"""What is in force just now, as numbers: states and shares of routes, what keys and labels have spent of their caps."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence, Set
from decimal import Decimal
from typing import get_args

from freehold import __version__
from freehold.gateway.telemetry.meters import Labels, Snapshot
from freehold.types.endpoint import Endpoint
from freehold.types.route import ApiKey, LabelLimits, Limits, Route, RouteState

Spent = Mapping[str, tuple[Decimal, Decimal]]


def standing(
    routes: Sequence[Route],
    keys: Iterable[ApiKey],
    labels: Iterable[LabelLimits],
    *,
    spent: Spent,
    rollbacks: Mapping[str, int],
    config_version: str,
    config_since_s: float,
) -> Snapshot:
    """The numbers that each worker knows alike, so that one of them tells them for all.

    `spent` is what each name has spent on this day and in this month, in dollars; `rollbacks` counts those of each
    route since the store was made; `config_since_s` is in seconds since 1970.
    """
    gauges: dict[str, list[tuple[Labels, float]]] = {
        name: []
        for name in (
            "freehold_route_state",
            "freehold_route_candidate_share",
            "freehold_route_mirrored_share",
            "freehold_name_spend_usd",
            "freehold_name_cap_usd",
        )
    }
    limited: dict[str, Limits] = {f"key:{key.name}": key.limits for key in keys if key.revoked_at is None}
    limited |= {one.account: one.limits for one in labels}
    for route in routes:
        limited[f"route:{route.name}"] = route.limits
        for state in get_args(RouteState):
            gauges["freehold_route_state"].append(((route.name, state), float(route.state == state)))
        gauges["freehold_route_candidate_share"].append(((route.name,), candidate_share(route)))
        gauges["freehold_route_mirrored_share"].append(((route.name,), mirrored_share(route)))
    # A route's first rollback is an increase only where there was a 0 before it.
    counted = {route.name: 0 for route in routes} | dict(rollbacks)
    for name, limits in sorted(limited.items()):
        if not limits.caps_spending:
            continue
        day, month = spent.get(name, (Decimal(0), Decimal(0)))
        for period, used, most in (("day", day, limits.usd_per_day), ("month", month, limits.usd_per_month)):
            gauges["freehold_name_spend_usd"].append(((name, period), float(used)))
            if most is not None:
                gauges["freehold_name_cap_usd"].append(((name, period), float(most)))
    gauges["freehold_config_info"] = [((config_version,), 1.0)]
    return Snapshot(
        counters={"freehold_rollbacks": [((name,), float(n)) for name, n in sorted(counted.items())]},
        gauges={"freehold_config_since_seconds": config_since_s},
        labelled=gauges,
    )


def answering(
    endpoints: Iterable[Endpoint],
    answers: Mapping[str, bool],
    unanswered: Container[str],
    *,
    routes: Iterable[Route],
    rented: Set[str],
    is_ready: bool,
    certificate: tuple[str, float] | None = None,
) -> Snapshot:
    """How the endpoints are, by what a health check found (`answers`, by name), which routes nothing answers, and the
    gateway in front of them.

    `rented` are those that charge for tokens. `certificate` is its path, and when the one in force ends in seconds
    since 1970; None without TLS.
    """
    named = sorted(endpoints, key=lambda one: one.name)
    gauges: dict[str, list[tuple[Labels, float]]] = {
        "freehold_endpoint_up": [
            ((one.name,), float(answers[one.name])) for one in named if one.name in answers
        ],
        "freehold_endpoint_info": [
            ((one.name, one.engine, "rented" if one.name in rented else "own"), 1.0) for one in named
        ],
        "freehold_route_unanswered": [((one.name,), float(one.name in unanswered)) for one in routes],
        "freehold_ready": [((), float(is_ready))],
        "freehold_build_info": [((__version__,), 1.0)],
    }
    if certificate is not None:
        path, expires_s = certificate
        gauges["freehold_certificate_expires_seconds"] = [((path,), expires_s)]
    return Snapshot(labelled=gauges)


def candidate_share(route: Route) -> float:
    """The share of requests that the candidate answers: 0 to 1."""
    if route.candidate is None:
        return 0.0
    return 1.0 if route.state == "promoted" else route.canary_share if route.state == "canary" else 0.0


def mirrored_share(route: Route) -> float:
    """The share of the incumbent's requests that the candidate is asked as well: 0 to 1."""
    return route.shadow_share if route.candidate is not None and route.state in ("shadow", "canary") else 0.0
