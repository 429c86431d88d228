"""Send an upstream's response to the client: chunk by chunk as it comes, or at once."""

from __future__ import annotations

import re
import time

from freehold.gateway.http.headers import response_headers
from freehold.gateway.http.request import no_room
from freehold.gateway.http.response import NoRoom, TransportError, UpstreamResponse
from freehold.gateway.http.upstreams import UpstreamFailure, upstream_failure
from freehold.gateway.proxy import spend
from freehold.gateway.proxy.exchange import Attempt, ProxyExchange
from freehold.gateway.proxy.reading import INLINE_BYTES_MAX, AnswerForm, with_usage
from freehold.gateway.proxy.translation import (
    ApiRoute,
    StreamTranslation,
    unreadable_answer,
)
from freehold.types.endpoint import ANY_MODEL, Endpoint
from freehold.wire.errors import UNREADABLE, ApiError, cut_off, is_only_error, request_id_header, told_error
from freehold.wire.openai import begins_with_error
from freehold.wire.sse import ModelName, NamedStream, SeparateUsage, UsageFilter, WholeEvents

_BUFFERED_BYTES_MAX = 1024 * 1024
# A chunk's size as `Request.send` writes it.
_FRAMED = re.compile(rb"([1-9a-f][0-9a-f]{0,6})\r\n")
# How streams end: clients take an answer for whole when they have read this, not when the connection says so.
_LAST_EVENTS = (
    b"data: [DONE]\n\n",
    b"data:[DONE]\n\n",
    b"data: [DONE]\r\n\r\n",
    b'"message_stop"}\n\n',
    b'"message_stop" }\n\n',
)
# A response's last event has no fixed end: it repeats the whole answer.
_LAST_OF_RESPONSE = re.compile(rb"^event: response\.(?:completed|incomplete|failed)\s", re.MULTILINE)
REQUEST_HEADER = "x-freehold-request-id"
ARM_HEADER = "x-freehold-arm"
_TRACE_HEADER = "x-freehold-trace-id"
# OpenAI and most others, Anthropic, Azure, Bedrock.
_UPSTREAM_IDS = ("x-request-id", "request-id", "apim-request-id", "x-amzn-requestid")
_UPSTREAM_ID_LENGTH_MAX = 200
# What an upstream says of its body holds for no other: one told in other words is not compressed.
_OF_THE_BODY = ("content-type", "content-encoding")
# Of an answer whose words cannot be told: another endpoint may have one that can.
_NO_ANSWER = ("upstream_unreadable", "upstream_cut")
Headers = list[tuple[str, str]]


async def relay(attempt: Attempt, response: UpstreamResponse) -> None:
    """Send a response to the client as it comes.

    Raises `UpstreamFailure` for one that breaks off before it has begun or, where another endpoint can answer (not the
    `last`) and it comes whole, before its end; and `ApiError`.
    """
    exchange, endpoint, last = attempt.exchange, attempt.endpoint, attempt.last
    headers = _start(attempt, response)
    if attempt.translation is not None and response.status < 300:
        _check_form(attempt)
    if exchange.streamed:
        await _wait_for_beginning(attempt, response)
        stream_filter, headers = _stream_filter(attempt, headers)
        await _stream(attempt, response, headers, stream_filter)
        return
    length = response.header("content-length")
    is_read = attempt.translation is not None or not last or _is_engines_error(endpoint, response.status)
    is_read = is_read or _name_to_tell(attempt) is not None
    if not is_read and (length is None or int(length) > _BUFFERED_BYTES_MAX):
        await _stream(attempt, response, headers, None)
        return
    try:
        data = await response.read_all()
    except NoRoom:
        raise no_room() from None
    except TransportError as error:
        if not last:
            raise upstream_failure(endpoint, error) from error
        raise ApiError(502, f"endpoint {endpoint.name} broke off its answer", code="upstream_cut") from None
    if not last and response.status < 300 and is_only_error(data):
        raise UpstreamFailure(f"endpoint {endpoint.name} answers with an error", reached=True)
    exchange.first_byte_s = time.perf_counter()
    exchange.add_chunk(data)
    try:
        await _send_complete(attempt, response, headers, data)
    except ApiError as error:
        if last or error.code not in _NO_ANSWER:
            raise
        raise UpstreamFailure(f"endpoint {endpoint.name}: {error}", reached=True) from error


