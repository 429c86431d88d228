"""Exact repeats: which requests have one answer only, and how it is found, sent again and kept.

Covered: chat, completions, responses, messages and embeddings, whichever API the client speaks. Without chance means
temperature 0, or a seed, and one choice; embeddings have none.
Not covered, so always asked: long bodies, which are not read on the loop; requests with tools, whose calls the
application would run again; what the model's maker looks up, runs or keeps (stored answers, conversations it
continues); texts and pictures behind an address or a file's id, which may change while the request stays the same; and
what a rollout measures: everything in a canary, and what is mirrored.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, cast

import msgspec

from freehold.gateway.caching import ANSWER_BYTES_MAX, KeptAnswer, replayed
from freehold.gateway.capture.traces import answer_in, decompressed
from freehold.gateway.http.headers import holds_own_key, is_credential, names_in
from freehold.gateway.messages import ApiKind
from freehold.gateway.proxy.exchange import Attempt, ProxyExchange
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX
from freehold.gateway.proxy.relay import relay
from freehold.gateway.proxy.translation import translation_for
from freehold.types.route import Route
from freehold.types.trace import REPEATED
from freehold.wire.errors import UNREADABLE
from freehold.wire.openai import raw_fields

_DAY_S = 86_400.0
_NOTHING = (b"", b"null", b"[]", b"false")
_FORBIDDEN = (
    # The application would run their calls again.
    "tools",
    "functions",
    # The model's maker looks things up, runs them or keeps them: the same request need not have the same answer.
    "previous_response_id",
    "conversation",
    "background",
    "web_search_options",
    "mcp_servers",
    "container",
    "context_management",
)
_SAID = ("messages", "input", "system", "instructions")
_ELSEWHERE = (b'"image_url"', b'"file_id"', b'"file_url"', b'"url"', b'"source"')
# They differ with every request, and no model sees them.
_TOLD_APART = names_in(
    """
    accept baggage cache-control connection content-length expect host idempotency-key keep-alive pragma
    traceparent tracestate transfer-encoding user-agent x-correlation-id x-idempotency-key x-request-id
    """
)
_TOLD_APART_PREFIXES = ("x-stainless-", "x-freehold-", "x-forwarded-", "sec-", "x-b3-", "x-datadog-")
# Such an answer may be another one the next time, or calls a tool.
_NOT_GOOD = (None, "error", "content_filter", "refusal", "tool_calls", "function_call")
# The next request may be decided otherwise: what was in the way may be gone.
_FOR_NOW = (
    "candidate_failed",
    "candidate_slow",
    "no_signal",
    "other_version",
    "unreadable",
)


def is_repeatable(kind: ApiKind, fields: Mapping[str, bytes]) -> bool:
    """Whether the answer to a request of these fields, as they are written, may be given to the next one that equals
    it: it depends on nothing but the request, and leaves nothing behind. In doubt not. Raises what `UNREADABLE` has."""
    if kind in ("embeddings", "count_tokens"):
        return kind == "embeddings"
    values = {
        name: msgspec.json.decode(fields.get(name, b"null"))
        for name in ("temperature", "seed", "n", "best_of", "store")
    }
    temperature = values["temperature"]
    if not (type(temperature) in (int, float) and temperature == 0) and type(values["seed"]) is not int:
        return False
    if values["n"] not in (None, 1) or values["best_of"] not in (None, 1):
        return False
    # OpenAI's Responses API keeps what it answers unless told not to, and takes reusable prompts.
    is_response = kind == "responses"
    if values["store"] is not False and (is_response or values["store"] is not None):
        return False
    forbidden = (*_FORBIDDEN, "prompt") if is_response else _FORBIDDEN
    if any(fields.get(name, b"") not in _NOTHING for name in forbidden):
        return False
    return not any(mark in fields.get(name, b"") for name in _SAID for mark in _ELSEWHERE)


def key_of(parts: Iterable[bytes], fields: Mapping[str, bytes]) -> bytes:
    """What two requests share where nothing tells them apart. `parts` are what stands outside of the body.

    The values of a body's fields count as they are written; their order does not.
    """
    told = msgspec.msgpack.encode([list(parts), sorted(fields.items())])
    return hashlib.blake2b(told, digest_size=32).digest()


def told_by_headers(headers: Iterable[tuple[str, str]], decisive: Iterable[str] = ()) -> bytes:
    """The headers that may change an answer: all but those known not to, and keys (see `tenant_of`); and in any case
    the `decisive` ones."""
    decisive = frozenset(decisive)
    return msgspec.msgpack.encode(sorted(one for one in headers if one[0] in decisive or _matters(one[0])))


@lru_cache(maxsize=1024)
def _matters(name: str) -> bool:
    return name not in _TOLD_APART and not name.startswith(_TOLD_APART_PREFIXES) and not is_credential(name)


_is_credential = lru_cache(maxsize=1024)(is_credential)


def tenant_of(key_name: str | None, headers: Iterable[tuple[str, str]], *, shared: bool) -> bytes:
    """Who may get whose answers: those with one key of the gateway, all keys where they are `shared`.

    Whatever else a client shows to say who it is must be the same: an upstream may answer each account differently, and
    where the gateway asks for no key, only the upstream can judge the clients' own.
    """
    shown = sorted(
        (name, value) for name, value in headers if _is_credential(name) and not holds_own_key(value)
    )
    return msgspec.msgpack.encode([None if shared else key_name, shown])


def find(exchange: ProxyExchange) -> KeptAnswer | None:
    """The kept answer to a request of a route with a cache. Where there is none, the exchange notes what its own may be
    kept as."""
    state, request = exchange.state, exchange.request
    route = exchange.route
    assert route is not None
    control = request.header("cache-control") or ""
    key = None if "no-store" in control else _key(exchange)
    if key is None:
        state.meters.count("freehold_cache", route.name, "passed_over")
        return None
    version, kept = state.table.cached[route.name], None
    if "no-cache" not in control:
        kept = state.kept.find(version, key, now_s=time.monotonic())
    state.meters.count("freehold_cache", route.name, "miss" if kept is None else "hit")
    if kept is None:
        exchange.repeat = (version, key)
    return kept


def _key(exchange: ProxyExchange) -> bytes | None:
    """What a request shares with its exact repeats; None where it is always asked."""
    request = exchange.request
    route, decision = exchange.route, exchange.decision
    assert route is not None and route.cache is not None and decision is not None
    if (
        route.state == "canary"
        or decision.shadow is not None
        or len(exchange.body) > INLINE_BYTES_MAX
        or (exchange.state.config.capture_opt_out and request.header("x-freehold-capture") == "off")
    ):
        return None
    try:
        fields = {name: bytes(value) for name, value in raw_fields(exchange.body).items()}
        if not is_repeatable(exchange.api_route.kind, fields):
            return None
    except UNREADABLE:
        return None
    decisive = _decisive(route)
    key_name = None if exchange.key is None else exchange.key.name
    outside = (
        # The query may hold the key, and goes to the endpoint as a header does.
        f"{exchange.api_route.path}?{request.query_string}".encode(),
        tenant_of(key_name, request.headers, shared=route.cache.shared and "key" not in decisive),
        told_by_headers(request.headers, decisive),
        msgspec.msgpack.encode(
            [decision.arm, decision.target.endpoint, decision.target.model, exchange.model]
        ),
    )
    return key_of(outside, fields)


def _decisive(route: Route) -> set[str]:
    """What else decides who answers: headers by which the route was found, and the headers and `key` that its rule of
    deferral names."""
    rule = route.deferral
    named = () if rule is None else (*rule.always_incumbent, *rule.never_defer_out)
    return {*route.match_headers} | {
        name.removeprefix("header:").strip().lower()
        for condition in named
        for name in condition
        if name == "key" or name.startswith("header:")
    }


async def replay(exchange: ProxyExchange, kept: KeptAnswer) -> None:
    """Send a kept answer: a stream as a stream, in the client's API, and as what it is in trace and metrics."""
    state = exchange.state
    assert exchange.decision is not None
    exchange.decision = msgspec.structs.replace(exchange.decision, reason=REPEATED)
    exchange.arm = kept.arm
    response = replayed(kept, state.memory, now_s=time.monotonic())
    try:
        endpoint = msgspec.structs.replace(kept.endpoint, name=REPEATED)
        attempt = Attempt(exchange, endpoint, exchange.decision.target, last=True)
        attempt.translation = translation_for(exchange.api_route, kept.endpoint)
        attempt.hide_usage = kept.hides_usage
        await relay(attempt, response)
    finally:
        response.close()


