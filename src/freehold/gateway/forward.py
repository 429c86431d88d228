"""The hot path: from a request's bytes to an endpoint and back.

Nothing is parsed beyond a peek, and bytes are passed on as they came. Exceptions to that are few: the model's
name and fields an endpoint wants added are spliced in, and usage is asked for when traces are captured.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
from pyreqwest.exceptions import RequestError

from freehold.gateway import translation
from freehold.gateway.exchange import Exchange
from freehold.gateway.routing import decide, targets_in_turn, upstream_model
from freehold.gateway.state import WorkerState
from freehold.gateway.translation import Door, StreamTranslation, Translation
from freehold.gateway.upstream import Opened, UpstreamFailure, close, headers_back
from freehold.types.endpoint import Endpoint
from freehold.types.route import Target
from freehold.wire import openai
from freehold.wire.errors import ApiError, Reply
from freehold.wire.sse import UsageFilter

_WORTH_A_RETRY = frozenset((429, 500, 502, 503, 504, 529))
_WHOLE_ANSWER_MAX = 1024 * 1024
_BACKOFF_S = 0.1
_INCLUDE_USAGE = msgspec.Raw(b'{"include_usage":true}')
_TRACE_HEADER = "x-freehold-trace-id"


async def forward(state: WorkerState, door: Door, scope: Any, proto: Any) -> None:
    """Answer one request for a model, whatever happens."""
    exchange = Exchange(door)
    state.meters.in_flight += 1
    task = asyncio.current_task()

    def on_gone(_: Any) -> None:
        exchange.gone = True
        if task is not None:
            task.cancel()

    gone = None
    try:
        await _admit(state, exchange, scope, proto)
        gone = proto.client_disconnect()
        gone.add_done_callback(on_gone)
        await _answer(state, exchange, scope.headers, proto)
    except ApiError as error:
        _refuse(state, exchange, proto, error)
    except asyncio.CancelledError:
        if not exchange.gone:
            raise
        exchange.completeness = "client_aborted"
        state.meters.count("freehold_client_aborts", exchange.route_name)
    finally:
        if gone is not None:
            gone.remove_done_callback(on_gone)
            gone.cancel()
        state.meters.in_flight -= 1
    _finish(state, exchange)


async def _admit(state: WorkerState, exchange: Exchange, scope: Any, proto: Any) -> None:
    """Key, body, peek, route. Raises `ApiError`."""
    headers = scope.headers
    header = headers.get
    exchange.key = state.keys.check(header("authorization"), header("x-api-key"))
    if header("content-encoding") not in (None, "identity"):
        raise ApiError(415, "compressed request bodies are not accepted")
    body = exchange.body = await read_body(header, proto, state.config.max_body_bytes)
    seen = exchange.seen = openai.peek(body)
    model = exchange.model = seen.model or state.table.default_model or ""
    if not model:
        raise ApiError(400, "you must provide a model parameter", param="model")
    exchange.session = header("x-freehold-session")
    exchange.user = header("x-freehold-user") or _text(seen.user) or _text(seen.safety_identifier)
    exchange.capturing = state.config.capture != "off" and header("x-freehold-capture") != "off"
    route = exchange.route = state.table.find(
        model, header, exchange.key.name if exchange.key is not None else None
    )
    if route is None:
        exchange.decision = state.table.direct(model)
    else:
        key = _assignment_key(exchange, header) if route.candidate is not None else None
        exchange.decision = decide(route, key, state.draw())
        if key is not None:
            exchange.assignment_key = f"{route.name}:{hash_key(key)}"
    exchange.arm = exchange.decision.arm


async def read_body(header: Callable[[str], str | None], proto: Any, most: int) -> bytes:
    """The request's body. Raises `ApiError` (413) before more than `most` bytes were taken in."""
    length = header("content-length")
    if length is not None:
        if length.isdecimal() and int(length) > most:
            raise ApiError(413, f"the request body has {length} bytes, at most {most} are taken")
        body: bytes = await proto()
        return body
    parts, size = [], 0
    async for part in proto:
        size += len(part)
        if size > most:
            raise ApiError(413, f"the request body has more than {most} bytes")
        parts.append(part)
    return b"".join(parts)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _assignment_key(exchange: Exchange, header: Callable[[str], str | None]) -> str | bytes | None:
    """What keeps one user or conversation on one arm; None when the request names no such thing."""
    assert exchange.route is not None
    sticky = exchange.route.sticky
    if sticky.startswith("header:"):
        return header(sticky[7:].strip().lower())
    if sticky == "user":
        return exchange.user
    return exchange.session or openai.conversation_start(exchange.body)


def hash_key(key: str | bytes) -> str:
    """An assignment key as it is kept: its hash."""
    import hashlib

    data = key.encode() if isinstance(key, str) else key
    return hashlib.blake2b(data, digest_size=12).hexdigest()