def _check_form(attempt: Attempt) -> None:
    """Raise for a stream in the place of a whole answer and the other way about, which clients would read as an empty
    one."""
    exchange, name = attempt.exchange, attempt.endpoint.name
    # A count is never a stream, whatever was asked.
    asked = exchange.peek.stream is True and exchange.api_route.kind != "count_tokens"
    if exchange.streamed is asked:
        return
    if not attempt.last:
        raise UpstreamFailure(f"endpoint {name} answers in a form not asked for", reached=True)
    raise unreadable_answer()


async def _wait_for_beginning(attempt: Attempt, response: UpstreamResponse) -> None:
    """Wait for the first chunk of a stream: what goes wrong before it is an error of HTTP, or the next endpoint's turn.

    An engine may say 200 and then only that it failed, and a rented endpoint as well. What that says in its own API
    goes as it came where no other can answer.
    """
    endpoint = attempt.endpoint
    try:
        await response.wait_for_body()
    except TransportError as error:
        raise upstream_failure(endpoint, error) from error
    if attempt.last and attempt.translation is None and endpoint.engine_kind.is_rented:
        return
    failed = begins_with_error(response.beginning)
    if failed is not None:
        if not attempt.last:
            raise UpstreamFailure(f"endpoint {endpoint.name} answers with an error", reached=True)
        raise failed


async def send_buffered(attempt: Attempt, response: UpstreamResponse, data: bytes) -> None:
    """Send a response whose body `data` was read first, because a guard had to see it."""
    exchange = attempt.exchange
    headers = [header for header in _start(attempt, response) if header[0] != "content-length"]
    exchange.first_byte_s = time.perf_counter()
    exchange.add_chunk(data)
    if not response.is_stream:
        await _send_complete(attempt, response, headers, data)
        return
    stream_filter, headers = _stream_filter(attempt, headers)
    if attempt.translation is not None:
        form = AnswerForm(exchange.api_route.path, attempt.endpoint, stream=True)
        _, (data,) = await attempt.exchange.state.reader.do("answer", form, data, exchange.asked)
    elif stream_filter is not None:
        try:
            data = stream_filter.feed(data) + stream_filter.rest()
        except UNREADABLE:
            raise unreadable_answer() from None
    _send_as_it_is(attempt, response.status, headers, data)


def _start(attempt: Attempt, response: UpstreamResponse) -> Headers:
    exchange = attempt.exchange
    exchange.answered_by = attempt.endpoint
    exchange.status = response.status
    exchange.streamed = response.is_stream
    exchange.content_encoding = response.header("content-encoding")
    headers = client_headers(
        response,
        exchange.api_route,
        exchange.id,
        arm=exchange.answered_arm if exchange.tells_arm else None,
        traced=exchange.capturing,
    )
    if exchange.capturing:
        exchange.upstream_id = upstream_id(response)
    return headers


def client_headers(
    response: UpstreamResponse, api_route: ApiRoute, request_id: str, *, arm: str | None, traced: bool
) -> Headers:
    """The headers of an answer as the client gets them."""
    headers = response_headers(response)
    headers += (("server", "freehold"), (REQUEST_HEADER, request_id))
    usual = request_id_header(api_route.api)
    if response.header(usual) is None:
        headers.append((usual, request_id))
    if arm is not None:
        headers.append((ARM_HEADER, arm))
    if traced:
        headers.append((_TRACE_HEADER, request_id))
    return headers


def upstream_id(response: UpstreamResponse) -> str | None:
    """What the upstream calls the request, by which its operator finds it; None where it says nothing."""
    for name in _UPSTREAM_IDS:
        if (value := response.header(name)) is not None:
            return value[:_UPSTREAM_ID_LENGTH_MAX]
    return None


