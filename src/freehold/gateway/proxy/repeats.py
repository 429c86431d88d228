"""Exact repeats: look for a kept answer before an endpoint is asked, send it as a fresh one, keep new ones.

What a rollout measures is always asked: everything in a canary, and what is mirrored.
"""

from __future__ import annotations

import time
from typing import Literal, NamedTuple, cast

import msgspec

from freehold.gateway.caching.kept_answers import ANSWER_BYTES_MAX, KeptAnswer
from freehold.gateway.caching.repeatable import is_repeatable, key_of, tenant_of, told_by_headers
from freehold.gateway.caching.replayed import ReplayedResponse
from freehold.gateway.capture.traces import answer_in, decompressed
from freehold.gateway.http.request import Request
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.relay import relay
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import translation_for
from freehold.types.route import CacheTerms, Route

KEPT = "cache"
"""What traces and metrics call the endpoint of an answer that was kept, and the decision for it."""
_DAY_S = 86_400.0
# Such an answer may be another one the next time.
_NOT_FINISHED = (None, "error", "content_filter", "refusal")


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
        exchange.api_route.path.encode(),
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
        )
    finally:
        await response.close()


def keep(state: WorkerState, exchange: ProxyExchange) -> None:
    """Keep an answer that is whole, good, and came from whom the route meant. The client has it already."""
    repeat = exchange.repeat
    assert isinstance(repeat, Repeat) and exchange.answered_by is not None
    if (
        exchange.status != 200
        or exchange.completeness != "complete"
        or exchange.fallback is not None
        or not 0 < exchange.chunk_bytes <= ANSWER_BYTES_MAX
        or not _is_good(exchange)
        # The route may have changed while the answer was on its way.
        or state.table.cached.get(repeat.route) != repeat.version
    ):
        return
    now_s, seconds = time.monotonic(), repeat.terms.seconds
    if state.config.retention_days is not None:
        seconds = min(seconds, state.config.retention_days * _DAY_S)
    kept = KeptAnswer(
        endpoint=exchange.answered_by,
        arm=cast("Literal['incumbent', 'candidate']", exchange.arm),
        content_type=exchange.content_type,
        content_encoding=exchange.content_encoding,
        hides_usage=exchange.hides_usage,
        chunks=tuple(bytes(chunk) for chunk in exchange.chunks),
        kept_s=now_s,
        until_s=now_s + seconds,
    )
    if state.kept.keep(repeat.route, repeat.version, repeat.key, kept, repeat.terms):
        state.meters.count("freehold_cache", repeat.route, "kept")


def _is_good(exchange: ProxyExchange) -> bool:
    """Whether the upstream finished its answer, as its API says it does, and it tells no error."""
    body = decompressed(b"".join(exchange.chunks), exchange.content_encoding, ANSWER_BYTES_MAX)
    if body is None:
        return False
    answer = answer_in(body, exchange.response_kind, streamed=exchange.streamed)
    if not answer.ended or answer.body is None or answer.body.get("error") is not None:
        return False
    return exchange.api_route.kind == "embeddings" or answer.finish_reason not in _NOT_FINISHED


def _decisive(route: Route, exchange: ProxyExchange, request: Request) -> bytes:
    """Headers by which the route was found, and would be decided, whatever their names."""
    names = {*route.match_headers}
    return msgspec.msgpack.encode(sorted((name, request.header(name)) for name in names))
