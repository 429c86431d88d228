"""Try endpoints in turn until one has an answer for the client.

Covered: retries with a jittered pause on connection errors, 429 and 5xx, before the first byte only; a circuit
breaker for an endpoint that keeps failing where another can answer; the incumbent where the candidate fails or breaks
a guard.
Not covered: a second try once bytes have gone to the client; it would see two answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from urllib.parse import quote

import msgspec

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import TransportError, UpstreamResponse
from freehold.gateway.http.upstreams import (
    LateFailure,
    NoCredentialsFailure,
    UpstreamFailure,
    upstream_failure,
)
from freehold.gateway.proxy import deferral, guards, spend
from freehold.gateway.proxy.exchange import Attempt, ProxyExchange
from freehold.gateway.proxy.guards import CONTEXT_STATUSES, NOT_HELD, NextTarget, read_all, why_not_held
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX, UpstreamBody, is_sent_as_it_came
from freehold.gateway.proxy.relay import relay, send_buffered
from freehold.gateway.proxy.routing import targets_in_turn
from freehold.gateway.proxy.translation import translation_for
from freehold.types.endpoint import Endpoint
from freehold.types.route import Target
from freehold.wire.errors import ApiError, redirect_refused
from freehold.wire.responses import is_stateless, names_own

log = logging.getLogger("freehold.gateway")
_RETRYABLE_STATUSES = frozenset((429, 500, 502, 503, 504, 529))
_BACKOFF_S = 0.1


async def answer(exchange: ProxyExchange) -> None:
    """Send the client the first answer an endpoint gives. Raises `ApiError` when there is none."""
    route = exchange.route
    assert exchange.decision is not None
    rule = None if route is None or exchange.arm != "candidate" else route.deferral
    if rule is None:
        targets = targets_in_turn(route, exchange.decision)
    else:
        targets = await deferral.targets_by_rule(exchange, rule)
    failure = await _in_turn(exchange, targets)
    if failure is not None:
        raise ApiError(failure.status, str(failure), code=failure.code)


async def _in_turn(exchange: ProxyExchange, targets: list[Target]) -> UpstreamFailure | None:
    """Try targets until one has answered; returns why the last of them did not. Raises `ApiError`."""
    state = exchange.state
    failure: UpstreamFailure | None = None
    failed: str | None = None
    for position, target in enumerate(targets):
        endpoint = state.table.endpoints.get(target.endpoint)
        if endpoint is None:
            failure = UpstreamFailure(f"endpoint {target.endpoint} is not configured", reached=False)
            continue
        if position:
            deferral.passes_on(exchange, target)
        last = position == len(targets) - 1
        attempt = Attempt(exchange, endpoint, target, last=last)
        try:
            await (_ask_in_time if deferral.is_cascade(exchange) else _ask)(attempt)
            return None
        except UpstreamFailure as error:
            failure = error
            why, failed = "timeout" if error.timed_out else "failure", str(error)
        except deferral.Deferred:
            exchange.forget_answer()
            continue
        except NextTarget as error:
            why = str(error)
            if why.isdigit():
                failed = f"endpoint {endpoint.name} answers with the status {why}"
        except ApiError as error:
            if failed is None or error.code not in NOT_HELD:
                raise
            # Whose state this is failed, and a repeated request may find it: that the next one cannot hold it is
            # no fault of the client's.
            raise ApiError(
                502,
                f"{failed}, and endpoint {endpoint.name} cannot answer instead: {error.message}",
                code="upstream_unreachable",
            ) from None
        if not last:
            log.debug("request %s falls back from endpoint %s: %s", exchange.id, endpoint.name, why)
            state.meters.count("freehold_fallbacks", exchange.route_name, why)
            if why in ("failure", "timeout", "redirect") or why.isdigit():
                state.meters.count("freehold_failures", exchange.route_name, exchange.arm, why)
            exchange.fallback = exchange.fallback or why
            deferral.passed_over(exchange, why)
            spend.forfeit(exchange)
            exchange.forget_answer()
    assert failure is not None
    return failure


async def _ask_in_time(attempt: Attempt) -> None:
    """Ask a candidate whose whole answer is waited for, in its rule's time. Raises what `_ask` does."""
    exchange, endpoint = attempt.exchange, attempt.endpoint
    assert exchange.deferring is not None
    wait_ms = exchange.deferring.rule.wait_ms
    if exchange.api_route.kind == "responses":
        attempt.endpoint = deferral.by_chat(endpoint)
    try:
        async with asyncio.timeout(wait_ms / 1000):
            await _ask(attempt)
    except TimeoutError:
        if exchange.response_started:  # it was over when the time was
            return
        message = f"endpoint {endpoint.name} did not answer within {wait_ms:g} ms"
        failure = UpstreamFailure(message, reached=True, timed_out=True)
        _count_failure(attempt, failure)
        raise failure from None


