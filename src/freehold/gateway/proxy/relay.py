"""Passing an answer on: chunk by chunk as it comes, or whole."""

from __future__ import annotations

import time

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import ClientError, Opened
from freehold.gateway.http.upstreams import headers_back
from freehold.gateway.proxy.exchange import Exchange
from freehold.gateway.proxy.translation import UNREADABLE, StreamTranslation, Translation, unreadable_answer
from freehold.types.endpoint import Endpoint
from freehold.wire import anthropic
from freehold.wire.errors import ApiError, cut_off
from freehold.wire.sse import UsageFilter

_WHOLE_ANSWER_MAX = 1024 * 1024
REQUEST_HEADER = "x-freehold-request-id"
_TRACE_HEADER = "x-freehold-trace-id"
Headers = list[tuple[str, str]]


async def pass_on(
    exchange: Exchange,
    endpoint: Endpoint,
    opened: Opened,
    translated: Translation | None,
    request: Request,
    *,
    hide_usage: bool,
) -> None:
    """Send the answer to the client as it comes."""
    headers = _begin(exchange, endpoint, opened)
    if opened.is_stream:
        filtered, headers = _filter(exchange, translated, headers, hide_usage)
        await _stream(exchange, opened, headers, filtered, request)
        return
    length = opened.header("content-length")
    if translated is not None or (length is not None and int(length) <= _WHOLE_ANSWER_MAX):
        try:
            data = await opened.whole()
        except ClientError:
            raise ApiError(
                502, f"endpoint {endpoint.name} broke off its answer", code="upstream_cut"
            ) from None
        exchange.first_byte_s = time.perf_counter()
        exchange.keep(data)
        _send_whole(exchange, opened, headers, data, translated, request)
    else:
        await _stream(exchange, opened, headers, None, request)


async def pass_on_checked(
    exchange: Exchange,
    endpoint: Endpoint,
    opened: Opened,
    data: bytes,
    translated: Translation | None,
    request: Request,
    *,
    hide_usage: bool,
) -> None:
    """Send an answer that was read whole first, because a guard had to see it. It may not be the first one."""
    headers = [header for header in _begin(exchange, endpoint, opened) if header[0] != "content-length"]
    exchange.first_byte_s = time.perf_counter()
    exchange.keep(data)
    if not opened.is_stream:
        _send_whole(exchange, opened, headers, data, translated, request)
        return
    filtered, headers = _filter(exchange, translated, headers, hide_usage)
    if filtered is not None:
        try:
            data = filtered.feed(data) + filtered.rest()
        except UNREADABLE:
            raise unreadable_answer() from None
    exchange.sent = True
    request.respond(opened.status, headers, data)


def _begin(exchange: Exchange, endpoint: Endpoint, opened: Opened) -> Headers:
    exchange.answered_by = endpoint
    exchange.status = opened.status
    exchange.streamed = opened.is_stream
    exchange.content_encoding = opened.header("content-encoding")
    headers = headers_back(opened)
    headers.append(("server", "freehold"))
    headers.append((REQUEST_HEADER, exchange.id))
    if exchange.capturing:
        headers.append((_TRACE_HEADER, exchange.id))
    return headers


def _filter(
    exchange: Exchange, translated: Translation | None, headers: Headers, hide_usage: bool
) -> tuple[StreamTranslation | None, Headers]:
    if translated is not None:
        kept = [(name, value) for name, value in headers if name not in ("content-type", "content-length")]
        return translated.stream(exchange.body), [*kept, ("content-type", translated.content_type)]
    if hide_usage and exchange.content_encoding is None:
        return UsageFilter(), [header for header in headers if header[0] != "content-length"]
    return None, headers


def _send_whole(
    exchange: Exchange,
    opened: Opened,
    headers: Headers,
    data: bytes,
    translated: Translation | None,
    request: Request,
) -> None:
    if translated is not None:
        if opened.status >= 400:
            error = ApiError(opened.status, anthropic.complaint(data))
            data = exchange.door.error(error).body
        else:
            data = translated.answer(data, exchange.body)
        headers = [(name, value) for name, value in headers if name != "content-length"]
    exchange.sent = True
    request.respond(opened.status, headers, data)


async def _stream(
    exchange: Exchange,
    opened: Opened,
    headers: Headers,
    filtered: StreamTranslation | None,
    request: Request,
) -> None:
    exchange.sent = True
    request.begin(opened.status, headers)
    way = _Way(exchange, filtered, request)
    try:
        await opened.relay(way)
        if filtered is not None and exchange.completeness == "complete":
            request.send([_told(exchange, filtered, None)])
    except ClientError:
        exchange.completeness = "upstream_cut"
        if exchange.streamed:
            request.send([_cut_notice(exchange, filtered)])
        else:
            request.cut()


class _Way:
    """The way of chunks from an answer to the client: kept for the trace, translated, sent."""

    __slots__ = ("_exchange", "_filtered", "_keeping", "_request", "drained")

    def __init__(self, exchange: Exchange, filtered: StreamTranslation | None, request: Request) -> None:
        self._exchange = exchange
        self._filtered = filtered
        self._request = request
        self._keeping = exchange.capturing or bool(exchange.metered)
        self.drained = request.drained

    @property
    def is_full(self) -> bool:
        return self._request.is_full

    def take(self, chunks: list[bytes]) -> bool:
        exchange = self._exchange
        if exchange.first_byte_s is None:
            exchange.first_byte_s = time.perf_counter()
        if self._keeping:
            for chunk in chunks:
                exchange.keep(chunk)
        if self._filtered is not None:
            chunks = _all_told(exchange, self._filtered, chunks)
        self._request.send(chunks)
        return exchange.completeness == "complete"


def _all_told(exchange: Exchange, filtered: StreamTranslation, chunks: list[bytes]) -> list[bytes]:
    """What the client is sent for some chunks, up to the first that cannot be read."""
    out = []
    for chunk in chunks:
        out.append(_told(exchange, filtered, chunk))
        if exchange.completeness != "complete":
            break
    return out


def _told(exchange: Exchange, filtered: StreamTranslation, data: bytes | None) -> bytes:
    """What the client is sent for a piece of the stream, or for its end (None); an error where it cannot be read."""
    try:
        return filtered.rest() if data is None else filtered.feed(data)
    except (ApiError, *UNREADABLE) as error:
        exchange.completeness = "upstream_cut"
        told = error if isinstance(error, ApiError) else unreadable_answer()
        return filtered.broken(exchange.door.error(told).body)


def _cut_notice(exchange: Exchange, filtered: StreamTranslation | None) -> bytes:
    """An error the client's library notices; ending the stream quietly would look like a whole answer."""
    body = exchange.door.error(cut_off()).body
    return b"data: " + body + b"\n\n" if filtered is None else filtered.broken(body)
