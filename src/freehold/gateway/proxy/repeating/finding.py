"""Look for a kept answer before an endpoint is asked, and send it as a fresh one.

What a rollout measures is always asked: everything in a canary, and what is mirrored.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import msgspec

from freehold.gateway.caching.kept_answers import KeptAnswer
from freehold.gateway.caching.repeatable import is_repeatable, key_of, tenant_of, told_by_headers
from freehold.gateway.caching.replayed import ReplayedResponse
from freehold.gateway.http.request import Request
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.relay import relay
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import translation_for
from freehold.types.route import CacheTerms, Route
from freehold.types.trace import REPEATED

KEPT = REPEATED
"""What traces and metrics call the endpoint of an answer that was kept, and the decision for it."""


class Repeat(NamedTuple):
    """What a request's answer may be kept as."""

    route: str
    version: bytes
    key: bytes
    terms: CacheTerms


def find(state: WorkerState, exchange: ProxyExchange, request: Request) -> KeptAnswer | None:
    """The kept answer to a request of a route with a cache. Where there is none, the exchange notes what its own may be
    kept as."""
    route, decision = exchange.route, exchange.decision
    assert route is not None and route.cache is not None and decision is not None
    control = request.header("cache-control") or ""
    if (
        route.state == "canary"
        or decision.shadow is not None
        or "no-store" in control
        or (state.config.capture_opt_out and request.header("x-freehold-capture") == "off")
        or not is_repeatable(exchange.api_route.kind, exchange.body, route.cache)
    ):
        state.meters.count("freehold_cache", route.name, "passed_over")
        return None
    target = decision.target
    outside = (
        # The query may hold the key, and goes to the endpoint as a header does.
        f"{exchange.api_route.path}?{exchange.query}".encode(),
        tenant_of(
            None if exchange.key is None else exchange.key.name, request.headers, shared=route.cache.shared
        ),
        told_by_headers(request.headers),
        msgspec.msgpack.encode([decision.arm, target.endpoint, target.model, exchange.model]),
        _decisive(route, exchange, request),
    )
    key = key_of(outside, exchange.body)
    version = state.table.cached[route.name]
    kept = None
    if "no-cache" not in control:
        kept = state.kept.find(route.name, version, key, now_s=time.monotonic())
    state.meters.count("freehold_cache", route.name, "miss" if kept is None else "hit")
    if kept is None:
        exchange.repeat = Repeat(route.name, version, key, route.cache)
    return kept


async def replay(state: WorkerState, exchange: ProxyExchange, kept: KeptAnswer, request: Request) -> None:
    """Send a kept answer: a stream as a stream, in the client's API, and as what it is in trace and metrics."""
    assert exchange.decision is not None
    exchange.decision = msgspec.structs.replace(exchange.decision, reason=KEPT)
    exchange.arm = kept.arm
    response = ReplayedResponse(kept, state.memory, age_s=int(time.monotonic() - kept.kept_s))
    translation = translation_for(exchange.api_route, kept.endpoint)
    try:
        await relay(
            state.reader,
            exchange,
            msgspec.structs.replace(kept.endpoint, name=KEPT),
            response,
            translation,
            request,
            hide_usage=kept.hides_usage,
            last=True,
        )
    finally:
        await response.close()


def _decisive(route: Route, exchange: ProxyExchange, request: Request) -> bytes:
    """What else decides who answers: headers by which the route was found, and what its rule of deferral names of
    headers and the key."""
    rule = route.deferral
    named = [
        name
        for condition in (() if rule is None else (*rule.always_incumbent, *rule.never_defer_out))
        for name in condition
    ]
    headers = {
        *route.match_headers,
        *(name[7:].strip().lower() for name in named if name.startswith("header:")),
    }
    key = exchange.key.name if "key" in named and exchange.key is not None else None
    return msgspec.msgpack.encode([key, sorted((name, request.header(name)) for name in headers)])