async def _ask(attempt: Attempt) -> None:
    """Ask one endpoint; returns when the client has an answer. Raises `UpstreamFailure` or `NextTarget`."""
    exchange, last = attempt.exchange, attempt.last
    state = exchange.state
    await _prepare(attempt)
    endpoint, breaker = attempt.endpoint, state.breaker(attempt.endpoint.name)
    is_asked = exchange.api_route.kind not in ("embeddings", "count_tokens")
    if is_asked and guards.may_be_truncated(endpoint, attempt.body):
        await guards.check_fits(attempt)
    # Never where nothing else can answer: a client that makes it open would take the endpoint from all others.
    if breaker.open_since_s is not None and not last:
        raise UpstreamFailure(f"endpoint {endpoint.name} keeps failing and is given a pause", reached=False)
    tries = state.config.retries + 1 if last else 1
    for number in range(tries):
        if exchange.capped:
            await _reserve(attempt)
        exchange.note_asking()
        try:
            response = await _sent(attempt)
        except UpstreamFailure as error:
            _count_failure(attempt, error)
            if number + 1 == tries or error.timed_out or isinstance(error, NoCredentialsFailure):
                raise
        else:
            if response.status >= 300:  # a redirect has answered nothing either
                spend.release(exchange)
            try:
                if response.status not in _RETRYABLE_STATUSES:
                    breaker.record_success()
                    try:
                        await _handle_response(attempt, response)
                        return
                    except UpstreamFailure as error:
                        # It broke off before the client had any of it. What it costs is not known.
                        _count_against(attempt)
                        state.meters.count("freehold_upstream_failures", endpoint.name, error.kind)
                        raise
                left = tries - number - 1 if last else -1
                if await _is_answered_by_error(attempt, response, number=number, left=left):
                    return
            finally:
                response.close()
        log.debug("request %s is tried again on endpoint %s", exchange.id, endpoint.name)
        state.meters.count("freehold_retries", endpoint.name)
        await asyncio.sleep(_BACKOFF_S * 2**number * random.uniform(0.5, 1.5))


# What an endpoint is sent


async def _prepare(attempt: Attempt) -> None:
    """Work out what the endpoint is sent. Raises `NextTarget`, or at the `last` one `ApiError`; `UpstreamFailure`."""
    exchange = attempt.exchange
    state, request = exchange.state, exchange.request
    if exchange.api_route.kind == "responses":
        attempt.endpoint = await _as_spoken(attempt)
    try:
        attempt.translation = translation_for(exchange.api_route, attempt.endpoint)
        attempt.body, attempt.hide_usage = await _body(attempt)
    except ApiError as error:
        # What this endpoint's API cannot express, or cannot be prepared for it, the next one may answer.
        if attempt.last:
            raise
        raise NextTarget(why_not_held(error)) from None
    if attempt.body is not exchange.body:
        request.hold_copy(len(attempt.body))
    attempt.path = _path(attempt)
    attempt.headers = state.upstreams.request_headers(
        attempt.endpoint,
        request.headers,
        pass_credentials=not state.keys.required,
        # An answer that may have to be read must not be compressed.
        compressed=attempt.translation is None and attempt.last and exchange.arm == "incumbent",
    )


