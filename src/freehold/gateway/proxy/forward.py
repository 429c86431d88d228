"""The frame of the hot path: admit a request, have it answered, record what happened.

Nothing is parsed beyond a peek, and bytes are forwarded as they came. Exceptions to that are few: the model's
name and fields an endpoint wants added are spliced in, and usage is requested where it is counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec

from freehold.gateway.http.request import ClientDisconnect, Request
from freehold.gateway.limits.keys import check_may, check_scope
from freehold.gateway.proxy import deferral, spend
from freehold.gateway.proxy.attempt import answer
from freehold.gateway.proxy.exchange import MAY_HAVE_ANSWERED, ProxyExchange, new_exchange
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX, BodyFields
from freehold.gateway.proxy.relay import ARM_HEADER, REQUEST_HEADER
from freehold.gateway.proxy.routing import decide
from freehold.gateway.proxy.shadow import Shadows
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import ApiRoute
from freehold.types.route import ApiKey, Limits, Route
from freehold.wire import openai
from freehold.wire.errors import ApiError, HttpReply, request_id_header, unambiguous

log = logging.getLogger("freehold.gateway")
_NO_LIMITS = Limits()
_SILENT_S = 5.0
"""A candidate that says nothing for so long, until its client leaves, has failed it."""
_NO_MODEL = "you must provide a model parameter"
_UNANSWERED = frozenset(
    ("upstream_timeout", "upstream_unreachable", "upstream_redirect", "no_credentials", "internal_error")
)


async def forward(state: WorkerState, shadows: Shadows, api_route: ApiRoute, request: Request) -> None:
    """Answer one request for a model, whatever happens."""
    exchange = new_exchange(state, api_route, request)
    if request.began is not None:
        exchange.id, exchange.at_ms, exchange.started_s, _, exchange.admission = request.began
    state.meters.in_flight += 1
    request.cancel_on_disconnect = True
    try:
        await _admit(exchange)
        if limited := limits_of(state, exchange.key, exchange.route):
            await _apply_limits(exchange, limited)
        if exchange.arm == "candidate":
            state.meters.candidates_requests[exchange.id] = (exchange.route_name, exchange.started_s)
        await answer(exchange)
    except ApiError as error:
        _send_error(exchange, error)
    except (asyncio.CancelledError, ClientDisconnect):
        if not request.disconnected:
            raise
        exchange.completeness = "client_aborted"
        state.meters.count("freehold_client_aborts", exchange.route_name)
        if exchange.first_byte_s is None:
            count_left_candidate(state, exchange.id)
    except Exception:
        log.exception("unexpected")
        state.meters.count("freehold_refusals", "internal_error", exchange.api_route.kind)
        if exchange.response_started:
            request.abort_response()
        else:
            _send_error(exchange, ApiError(500, "the gateway failed", code="internal_error"))
    finally:
        request.cancel_on_disconnect = False
        state.meters.in_flight -= 1
        state.meters.candidates_requests.pop(exchange.id, None)
        if exchange.admission is not None:
            exchange.admission()
    _finish(shadows, exchange)
    if exchange.reservation is not None:
        spend.forfeit(exchange)
    deferral.count(exchange)
    exchange.held.release()
    if state.reporter is not None:
        state.reporter.add(exchange.summary(request.header("traceparent"), with_ends=state.config.otel))


def count_left_candidate(state: WorkerState, request_id: str) -> None:
    """A client that left a candidate which had said nothing waited for it as long as it could."""
    waiting = state.meters.candidates_requests.get(request_id)
    if waiting is not None:
        route, started_s = waiting
        waited_s = time.perf_counter() - started_s
        state.meters.observe("freehold_request_seconds", waited_s, route, "candidate")
        if waited_s >= _SILENT_S:
            state.meters.count("freehold_failures", route, "candidate", "silent")


async def _admit(exchange: ProxyExchange) -> None:
    """Key, body, peek, route. Raises `ApiError`."""
    state, request = exchange.state, exchange.request
    header = request.first_values.get
    key = exchange.key = admitted_key(state, header)
    body = exchange.body = await request.body(state.config.largest_body_bytes)
    start: bytes | None = None
    if len(body) > INLINE_BYTES_MAX:
        start = await _read_long(exchange)
    else:
        body = exchange.body = unambiguous(body)
        exchange.asked = body
        exchange.peek = openai.peek(body)
    peek = exchange.peek
    model = exchange.model = exchange.api_route.model or peek.model or state.table.default_model or ""
    if not model:
        words = "model: Field required" if exchange.api_route.api == "anthropic" else _NO_MODEL
        raise ApiError(400, words, code="missing_required_parameter", param="model")
    exchange.tells_arm = header(ARM_HEADER) != "off"
    exchange.session = header("x-freehold-session")
    exchange.user = (
        header("x-freehold-user") or text_or_none(peek.user) or text_or_none(peek.safety_identifier)
    )
    exchange.capturing = is_capturing(state, header)
    route = exchange.route = state.table.find(model, header, None if key is None else key.name)
    if key is not None and (key.models or key.routes):
        check_scope(key, model, None if route is None else route.name)
    if route is None:
        exchange.decision = state.table.direct(model, exchange.api_route.api)
    elif (settled := state.table.settled.get(route.name)) is not None:
        exchange.decision = settled
    else:
        sticky_key = assignment_key(route, header, exchange.user, body, start)
        if names_no_user(route, exchange.user):
            note_without_user(state, route.name)
        draw = None if request.began is None else request.began.draw
        exchange.decision = decide(route, sticky_key, state.draw() if draw is None else draw)
        if sticky_key is not None:
            exchange.assignment_key = hash_key(route.name, sticky_key)
    exchange.arm = exchange.decision.arm


def admitted_key(state: WorkerState, header: Callable[[str], str | None]) -> ApiKey | None:
    """The key of a request that may be let in, by its headers. Raises `ApiError`."""
    host = header("host")
    if state.hosts.says or not state.keys.required:
        check_host(state, host)
    key = state.keys.admit(header)
    check_may(key, "ask")
    if header("content-encoding") not in (None, "identity"):
        raise ApiError(415, "compressed request bodies are not accepted")
    if (origin := header("origin")) is not None:
        check_origin(origin, host)
    return key


def is_capturing(state: WorkerState, header: Callable[[str], str | None]) -> bool:
    """Whether an answer to a request with these headers is kept."""
    opts_out = state.config.capture_opt_out and header("x-freehold-capture") == "off"
    return state.config.capture != "off" and not opts_out


def check_host(state: WorkerState, host: str | None) -> None:
    """Raise `ApiError` (421) for a name that is not this gateway's: a page could have pointed it here (DNS rebinding).

    A request for a model is checked while no key is asked for, which such a page cannot know, or where names were said.
    """
    if not state.hosts.accepts(host):
        state.log_foreign_host(host or "")
        raise ApiError(421, "this gateway does not answer to that host name", code="host_not_allowed")


def check_origin(origin: str, host: str | None) -> None:
    """Raise `ApiError` (403) for a page of another site: it could not read the answer, but it could spend money."""
    if origin.partition("://")[2] != host:
        raise ApiError(403, "pages of other origins may not ask", code="origin_not_allowed")


def limits_of(state: WorkerState, key: ApiKey | None, route: Route | None) -> list[tuple[str, Limits]]:
    """The limits of the key, its label and the route, each with its name in the counters."""
    limited = [] if key is None else state.keys.limits_of(key)
    if route is not None and route.limits != _NO_LIMITS:
        limited.append((f"route:{route.name}", route.limits))
    return limited


async def _apply_limits(exchange: ProxyExchange, limited: list[tuple[str, Limits]]) -> None:
    """Raises `ApiError` (429)."""
    state = exchange.state
    tokens = 0
    for _, limits in limited:
        if limits.tokens_per_minute is not None:
            tokens = spend.most_tokens(exchange.api_route.kind, exchange.body, exchange.bounds)
            break
    if exchange.admission is None:
        exchange.admission = await state.limiter.admit(limited, tokens=tokens)
    exchange.capped = [one for one in limited if one[1].caps_spending]
    exchange.metered = any(limits.counts_tokens for _, limits in limited)


def text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


async def _read_long(exchange: ProxyExchange) -> bytes:
    """Read a long body, and return its beginning."""
    told, (changed, asked, start) = await exchange.state.reader.do(
        "read", exchange.api_route.path, exchange.body
    )
    seen = msgspec.convert(told, BodyFields)
    exchange.body = changed if seen.changed else exchange.body
    exchange.asked, exchange.peek, exchange.wants_form = asked, seen.as_peek(), seen.wants_form
    exchange.form_held, exchange.bounds = seen.form_held, seen.bounds
    return start


def assignment_key(
    route: Route,
    header: Callable[[str], str | None],
    user: str | None,
    body: bytes,
    start: bytes | None = None,
) -> str | bytes | None:
    """What keeps one user or conversation on one arm; None when the request names no such thing.

    A request without a user is kept on its conversation's arm: drawn one by one, half of all conversations would be
    answered by both models. `start` is the beginning of a body where it was read already.
    """
    sticky = route.sticky
    if sticky.startswith("header:"):
        return header(sticky[7:].strip().lower())
    if sticky == "user" and user is not None:
        return user
    if session := header("x-freehold-session"):
        return session
    return openai.conversation_start(body) if start is None else start


def names_no_user(route: Route, user: str | None) -> bool:
    """Whether a request lacks what its route's users are told apart by."""
    return route.sticky == "user" and user is None