async def _answer(state: WorkerState, exchange: Exchange, headers: Any, proto: Any) -> None:
    """Try the targets in turn and pass on the first answer. Raises `ApiError` when there is none."""
    assert exchange.decision is not None
    client_headers = headers.items()
    targets = targets_in_turn(exchange.route, exchange.decision)
    trouble: UpstreamFailure | None = None
    for place, target in enumerate(targets):
        endpoint = state.table.endpoints.get(target.endpoint)
        if endpoint is None:
            trouble = UpstreamFailure(f"endpoint {target.endpoint} is not configured", reached=False)
            continue
        last = place == len(targets) - 1
        if place:
            exchange.arm = "incumbent"
            state.meters.count("freehold_fallbacks", exchange.route_name, "failure")
        try:
            done = await _try_target(state, exchange, endpoint, target, client_headers, proto, last=last)
        except UpstreamFailure as error:
            trouble = error
            continue
        if done:
            return
    assert trouble is not None
    status = 504 if trouble.timed_out else 502
    code = "upstream_timeout" if trouble.timed_out else "upstream_unreachable"
    raise ApiError(status, str(trouble), code=code)


async def _try_target(
    state: WorkerState,
    exchange: Exchange,
    endpoint: Endpoint,
    target: Target,
    client_headers: list[tuple[str, str]],
    proto: Any,
    *,
    last: bool,
) -> bool:
    """Ask one endpoint. True when the client has an answer, False when the next target shall be asked."""
    translated = translation.between(exchange.door, endpoint.api)
    path = exchange.door.path if translated is None else translated.path
    body, hide_usage = _upstream_body(state, exchange, endpoint, target, translated)
    headers = state.upstreams.headers_for(endpoint, client_headers, pass_credentials=not state.keys.required)
    breaker = state.breaker(endpoint.name)
    tries = state.config.retries + 1 if last else 1
    for attempt in range(tries):
        if not breaker.allows(time.monotonic()):
            raise UpstreamFailure(
                f"endpoint {endpoint.name} keeps failing and is given a pause", reached=False
            )
        try:
            opened = await state.upstreams.open(endpoint, path, headers, body)
        except UpstreamFailure as error:
            breaker.failed(time.monotonic())
            state.meters.count(
                "freehold_upstream_failures", endpoint.name, "timeout" if error.timed_out else "connection"
            )
            if attempt + 1 == tries or error.timed_out:
                raise
        else:
            try:
                if opened.status not in _WORTH_A_RETRY:
                    breaker.succeeded()
                    await _pass_on(
                        state, exchange, endpoint, opened, translated, proto, hide_usage=hide_usage
                    )
                    return True
                state.meters.count("freehold_upstream_failures", endpoint.name, str(opened.status))
                if opened.status != 429:
                    breaker.failed(time.monotonic())
                if last and (attempt + 1 == tries or _asks_for_a_long_wait(opened)):
                    await _pass_on(state, exchange, endpoint, opened, translated, proto, hide_usage=False)
                    return True
            finally:
                await close(opened)
        if not last:
            return False
        state.meters.count("freehold_retries", endpoint.name)
        await asyncio.sleep(_BACKOFF_S * 2**attempt * random.uniform(0.5, 1.5))
    raise AssertionError("unreachable")


def _asks_for_a_long_wait(opened: Opened) -> bool:
    wait = opened.answer.get_header("retry-after")
    return wait is not None and (not wait.isdecimal() or int(wait) > 1)