def _stream_filter(attempt: Attempt, headers: Headers) -> tuple[StreamTranslation | None, Headers]:
    """What events go through, and the headers of the stream: without its length, or no error could follow what came."""
    exchange, endpoint, translation = attempt.exchange, attempt.endpoint, attempt.translation
    headers = [header for header in headers if header[0] != "content-length"]
    if translation is not None:
        others = [header for header in headers if header[0] not in _OF_THE_BODY]
        return translation.stream(exchange.asked), [*others, ("content-type", "text/event-stream")]
    found: WholeEvents | None = None
    if endpoint.engine_kind.joins_usage and exchange.api_route.kind == "completions":
        # The engine tells it unasked as well, and clients that did not ask read a choice in every chunk.
        found = SeparateUsage(hides=with_usage(bytes(exchange.peek.stream_options)) is not None)
    elif attempt.hide_usage and exchange.content_encoding is None:
        found = UsageFilter()
    if (name := _name_to_tell(attempt)) is not None:
        return NamedStream(name, found), headers
    return found, headers


def _name_to_tell(attempt: Attempt) -> ModelName | None:
    """What an engine here calls the model, and what the client did; None where an answer is told as it came.

    What a route decides names the model that answered.
    """
    exchange = attempt.exchange
    if exchange.content_encoding is not None:
        return None
    return model_name_told(attempt.endpoint, exchange.model, routed=exchange.route is not None)


def model_name_told(endpoint: Endpoint, model: str, *, routed: bool) -> ModelName | None:
    """The same for a model of an endpoint, with a route or without."""
    if endpoint.engine_kind.is_rented or routed:
        return None
    served = endpoint.served(model)
    if served is None or served.upstream_name in (served.name, ANY_MODEL):
        return None
    return ModelName(served.upstream_name, served.name)


def _is_engines_error(endpoint: Endpoint, status: int) -> bool:
    """Whether an answer is an error of an engine here, whose words are its own: clients are told it in their API's."""
    return status >= 400 and not endpoint.engine_kind.is_rented


async def _send_complete(attempt: Attempt, response: UpstreamResponse, headers: Headers, data: bytes) -> None:
    """Send an answer that is whole, in the client's API: errors as well, of all but those that speak it themselves."""
    exchange, endpoint = attempt.exchange, attempt.endpoint
    status = response.status
    if status >= 400 and (attempt.translation is not None or _is_engines_error(endpoint, status)):
        error = told_error(status, data if len(data) <= INLINE_BYTES_MAX else b"")
        status = exchange.status = error.status
        data = exchange.api_route.error(error, exchange.id).body
        headers = [
            *(one for one in headers if one[0] not in _OF_THE_BODY),
            ("content-type", "application/json"),
        ]
    elif attempt.translation is not None:
        form = AnswerForm(exchange.api_route.path, endpoint)
        _, (data,) = await attempt.exchange.state.reader.do("answer", form, data, exchange.asked)
    elif (name := _name_to_tell(attempt)) is not None:
        data = name.told(data)
    _send_as_it_is(attempt, status, headers, data)


def _send_as_it_is(attempt: Attempt, status: int, headers: Headers, data: bytes) -> None:
    attempt.exchange.response_started = True
    spend.keep(attempt.exchange)
    attempt.exchange.request.respond(status, headers, data)


async def _stream(
    attempt: Attempt, response: UpstreamResponse, headers: Headers, stream_filter: StreamTranslation | None
) -> None:
    exchange = attempt.exchange
    request = exchange.request
    exchange.response_started = True
    request.start_response(response.status, headers)
    sink = ClientSink(exchange, stream_filter, response.header("content-length"))
    try:
        await response.relay(sink)
        if stream_filter is not None and exchange.completeness == "complete":
            request.send([_translated(exchange, stream_filter, None)])
    except TransportError:
        exchange.completeness = "upstream_cut"
        if exchange.streamed:
            request.send([_error_event(exchange, stream_filter, within_event=sink.within_event)])
        else:
            request.abort_response()