def note_without_user(state: WorkerState, route: str) -> None:
    """Count it, and say it once a route in each worker's log."""
    if ("freehold_requests_without_user", (route,)) not in state.meters.counters:
        log.warning(
            'the route %s is sticky by "user", and a request names none: it stays on its conversation\'s arm. Send '
            "x-freehold-user, or user in the body",
            route,
        )
    state.meters.count("freehold_requests_without_user", route)


def hash_key(route_name: str, key: str | bytes) -> str:
    """An assignment key as traces keep it: a hash, which counts users and names none."""
    data = key.encode() if isinstance(key, str) else key
    return hashlib.blake2b(data, digest_size=12, key=route_name.encode()[:64]).hexdigest()


def _send_error(exchange: ProxyExchange, error: ApiError) -> None:
    state = exchange.state
    exchange.status = error.status
    exchange.capturing = False
    exchange.error_code = error.code or str(error.status)
    code = state.meters.code_label(exchange.error_code)
    state.meters.count("freehold_refusals", code, exchange.api_route.kind)
    if exchange.admission is not None and exchange.error_code not in MAY_HAVE_ANSWERED:
        exchange.admission.settle(0)
    if exchange.error_code in _UNANSWERED:
        state.meters.count("freehold_failures", exchange.route_name, exchange.arm, exchange.error_code)
    reply = exchange.api_route.error(error, exchange.id)
    send_reply(exchange.request, reply, request_id=exchange.id, api=exchange.api_route.api)


