"""Trying endpoints in turn until one has an answer for the client.

Covered: retries with a jittered pause on connection errors, 429 and 5xx, before the first byte only; a pause
for an endpoint that keeps failing; the incumbent where the candidate fails or breaks a guard.
Not covered: a second try once bytes have gone to the client; it would see two answers.
"""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import msgspec

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import ClientError, Opened
from freehold.gateway.http.upstreams import UpstreamFailure, failure
from freehold.gateway.proxy import guards, structured_output, translation
from freehold.gateway.proxy.exchange import Exchange
from freehold.gateway.proxy.guards import CONTEXT_STATUSES, Asked, NextTarget, whole
from freehold.gateway.proxy.relay import pass_on, pass_on_checked
from freehold.gateway.proxy.routing import targets_in_turn, upstream_model
from freehold.gateway.proxy.state import WorkerState
from freehold.gateway.proxy.translation import Translation
from freehold.types.endpoint import Endpoint
from freehold.types.route import Target
from freehold.wire import openai
from freehold.wire.errors import ApiError

_WORTH_A_RETRY = frozenset((429, 500, 502, 503, 504, 529))
_BACKOFF_S = 0.1
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')


async def answer(state: WorkerState, exchange: Exchange, request: Request) -> None:
    """Pass on the first answer to be had. Raises `ApiError` when there is none."""
    assert exchange.decision is not None
    client_headers = request.headers
    targets = targets_in_turn(exchange.route, exchange.decision)
    trouble: UpstreamFailure | None = None
    for place, target in enumerate(targets):
        endpoint = state.table.endpoints.get(target.endpoint)
        if endpoint is None:
            trouble = UpstreamFailure(f"endpoint {target.endpoint} is not configured", reached=False)
            continue
        if place:
            exchange.arm = "incumbent"
        try:
            await _try(
                state,
                exchange,
                endpoint,
                target,
                client_headers,
                request,
                last=place == len(targets) - 1,
            )
            return
        except UpstreamFailure as error:
            trouble = error
            why = "timeout" if error.timed_out else "failure"
        except NextTarget as error:
            why = str(error)
        if place < len(targets) - 1:
            state.meters.count("freehold_fallbacks", exchange.route_name, why)
            exchange.fallback = exchange.fallback or why
            exchange.forget_answer()
    assert trouble is not None
    code = "upstream_timeout" if trouble.timed_out else "upstream_unreachable"
    raise ApiError(504 if trouble.timed_out else 502, str(trouble), code=code)


async def _try(
    state: WorkerState,
    exchange: Exchange,
    endpoint: Endpoint,
    target: Target,
    client_headers: list[tuple[str, str]],
    request: Request,
    *,
    last: bool,
) -> None:
    """Ask one endpoint; returns when the client has an answer. Raises `UpstreamFailure` or `NextTarget`."""
    try:
        translated = translation.between(exchange.door, endpoint)
        body, hide_usage = _upstream_body(exchange, endpoint, target, translated)
    except ApiError:
        # What this endpoint's API has no word for, the next one's may have.
        if last:
            raise
        raise NextTarget("other_api") from None
    path = exchange.door.path if translated is None else translated.path
    headers = state.upstreams.headers_for(
        endpoint,
        client_headers,
        pass_credentials=not state.keys.required,
        # What we may have to read must not come packed.
        packed=translated is None and last and exchange.arm != "candidate",
    )
    if guards.may_be_cut(endpoint, body) and exchange.door.kind not in ("embeddings", "count_tokens"):
        await guards.check_fits(state, exchange, endpoint, headers, body, last=last)
    breaker = state.breaker(endpoint.name)
    tries = state.config.retries + 1 if last else 1
    for attempt in range(tries):
        if not breaker.allows(time.monotonic()):
            raise UpstreamFailure(
                f"endpoint {endpoint.name} keeps failing and is given a pause", reached=False
            )
        try:
            opened = await _open(state, exchange, endpoint, path, headers, body, last=last)
        except UpstreamFailure as error:
            breaker.failed(time.monotonic(), reached=error.reached)
            kind = "timeout" if error.timed_out else "connection"
            state.meters.count("freehold_upstream_failures", endpoint.name, kind)
            if attempt + 1 == tries or error.timed_out:
                raise
        else:
            try:
                if opened.status not in _WORTH_A_RETRY:
                    breaker.succeeded()
                    asked = Asked(path, headers, body, hide_usage)
                    await _take(state, exchange, endpoint, opened, translated, request, asked, last=last)
                    return
                state.meters.count("freehold_upstream_failures", endpoint.name, str(opened.status))
                # Once for a request, however often it is tried: one that nobody can answer must not, alone or
                # sent twice, have the endpoint taken from all others.
                if opened.status != 429 and attempt == 0:
                    breaker.failed(time.monotonic())
                if not last:
                    raise NextTarget(str(opened.status))
                if attempt + 1 == tries or _asks_for_a_long_wait(opened):
                    await pass_on(exchange, endpoint, opened, translated, request, hide_usage=False)
                    return
            finally:
                await opened.close()
        state.meters.count("freehold_retries", endpoint.name)
        await asyncio.sleep(_BACKOFF_S * 2**attempt * random.uniform(0.5, 1.5))