def _upstream_body(
    state: WorkerState,
    exchange: Exchange,
    endpoint: Endpoint,
    target: Target,
    translated: Translation | None,
) -> tuple[bytes, bool]:
    """The body for an endpoint, and whether usage was asked for that the client did not ask for."""
    body = exchange.body if translated is None else translated.request(exchange.body)
    name, extra = upstream_model(endpoint, target, exchange.model)
    changes: dict[str, Any] = {}
    if name != exchange.seen.model:
        changes["model"] = name
    if extra:
        changes.update(extra)
    hide_usage = False
    if (
        exchange.capturing
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


def _with_usage(options: msgspec.Raw) -> Any:
    """Stream options that ask for usage; None when the client's do already, or are not ours to change."""
    if not bytes(options) or bytes(options) == b"null":
        return _INCLUDE_USAGE
    value = msgspec.json.decode(options)
    if not isinstance(value, dict) or value.get("include_usage"):
        return None
    return {**value, "include_usage": True}


async def _pass_on(
    state: WorkerState,
    exchange: Exchange,
    endpoint: Endpoint,
    opened: Opened,
    translated: Translation | None,
    proto: Any,
    *,
    hide_usage: bool,
) -> None:
    """Send the answer to the client as it comes."""
    answer = opened.answer
    exchange.answered_by = endpoint
    exchange.status = opened.status
    exchange.content_encoding = answer.get_header("content-encoding")
    headers = headers_back(answer)
    headers.append(("server", "freehold"))
    if exchange.capturing:
        headers.append((_TRACE_HEADER, exchange.id))
    length = answer.get_header("content-length")
    kind = answer.get_header("content-type") or ""
    if kind.startswith("text/event-stream"):
        exchange.streamed = True
        filtered: StreamTranslation | None = None
        if translated is not None:
            filtered = translated.stream(exchange.model)
            headers = _retyped(headers, translated.content_type)
        elif hide_usage and exchange.content_encoding is None:
            filtered = UsageFilter()
        await _stream(exchange, opened, headers, filtered, proto)
    elif translated is not None or (length is not None and int(length) <= _WHOLE_ANSWER_MAX):
        await _whole(exchange, endpoint, opened, headers, translated, proto)
    else:
        await _stream(exchange, opened, headers, None, proto)


async def _whole(
    exchange: Exchange,
    endpoint: Endpoint,
    opened: Opened,
    headers: list[tuple[str, str]],
    translated: Translation | None,
    proto: Any,
) -> None:
    try:
        data = (await opened.answer.bytes()).to_bytes()
    except RequestError:
        exchange.completeness = "upstream_cut"
        raise ApiError(502, f"endpoint {endpoint.name} broke off its answer", code="upstream_cut") from None
    exchange.first_byte_s = time.perf_counter()
    exchange.keep(data)
    if translated is not None:
        data = translated.answer(data)
        headers = [(name, value) for name, value in headers if name != "content-length"]
    proto.response_bytes(opened.status, headers, data)


async def _stream(
    exchange: Exchange,
    opened: Opened,
    headers: list[tuple[str, str]],
    filtered: StreamTranslation | None,
    proto: Any,
) -> None:
    out = proto.response_stream(opened.status, headers)
    send = out.send_bytes
    read = opened.answer.body_reader.read_chunk
    capturing = exchange.capturing
    try:
        while True:
            try:
                chunk = await read()
            except RequestError:
                exchange.completeness = "upstream_cut"
                await send(_cut_notice(exchange, filtered))
                return
            if chunk is None:
                break
            data = chunk.to_bytes()
            if exchange.first_byte_s is None:
                exchange.first_byte_s = time.perf_counter()
            if capturing:
                exchange.keep(data)
            if filtered is not None:
                data = filtered.feed(data)
                if not data:
                    continue
            await send(data)
        if filtered is not None and (rest := filtered.rest()):
            await send(rest)
    except ConnectionError:
        raise
    except RuntimeError as error:
        # granian says so when the client has hung up between two chunks.
        if type(error).__name__ != "RSGIProtocolClosed":
            raise
        exchange.gone = True
        raise asyncio.CancelledError from None


def _cut_notice(exchange: Exchange, filtered: StreamTranslation | None) -> bytes:
    """An error the client's library notices; ending the stream quietly would look like a whole answer."""
    if not exchange.streamed:
        return b""
    rest = filtered.rest() if filtered is not None else b""
    error = ApiError(502, "the upstream broke off its answer", code="upstream_cut")
    return rest + b"data: " + exchange.door.error(error).body + b"\n\n"


def _retyped(headers: list[tuple[str, str]], content_type: str) -> list[tuple[str, str]]:
    kept = [(name, value) for name, value in headers if name not in ("content-type", "content-length")]
    return [*kept, ("content-type", content_type)]


def _refuse(state: WorkerState, exchange: Exchange, proto: Any, error: ApiError) -> None:
    exchange.status = error.status
    exchange.capturing = False
    state.meters.count("freehold_refusals", error.code or str(error.status))
    reply(proto, exchange.door.error(error))


def reply(proto: Any, answer: Reply) -> None:
    """Send a whole answer of our own."""
    proto.response_bytes(answer.status, [*answer.headers, ("server", "freehold")], answer.body)


def _finish(state: WorkerState, exchange: Exchange) -> None:
    """Count, and hand the exchange to the recorder. The client has its answer by now."""
    meters = state.meters
    route, arm = exchange.route_name, exchange.arm
    endpoint = exchange.answered_by
    if endpoint is None:
        return
    meters.count("freehold_requests", route, endpoint.name, arm, str(exchange.status))
    if exchange.first_byte_s is not None:
        meters.observe("freehold_first_byte_seconds", exchange.first_byte_s - exchange.started_s, route, arm)
    meters.observe("freehold_request_seconds", time.perf_counter() - exchange.started_s, route, arm)
    if state.spool is not None and (captured := exchange.captured()) is not None:
        state.spool.offer(captured)