def keep(exchange: ProxyExchange) -> None:
    """Keep an answer that is whole, good, and came from whom the route and its rule of deferral meant. The client has
    it already."""
    state = exchange.state
    route, endpoint = exchange.route, exchange.answered_by
    assert (
        route is not None and route.cache is not None and exchange.repeat is not None and endpoint is not None
    )
    version, key = exchange.repeat
    if (
        exchange.status != 200
        or exchange.completeness != "complete"
        or exchange.fallback is not None
        or (exchange.deferring is not None and exchange.deferring.why in _FOR_NOW)
        or not 0 < exchange.chunk_bytes <= ANSWER_BYTES_MAX
        or not _is_good(exchange)
        # The route may have changed while the answer was on its way.
        or state.table.cached.get(route.name) != version
    ):
        return
    now_s, seconds = time.monotonic(), route.cache.seconds
    if state.config.retention_days is not None:
        seconds = min(seconds, state.config.retention_days * _DAY_S)
    kept = KeptAnswer(
        endpoint=endpoint,
        arm=cast("Literal['incumbent', 'candidate', 'upper']", exchange.arm),
        content_type=exchange.content_type,
        content_encoding=exchange.content_encoding,
        hides_usage=exchange.hides_usage,
        chunks=tuple(bytes(chunk) for chunk in exchange.chunks),
        kept_s=now_s,
        until_s=now_s + seconds,
    )
    if state.kept.keep(version, key, kept):
        state.meters.count("freehold_cache", route.name, "kept")


def _is_good(exchange: ProxyExchange) -> bool:
    """Whether the upstream finished its answer, as its API says it does, and it tells no error and calls no tool."""
    body = decompressed(b"".join(exchange.chunks), exchange.content_encoding, ANSWER_BYTES_MAX)
    if body is None:
        return False
    answer = answer_in(body, exchange.response_kind, streamed=exchange.streamed)
    if not answer.ended or answer.body is None or answer.body.get("error") is not None:
        return False
    return exchange.api_route.kind == "embeddings" or answer.finish_reason not in _NOT_GOOD