async def _open(
    state: WorkerState,
    exchange: Exchange,
    endpoint: Endpoint,
    path: str,
    headers: list[tuple[str, str]],
    body: bytes,
    *,
    last: bool,
) -> Opened:
    """The answer's head; with a deadline where somebody else can still answer."""
    route = exchange.route
    if last or route is None or route.guard.ttft_ms is None or exchange.arm != "candidate":
        return await state.upstreams.open(endpoint, path, headers, body)
    opened = None
    try:
        async with asyncio.timeout(route.guard.ttft_ms / 1000):
            opened = await state.upstreams.open(endpoint, path, headers, body)
            await opened.begun()
            return opened
    except TimeoutError:
        state.meters.count("freehold_guard_events", route.name, "ttft", "fallback")
        if opened is not None:
            await opened.close()
        message = f"endpoint {endpoint.name} sent no byte within {route.guard.ttft_ms:g} ms"
        raise UpstreamFailure(message, reached=True, timed_out=True) from None
    except ClientError as error:
        if opened is not None:
            await opened.close()
        raise failure(endpoint, error) from error


async def _take(
    state: WorkerState,
    exchange: Exchange,
    endpoint: Endpoint,
    opened: Opened,
    translated: Translation | None,
    request: Request,
    asked: Asked,
    *,
    last: bool,
) -> None:
    """An answer has come: guard it where it is a candidate's, and pass it on."""
    route = exchange.route
    if opened.status in CONTEXT_STATUSES and (
        not last or not endpoint.engine_kind.is_rented or translated is not None
    ):
        data = await whole(endpoint, opened)
        guards.hold_context(state, exchange, opened.status, data, last=last)
        await pass_on_checked(exchange, endpoint, opened, data, translated, request, hide_usage=False)
        return
    promise = None
    if exchange.arm == "candidate" and route is not None and route.guard.schema and opened.status < 300:
        promise = structured_output.promised(exchange)
    if promise is None:
        await pass_on(exchange, endpoint, opened, translated, request, hide_usage=asked.hide_usage)
        return
    data = await whole(endpoint, opened)
    data = await guards.hold_promise(state, exchange, endpoint, promise, asked, opened, data, last=last)
    await pass_on_checked(exchange, endpoint, opened, data, translated, request, hide_usage=asked.hide_usage)


def _asks_for_a_long_wait(opened: Opened) -> bool:
    wait = opened.header("retry-after")
    return wait is not None and (not wait.isdecimal() or int(wait) > 1)


def _upstream_body(
    exchange: Exchange, endpoint: Endpoint, target: Target, translated: Translation | None
) -> tuple[bytes, bool]:
    """The body for an endpoint, and whether usage was asked for that the client did not ask for."""
    body = exchange.body if translated is None else translated.request(exchange.body)
    name, extra = upstream_model(endpoint, target, exchange.model)
    changes: dict[str, Any] = {}
    if name != exchange.seen.model:
        changes["model"] = name
    if extra:
        changes.update(extra)
    if exchange.route is None and _passes_over_tools(endpoint) and structured_output.demands_a_tool(body):
        raise ApiError(400, f"{exchange.model} cannot be made to call a tool; its chat template knows none")
    if not endpoint.engine_kind.reads_tool_names and b'"tool_choice"' in body:
        changes.update(openai.one_tool(body))
    hide_usage = False
    if (
        (exchange.capturing or exchange.metered)
        and exchange.seen.stream is True
        and exchange.door.kind in ("chat", "completions")
        and endpoint.api == "openai"
        and endpoint.capabilities.stream_usage
    ):
        wanted = _with_usage(exchange.seen.stream_options)
        if wanted is not None:
            changes["stream_options"] = wanted
            hide_usage = True
    return (openai.splice(body, changes) if changes else body), hide_usage


def _passes_over_tools(endpoint: Endpoint) -> bool:
    """llama.cpp answers in plain text, without a word, where the model's chat template has no tools."""
    return endpoint.engine_kind.ignores_tools_unsaid and not endpoint.capabilities.tools


def _with_usage(options: msgspec.Raw) -> Any:
    """Stream options that ask for usage; None when the client's do already, or are not ours to change."""
    if bytes(options) in (b"", b"null"):
        return _INCLUDE_USAGE
    value = msgspec.json.decode(options)
    if not isinstance(value, dict) or value.get("include_usage"):
        return None
    return {**value, "include_usage": True}