class ClientSink:
    """Takes the chunks of an upstream's response: recorded for the trace, translated, sent to the client."""

    __slots__ = (
        "_exchange", "_hides", "_is_response", "_last", "_length", "_passes", "_recording", "_request",
        "_stream_filter", "drain",
    )  # fmt: skip

    def __init__(
        self,
        exchange: ProxyExchange,
        stream_filter: StreamTranslation | None,
        length: str | None = None,
    ) -> None:
        self._exchange = exchange
        self._stream_filter = stream_filter
        request = self._request = exchange.request
        self._recording = exchange.capturing or exchange.metered
        self._length = None if length is None else int(length)
        self._is_response = exchange.response_kind == "responses"
        self._last = b"\n\n"
        self._hides = stream_filter if isinstance(stream_filter, UsageFilter) else None
        self._passes = request.takes_chunks and not self._is_response and self._hides is stream_filter
        self.drain = request.drain

    @property
    def is_full(self) -> bool:
        return self._request.transport.writing_paused

    @property
    def within_event(self) -> bool:
        """Whether what came last stopped before the end of an event."""
        return not self._last.endswith((b"\n\n", b"\r\n\r\n", b"\r\r"))

    def pass_on(self, data: bytes) -> bool:
        """Nearly all of a stream is chunks that go to the client byte for byte. The last ones do not: before the end
        of an answer its trace is kept."""
        request, exchange = self._request, self._exchange
        if not self._passes or request.transport.writing_paused or exchange.first_byte_s is None:
            return False
        hides, pieces, at = self._hides, [], 0
        while at < len(data):
            framed = _FRAMED.match(data, at)
            if framed is None:
                return False
            begin = framed.end()
            at = begin + int(framed[1], 16) + 2
            piece = data[begin : at - 2]
            if data[at - 2 : at] != b"\r\n" or piece.endswith(_LAST_EVENTS):
                return False
            if hides is not None and not hides.passes(piece):
                return False
            pieces.append(piece)
        self._last = piece
        if self._recording:
            for piece in pieces:
                exchange.add_chunk(piece)
        request.transport.write(data)
        return True

    def write(self, chunks: list[bytes]) -> bool:
        exchange = self._exchange
        self._last = chunks[-1]
        if exchange.first_byte_s is None:
            exchange.first_byte_s = time.perf_counter()
        if self._recording:
            for chunk in chunks:
                exchange.add_chunk(chunk)
            last = self._last
            if (
                last.endswith(_LAST_EVENTS)
                or exchange.chunk_bytes == self._length
                or (self._is_response and _LAST_OF_RESPONSE.search(last) and last.endswith(b"\n\n"))
            ):
                spend.keep(exchange)
        if self._stream_filter is not None:
            came, chunks = chunks, []
            for chunk in came:
                chunks.append(_translated(exchange, self._stream_filter, chunk))
                if exchange.completeness != "complete":
                    break  # what follows cannot be read either
        self._request.send(chunks)
        return exchange.completeness == "complete"


def _translated(exchange: ProxyExchange, stream_filter: StreamTranslation, data: bytes | None) -> bytes:
    """What the client is sent for a piece of the stream, or for its end (None); an error where it cannot be read."""
    try:
        return stream_filter.rest() if data is None else stream_filter.feed(data)
    except (ApiError, *UNREADABLE) as error:
        exchange.completeness = "upstream_cut"
        failure = error if isinstance(error, ApiError) else unreadable_answer()
        return stream_filter.broken(exchange.api_route.error(failure, exchange.id).body)


def _error_event(
    exchange: ProxyExchange, stream_filter: StreamTranslation | None, *, within_event: bool
) -> bytes:
    """An error the client's library notices; ending the stream silently would look like a complete answer."""
    body = exchange.api_route.error(cut_off(), exchange.id).body
    if stream_filter is not None:
        return stream_filter.broken(body)
    # Anthropic's library passes over events without a name.
    name = b"event: error\n" if exchange.api_route.api == "anthropic" else b""
    return (b"\n\n" if within_event else b"") + name + b"data: " + body + b"\n\n"
