"""Whether a gateway's requests would be answered now: route by route, by the endpoints that answer it.

A candidate that is down takes nothing from a route whose incumbent answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from freehold.gateway.http.health import Health
from freehold.gateway.proxy.routing import decide, targets_in_turn
from freehold.types.route import Route, Target


def unanswered(routes: Iterable[Route], found: Mapping[str, Health]) -> dict[str, str]:
    """The routes some of whose requests no endpoint would answer now, each with what is the matter."""
    told = {}
    for route in routes:
        for chain in _chains(route):
            names = [one.endpoint for one in chain]
            if not any(found[name].answers for name in names if name in found):
                missing = Health(False, "it is not configured")
                told[route.name] = "; ".join(
                    f"{name}: {found.get(name, missing).why}" for name in dict.fromkeys(names)
                )
                break
    return told


def _chains(route: Route) -> list[list[Target]]:
    """Whom each kind of a route's requests is put to, in turn."""
    # The draws of a request that goes to the candidate, and of one that does not, where the route has both.
    decisions = [decide(route, None, draw) for draw in (0.0, 1 - 2**-53)]
    chains = [targets_in_turn(route, one) for one in decisions]
    rule = route.deferral
    if (
        rule is not None
        and rule.incumbent_down == "error"
        and any(one.arm == "candidate" for one in decisions)
    ):
        # What the candidate is not sure of.
        chains.append([route.incumbent, *route.fallback])
    return chains