def send_reply(request: Request, reply: HttpReply, *, request_id: str, api: str = "openai") -> None:
    """Send a complete answer of the gateway itself to a client of an API."""
    ids = ((REQUEST_HEADER, request_id), (request_id_header(api), request_id))
    request.respond(reply.status, [*reply.headers, ("server", "freehold"), *ids], reply.body)


def _finish(shadows: Shadows, exchange: ProxyExchange) -> None:
    """Count, and hand on what is not yet kept. The client has its answer by now, all but the end of a stream."""
    endpoint, state = exchange.answered_by, exchange.state
    if endpoint is None:
        return
    started_s, first_s = exchange.started_s, exchange.first_byte_s
    state.meters.count_answer(
        exchange.route_name,
        endpoint.name,
        exchange.arm,
        exchange.status,
        None if first_s is None else first_s - started_s,
        time.perf_counter() - started_s,
        state.meters.model_label(exchange.model),
        "" if exchange.key is None else state.meters.key_label(exchange.key.name),
    )
    if exchange.first_asked_s is not None:
        state.meters.count_waits(
            exchange.route_name,
            endpoint.name,
            exchange.first_asked_s - started_s,
            None if first_s is None else first_s - exchange.asked_s,
        )
    spend.keep(exchange)
    if exchange.decision is not None and exchange.decision.shadow is not None:
        shadows.mirror(exchange, exchange.decision.shadow)