async def _as_spoken(attempt: Attempt) -> Endpoint:
    """An endpoint as it is asked a request of the Responses API: its capability says how.

    State (a stored answer that the next request goes on from) is where it was made. So the route's incumbent, or the
    endpoint of a model without a route, is asked natively where it has the API. Another endpoint is so only where a
    request neither uses nor leaves state: by the chat API its answer gets an id that tells it apart.
    """
    exchange, endpoint = attempt.exchange, attempt.endpoint
    state = exchange.state
    capabilities = endpoint.capabilities
    if endpoint.api != "openai" or not (capabilities.responses or capabilities.responses_unknown):
        return endpoint
    native: bool | None = True
    if capabilities.responses_unknown:
        pass_credentials = not state.keys.required
        headers = exchange.request.headers
        native = await state.spoken.responses(endpoint, headers, pass_credentials=pass_credentials)
    if native is None:
        # Not known: clients that asked this host before get what it says to their own words.
        native = endpoint.forward_client_key
    keeps_state = exchange.route is None or endpoint.name == exchange.route.incumbent.endpoint
    if native and not keeps_state:
        native = len(exchange.body) <= INLINE_BYTES_MAX and is_stateless(exchange.body)
    if native is capabilities.responses:
        return endpoint
    decided = msgspec.structs.replace(capabilities, responses=native, responses_unknown=False)
    return msgspec.structs.replace(endpoint, capabilities=decided)


async def _body(attempt: Attempt) -> tuple[bytes, bool]:
    """The body for an endpoint, and whether it requests usage that the client did not."""
    exchange, endpoint = attempt.exchange, attempt.endpoint
    state = exchange.state
    target, translation = attempt.target, attempt.translation
    route, peek = exchange.api_route, exchange.peek
    asks_logprobs = deferral.asks_logprobs(exchange)
    model = target.model or exchange.model
    named = route.kind == "responses" and names_own(exchange.body)
    if not asks_logprobs and not named and is_sent_as_it_came(endpoint, model, peek, translation):
        return exchange.body, False
    how = UpstreamBody(
        route.path,
        endpoint,
        target,
        exchange.model,
        # Azure looks at the model's name in the path alone.
        model if "{model}" in route.native and endpoint.dialect == "azure" else peek.model,
        exchange.route is not None,
        peek.stream is True,
        bytes(peek.stream_options),
        exchange.capturing or exchange.metered,
        asks_logprobs=asks_logprobs,
    )
    hide_usage, (body,) = await state.reader.do("upstream", how, exchange.body)
    path = route.path if translation is None else translation.path
    body = await state.preparer.body(endpoint, endpoint.served(model), path, body or exchange.body)
    return body, hide_usage


def _path(attempt: Attempt) -> str:
    """Which path an endpoint is asked, with the client's query: in the client's own spelling where that is the
    endpoint's, too."""
    exchange, endpoint = attempt.exchange, attempt.endpoint
    state = exchange.state
    if attempt.translation is not None:
        return attempt.translation.path
    path, native = exchange.api_route.path, exchange.api_route.native
    if native and endpoint.dialect == "azure":
        path = native.replace("{model}", quote(attempt.target.model or exchange.model, safe=""))
    if not exchange.request.query_string:
        return path
    query = exchange.request.query_string
    return state.upstreams.with_query(endpoint, path, query, keys_here=state.keys.required)


async def _reserve(attempt: Attempt) -> None:
    """Reserve what asking may cost. What a cap does not let this endpoint do, the next one may do for nothing."""
    exchange = attempt.exchange
    try:
        model = attempt.target.model or exchange.model
        await spend.reserve(exchange, attempt.endpoint, model)
    except ApiError:
        if attempt.last:
            raise
        raise NextTarget("spend_cap") from None


async def _sent(attempt: Attempt) -> UpstreamResponse:
    """The response's head, or its first byte where that has a deadline; of the first try what it was."""
    exchange, endpoint = attempt.exchange, attempt.endpoint
    request = exchange.request
    first_try, request.first_try = request.first_try, None
    if first_try is not None and first_try.endpoint is endpoint:
        exchange.first_asked_s = exchange.asked_s = first_try.asked_s
        if isinstance(first_try.outcome, TransportError):
            raise upstream_failure(endpoint, first_try.outcome)
        return first_try.outcome
    if first_try is not None:
        first_try.let_go()
    upstreams, sent = exchange.state.upstreams, (attempt.path, attempt.headers, attempt.body)
    wait_ms = deferral.first_byte_ms(exchange, last=attempt.last)
    if wait_ms is None:
        return await upstreams.post(endpoint, *sent)
    return await upstreams.post_in_time(endpoint, *sent, wait_ms)


# What it answers


