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

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import TransportError, UpstreamResponse
from freehold.gateway.http.upstreams import (
    LateFailure,
    NoCredentialsFailure,
    UpstreamFailure,
    upstream_failure,
)
from freehold.gateway.proxy import deferral, guards, spend
from freehold.gateway.proxy.asking import (
    as_spoken,
    contract_of,
    is_the_clients_to_repeat,
    may_break_schema,
    upstream_request_body,
)
from freehold.gateway.proxy.exchange import ProxyExchange
from freehold.gateway.proxy.guards import (
    CONTEXT_STATUSES,
    NOT_HELD,
    NextTarget,
    UpstreamRequest,
    read_all,
    why_not_held,
)
from freehold.gateway.proxy.relay import relay, send_buffered
from freehold.gateway.proxy.routing import targets_in_turn
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import Translation, translation_for
from freehold.types.endpoint import Endpoint
from freehold.types.route import Target
from freehold.wire.errors import ApiError

log = logging.getLogger("freehold.gateway")
_RETRYABLE_STATUSES = frozenset((429, 500, 502, 503, 504, 529))
_BACKOFF_S = 0.1


async def answer(state: WorkerState, exchange: ProxyExchange, request: Request) -> None:
    """Send the client the first answer an endpoint gives. Raises `ApiError` when there is none."""
    route = exchange.route
    assert exchange.decision is not None
    rule = None if route is None or exchange.arm != "candidate" else route.deferral
    if rule is None:
        targets = targets_in_turn(route, exchange.decision)
    else:
        targets = await deferral.targets_by_rule(state, exchange, rule)
    failure = await _in_turn(state, exchange, request, targets)
    if failure is not None:
        raise ApiError(failure.status, str(failure), code=failure.code)


async def _in_turn(
    state: WorkerState, exchange: ProxyExchange, request: Request, targets: list[Target]
) -> UpstreamFailure | None:
    """Try targets until one has answered; returns why the last of them did not. Raises `ApiError`."""
    failure: UpstreamFailure | None = None
    failed: str | None = None
    for position, target in enumerate(targets):
        endpoint = state.table.endpoints.get(target.endpoint)
        if endpoint is None:
            failure = UpstreamFailure(f"endpoint {target.endpoint} is not configured", reached=False)
            continue
        if position:
            deferral.passes_on(exchange, target)
        try:
            last = position == len(targets) - 1
            if deferral.is_cascade(exchange):
                await _attempt_in_time(state, exchange, endpoint, target, request)
            else:
                await _attempt(state, exchange, endpoint, target, request, last=last)
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
        if position < len(targets) - 1:
            log.debug("request %s falls back from endpoint %s: %s", exchange.id, endpoint.name, why)
            state.meters.count("freehold_fallbacks", exchange.route_name, why)
            if why in ("failure", "timeout", "redirect") or why.isdigit():
                state.meters.count("freehold_failures", exchange.route_name, exchange.arm, why)
            exchange.fallback = exchange.fallback or why
            deferral.passed_over(exchange, why)
            spend.forfeit(state, exchange)
            exchange.forget_answer()
    assert failure is not None
    return failure


async def _attempt_in_time(
    state: WorkerState, exchange: ProxyExchange, endpoint: Endpoint, target: Target, request: Request
) -> None:
    """Ask a candidate whose whole answer is waited for, in its rule's time. Raises what `_attempt` does."""
    assert exchange.deferring is not None
    wait_ms = exchange.deferring.rule.wait_ms
    try:
        async with asyncio.timeout(wait_ms / 1000):
            await _attempt(
                state, exchange, deferral.as_asked(exchange, endpoint), target, request, last=False
            )
    except TimeoutError:
        if exchange.response_started:  # it was over when the time was
            return
        message = f"endpoint {endpoint.name} did not answer within {wait_ms:g} ms"
        failure = UpstreamFailure(message, reached=True, timed_out=True)
        _count_failure(state, exchange, endpoint, failure)
        raise failure from None


async def _attempt(
    state: WorkerState,
    exchange: ProxyExchange,
    endpoint: Endpoint,
    target: Target,
    request: Request,
    *,
    last: bool,
) -> None:
    """Ask one endpoint; returns when the client has an answer. Raises `UpstreamFailure` or `NextTarget`."""
    if exchange.api_route.kind == "responses":
        endpoint = await as_spoken(state, exchange, endpoint, request)
    try:
        translation = translation_for(exchange.api_route, endpoint)
        body, hide_usage = await upstream_request_body(state, exchange, endpoint, target, translation)
    except ApiError as error:
        # What this endpoint's API cannot express, or cannot be prepared for it, the next one may answer.
        if last:
            raise
        raise NextTarget(why_not_held(error)) from None
    if body is not exchange.body:
        request.hold_copy(len(body))
    path = exchange.path_at(state.upstreams, endpoint, target, translation, keys_here=state.keys.required)
    headers = state.upstreams.request_headers(
        endpoint,
        request.headers,
        pass_credentials=not state.keys.required,
        # An answer that may have to be read must not be compressed.
        compressed=translation is None and last and exchange.arm == "incumbent",
    )
    is_asked = exchange.api_route.kind not in ("embeddings", "count_tokens")
    if is_asked and guards.may_be_truncated(endpoint, body):
        await guards.check_fits(state, exchange, endpoint, headers, body, last=last)
    breaker = state.breaker(endpoint.name)
    # Never where nothing else can answer: a client that makes it open would take the endpoint from all others.
    if breaker.open_since_s is not None and not last:
        raise UpstreamFailure(f"endpoint {endpoint.name} keeps failing and is given a pause", reached=False)
    tries = state.config.retries + 1 if last else 1
    for attempt in range(tries):
        if exchange.capped:
            await _reserve(state, exchange, endpoint, target, last=last)
        exchange.note_asking()
        try:
            response = await _sending(state, exchange, request, endpoint, path, headers, body, last=last)
        except UpstreamFailure as error:
            _count_failure(state, exchange, endpoint, error)
            if attempt + 1 == tries or error.timed_out or isinstance(error, NoCredentialsFailure):
                raise
        else:
            if response.status >= 300:  # a redirect has answered nothing either
                spend.release(state, exchange)
            try:
                if response.status not in _RETRYABLE_STATUSES:
                    breaker.record_success()
                    sent = UpstreamRequest(path, headers, body, hide_usage)
                    try:
                        await _handle_response(
                            state, exchange, endpoint, response, translation, request, sent, last=last
                        )
                        return
                    except UpstreamFailure as error:
                        _count_broken(state, exchange, endpoint, error)
                        raise
                left = tries - attempt - 1 if last else -1
                if await _is_answered_by_error(
                    state, exchange, endpoint, response, translation, request, number=attempt, left=left
                ):
                    return
            finally:
                await response.close()
        log.debug("request %s is tried again on endpoint %s", exchange.id, endpoint.name)
        state.meters.count("freehold_retries", endpoint.name)
        await asyncio.sleep(_BACKOFF_S * 2**attempt * random.uniform(0.5, 1.5))


async def _is_answered_by_error(
    state: WorkerState,
    exchange: ProxyExchange,
    endpoint: Endpoint,
    response: UpstreamResponse,
    translation: Translation | None,
    request: Request,
    *,
    number: int,
    left: int,
) -> bool:
    """Whether the client gets an error that may be asked again; it is, where tries are `left` (-1: others may answer).

    Raises `NextTarget`.
    """
    data: bytes | None = None
    if response.status == 500 and not endpoint.engine_kind.is_rented:
        with contextlib.suppress(UpstreamFailure):  # what broke off is a failure as well
            data = await read_all(endpoint, response)
        guards.check_clients_fault(state, exchange, endpoint, data or b"", last=left >= 0)
    state.meters.count("freehold_upstream_failures", endpoint.name, str(response.status))
    # Once for a request, however often it is tried.
    if response.status != 429 and number == 0:
        _count_against(state, exchange, endpoint)
    if left < 0:
        raise NextTarget(str(response.status))
    if left and not is_the_clients_to_repeat(exchange, request, response):
        return False
    if data is None:
        await relay(
            state.reader, exchange, endpoint, response, translation, request, hide_usage=False, last=True
        )
    else:
        await send_buffered(
            state.reader, exchange, endpoint, response, data, translation, request, hide_usage=False
        )
    return True


def _count_against(
    state: WorkerState, exchange: ProxyExchange, endpoint: Endpoint, *, reached: bool = True
) -> None:
    key = None if exchange.key is None else exchange.key.name
    state.breaker(endpoint.name).record_failure(time.monotonic(), key=key, reached=reached)


def _count_failure(
    state: WorkerState, exchange: ProxyExchange, endpoint: Endpoint, error: UpstreamFailure
) -> None:
    if not isinstance(error, NoCredentialsFailure):  # asked again as soon as there are some
        _count_against(state, exchange, endpoint, reached=error.reached)
    (spend.forfeit if error.timed_out else spend.release)(state, exchange)
    if isinstance(error, LateFailure):
        state.meters.count("freehold_guard_events", exchange.route_name, "ttft", "fallback")
    state.meters.count("freehold_upstream_failures", endpoint.name, error.kind)