async def _handle_response(attempt: Attempt, response: UpstreamResponse) -> None:
    """Check a response where it is a candidate's, and send it on to the client."""
    exchange, endpoint, last = attempt.exchange, attempt.endpoint, attempt.last
    if 300 <= response.status < 400:
        _refuse_redirect(attempt, response.status)
    if response.status in CONTEXT_STATUSES and (
        not last or not endpoint.engine_kind.is_rented or attempt.translation is not None
    ):
        data = await read_all(endpoint, response)
        guards.check_context_error(attempt, response.status, data)
        _pass_over_error(attempt, response.status)
        await send_buffered(attempt, response, data)
        return
    _pass_over_error(attempt, response.status)
    contract = None
    guarded = exchange.arm != "incumbent" and exchange.route is not None
    if response.status < 300 and (guarded or guards.may_break_schema(exchange, endpoint)):
        try:
            contract = await guards.contract_of(exchange)
        except ApiError:
            if last:
                raise
            raise NextTarget("schema") from None
    if not last and deferral.is_cascade(exchange):
        await deferral.judge(attempt, response, contract)
    elif contract is None:
        await relay(attempt, response)
    else:
        data = await read_all(endpoint, response)
        data = await guards.enforce_contract(attempt, contract, response, data)
        await send_buffered(attempt, response, data)


def _pass_over_error(attempt: Attempt, status: int) -> None:
    """In a mixture an error of one's own model is never the answer: the incumbent can give one. Raises `NextTarget`."""
    exchange = attempt.exchange
    if status >= 400 and not attempt.last and (exchange.arm == "upper" or deferral.asks_candidate(exchange)):
        raise NextTarget(str(status))


def _refuse_redirect(attempt: Attempt, status: int) -> None:
    """Neither followed nor passed on: a client that followed it would send its words and its key past the gateway."""
    attempt.exchange.state.meters.count("freehold_upstream_failures", attempt.endpoint.name, str(status))
    if not attempt.last:
        raise NextTarget("redirect")
    raise redirect_refused(attempt.endpoint.name)


async def _is_answered_by_error(
    attempt: Attempt, response: UpstreamResponse, *, number: int, left: int
) -> bool:
    """Whether the client gets an error that may be asked again; it is, where tries are `left` (-1: others may answer).

    Raises `NextTarget`.
    """
    endpoint = attempt.endpoint
    data: bytes | None = None
    if response.status == 500 and not endpoint.engine_kind.is_rented:
        with contextlib.suppress(UpstreamFailure):  # what broke off is a failure as well
            data = await read_all(endpoint, response)
        guards.check_clients_fault(attempt, data or b"")
    attempt.exchange.state.meters.count("freehold_upstream_failures", endpoint.name, str(response.status))
    # Once for a request, however often it is tried.
    if response.status != 429 and number == 0:
        _count_against(attempt)
    if left < 0:
        raise NextTarget(str(response.status))
    if left and not _is_the_clients_to_repeat(attempt.exchange.request, response):
        return False
    if data is None:
        await relay(attempt, response)
    else:
        await send_buffered(attempt, response, data)
    return True


def _is_the_clients_to_repeat(request: Request, response: UpstreamResponse) -> bool:
    """Whether an error goes to the client although it could be asked again: after a long wait; or by the client, each
    of whose tries would else be asked as often again."""
    wait = response.header("retry-after")
    long_wait = wait is not None and (not wait.isdecimal() or int(wait) > 1)
    return long_wait or request.header("x-stainless-retry-count") is not None


def _count_against(attempt: Attempt, *, reached: bool = True) -> None:
    exchange = attempt.exchange
    key = None if exchange.key is None else exchange.key.name
    breaker = exchange.state.breaker(attempt.endpoint.name)
    breaker.record_failure(time.monotonic(), key=key, reached=reached)


def _count_failure(attempt: Attempt, error: UpstreamFailure) -> None:
    exchange = attempt.exchange
    state = exchange.state
    if not isinstance(error, NoCredentialsFailure):  # asked again as soon as there are some
        _count_against(attempt, reached=error.reached)
    (spend.forfeit if error.timed_out else spend.release)(exchange)
    if isinstance(error, LateFailure):
        state.meters.count("freehold_guard_events", exchange.route_name, "ttft", "fallback")
    state.meters.count("freehold_upstream_failures", attempt.endpoint.name, error.kind)