def _count_broken(
    state: WorkerState, exchange: ProxyExchange, endpoint: Endpoint, error: UpstreamFailure
) -> None:
    """An answer broke off before the client had any of it. What it costs is not known."""
    _count_against(state, exchange, endpoint)
    state.meters.count("freehold_upstream_failures", endpoint.name, error.kind)


async def _reserve(
    state: WorkerState, exchange: ProxyExchange, endpoint: Endpoint, target: Target, *, last: bool
) -> None:
    """Reserve what asking may cost. What a cap does not let this endpoint do, the next one may do for nothing."""
    try:
        await spend.reserve(state, exchange, endpoint, target.model or exchange.model)
    except ApiError:
        if last:
            raise
        raise NextTarget("spend_cap") from None


async def _sending(
    state: WorkerState,
    exchange: ProxyExchange,
    request: Request,
    endpoint: Endpoint,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
    *,
    last: bool,
) -> UpstreamResponse:
    """The response's head, or its first byte where that has a deadline; of the first try what it was."""
    first_try, request.first_try = request.first_try, None
    if first_try is not None and first_try.endpoint is endpoint:
        exchange.first_asked_s = exchange.asked_s = first_try.asked_s
        if isinstance(first_try.outcome, TransportError):
            raise upstream_failure(endpoint, first_try.outcome)
        return first_try.outcome
    if first_try is not None:
        first_try.let_go()
    wait_ms = deferral.first_byte_ms(exchange, last=last)
    if wait_ms is None:
        return await state.upstreams.post(endpoint, path, headers, body)
    return await state.upstreams.post_in_time(endpoint, path, headers, body, wait_ms)


async def _handle_response(
    state: WorkerState,
    exchange: ProxyExchange,
    endpoint: Endpoint,
    response: UpstreamResponse,
    translation: Translation | None,
    request: Request,
    sent: UpstreamRequest,
    *,
    last: bool,
) -> None:
    """Check a response where it is a candidate's, and send it on to the client."""
    if 300 <= response.status < 400:
        _refuse_redirect(state, endpoint, response.status, last=last)
    if response.status in CONTEXT_STATUSES and (
        not last or not endpoint.engine_kind.is_rented or translation is not None
    ):
        data = await read_all(endpoint, response)
        guards.check_context_error(state, exchange, response.status, data, last=last)
        _pass_over_error(exchange, response.status, last=last)
        await send_buffered(
            state.reader, exchange, endpoint, response, data, translation, request, hide_usage=False
        )
        return
    _pass_over_error(exchange, response.status, last=last)
    contract = None
    guarded = exchange.arm != "incumbent" and exchange.route is not None
    if response.status < 300 and (guarded or may_break_schema(exchange, endpoint)):
        try:
            contract = await contract_of(state, exchange)
        except ApiError:
            if last:
                raise
            raise NextTarget("schema") from None
    if not last and deferral.is_cascade(exchange):
        await deferral.judge(state, exchange, endpoint, contract, response, translation, request, sent)
        return
    if contract is None:
        await relay(
            state.reader,
            exchange,
            endpoint,
            response,
            translation,
            request,
            hide_usage=sent.hide_usage,
            last=last,
        )
        return
    data = await read_all(endpoint, response)
    data = await guards.enforce_contract(state, exchange, endpoint, contract, sent, response, data, last=last)
    await send_buffered(
        state.reader, exchange, endpoint, response, data, translation, request, hide_usage=sent.hide_usage
    )


def _pass_over_error(exchange: ProxyExchange, status: int, *, last: bool) -> None:
    """In a mixture an error of one's own model is never the answer: the incumbent can give one. Raises `NextTarget`."""
    if status >= 400 and not last and (exchange.arm == "upper" or deferral.asks_candidate(exchange)):
        raise NextTarget(str(status))


def _refuse_redirect(state: WorkerState, endpoint: Endpoint, status: int, *, last: bool) -> None:
    """Neither followed nor passed on: a client that followed it would send its words and its key past the gateway."""
    state.meters.count("freehold_upstream_failures", endpoint.name, str(status))
    if not last:
        raise NextTarget("redirect")
    raise ApiError(
        502,
        f"endpoint {endpoint.name} answered with a redirect, which is not followed",
        code="upstream_redirect",
    )
