"""The connection of a client: HTTP/1.1, parsed by llhttp (httptools) on the event loop's own transports.

A request is handled by one task. What it sends goes to the socket in the same turn of the loop.

Covered: keep-alive, requests sent ahead (answered in turn), bodies by length and by chunks, ``Expect: 100-continue``,
deadlines for heads and for bodies (in all, and for a pause), bounds on heads, back-pressure, leaving clients, a
drain on stop.
An offer to continue in another protocol is declined. TLS comes from the loop (`certificate`). Not covered: WebSockets;
HTTP/2 (put a proxy in front for that).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from freehold.gateway import deadlines
from freehold.gateway.http.memory import HeldBytes
from freehold.gateway.http.request import STATUS_LINES, ConnectionHost, Current, Headers, Request

log = logging.getLogger("freehold.gateway")
HEAD_BYTES_MAX = 128 * 1024
HEADERS_MAX = 128
# Heads beyond this take room of the budget; most are much smaller.
_HEAD_FREE_BYTES = 16 * 1024
# Requests that a client sent ahead of its answers; what one read of the socket holds beyond it is an attack.
PIPELINED_MAX = 128


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "__weakref__",
        "_body_since_s",
        "_drain",
        "_head_bytes",
        "_head_held",
        "_headers",
        "_in_head",
        "_incoming",
        "_lingering",
        "_parser",
        "_pipelined",
        "_reading_paused",
        "_since_s",
        "_task",
        "_transport",
        "_two_hosts",
        "_upgrade_declined",
        "_url",
        "current",
        "server",
        "writing_paused",
    )

    def __init__(self, server: ConnectionHost) -> None:
        self.server = server
        self._parser: Any = HttpRequestParser(self)
        self._url = b""
        self._headers: Headers = []
        self._head_bytes = 0
        self._head_held = HeldBytes(server.memory)
        self._two_hosts = False
        self._in_head = True
        self._incoming: Request | None = None
        self._body_since_s = 0.0
        self._pipelined: deque[Request] = deque()
        self._upgrade_declined: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: Any = None
        self._drain: asyncio.Future[None] | None = None
        self._lingering = False
        self._reading_paused = False
        self._since_s = server.loop.time()
        self.current: Current | None = None
        self.writing_paused = False

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        if self.writing_paused and not self._transport.is_closing():
            if self._drain is None:
                self._drain = self.server.loop.create_future()
            await asyncio.shield(self._drain)

    @property
    def has_next(self) -> bool:
        """Whether the client has sent another request ahead."""
        return bool(self._pipelined)

    def is_overdue(self, now_s: float) -> bool:
        """Whether the client has kept the server waiting for too long."""
        waited_s = now_s - self._since_s
        if self._lingering:
            return waited_s > deadlines.LINGER_S
        if self.writing_paused:
            return waited_s > deadlines.UNREAD_S
        if self._reading_paused:
            return False
        if self._in_head:
            return waited_s > deadlines.HEAD_WITHIN_S
        if self._incoming is not None:
            too_long = now_s - self._body_since_s > deadlines.BODY_WITHIN_S
            return waited_s > deadlines.BODY_STALLS_S or too_long
        return self.current is None and waited_s > deadlines.IDLE_S

    def runs_since(self, when_s: float) -> bool:
        """Whether a request came then or before, whose answer has not ended or was not read."""
        return (self.current is not None or self.writing_paused) and self._body_since_s <= when_s

    def stop(self, *, also_fresh: bool) -> None:
        """Close where nothing runs; a running answer closes when it ends.

        A connection that was just opened has a request on its way; `also_fresh` closes it all the same.
        """
        if (
            self.current is None
            and not self._lingering
            and (not self._in_head or (also_fresh and not self._head_bytes))
        ):
            self._transport.close()

    @property
    def is_between_requests(self) -> bool:
        """Whether none is under way, and nothing of the next has come."""
        return (
            self.current is None
            and self._incoming is None
            and not (self._in_head and self._head_bytes)
            and not self._lingering
        )

    def abort(self) -> None:
        self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.server.opening.discard(self)
        if self.server.has_room:
            self.server.connections.add(self)
        else:
            self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self.server.connections.discard(self)
        for request in self._pipelined:
            request.release()
        self._pipelined.clear()
        self._head_held.release()
        # The parser and the request know this connection: a circle that would hold a whole upload until the garbage
        # collector, which runs rarely, finds it.
        self._parser = self._incoming = self._upgrade_declined = None
        self.resume_writing()
        if self.current is not None:
            self.current.connection_lost()
            if self.current.cancel_on_disconnect and self._task is not None:
                self._task.cancel()

    def pause_writing(self) -> None:
        self.writing_paused = True
        self._since_s = self.server.loop.time()

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._drain is not None:
            self._drain.set_result(None)
            self._drain = None

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        try:
            self._feed(data)
        except HttpParserError:
            why = b"a request has one Host header" if self._two_hosts else b"this is not an HTTP request"
            self._send_error(400, why)
            return
        if len(self._pipelined) > PIPELINED_MAX:
            self._transport.abort()
        elif self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX or len(self._headers) > HEADERS_MAX:
                self._send_error(431, b"the request's headers are too large")
            elif (
                self._head_bytes > _HEAD_FREE_BYTES
                and not self._head_held.size_bytes
                and not self._head_held.take(HEAD_BYTES_MAX)
            ):
                self._send_error(503, b"there is no room for this request at the moment")
        else:
            self._head_bytes = 0
            self._head_held.release()
            if self._incoming is not None:
                self._since_s = self.server.loop.time()
                if self._incoming.is_overflowing:
                    self._pause_reading()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
                return
            except HttpParserUpgrade as stopped:
                # A client may offer a better protocol; a server that continues in HTTP/1.1 has declined.
                data = data[stopped.args[0] :]
                self._parser = HttpRequestParser(self)
                if self._incoming is not None:
                    # The parser left the body to the other protocol: a new parser reads it.
                    self._upgrade_declined = self._incoming
                    self._parser.feed_data(
                        b"POST / HTTP/1.1\r\n" + framing_header(self._incoming) + b"\r\n\r\n"
                    )

    def _send_error(self, status: int, why: bytes) -> None:
        """Answer a request that cannot be parsed, and close."""
        if self.current is not None:
            self._transport.close()
            return
        head = b"content-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(why)
        self.write(STATUS_LINES[status] + head + why)
        self._linger()

    def _linger(self) -> None:
        """Keep reading for a moment and discard it: closing at once could lose the answer on its way."""
        self._lingering = True
        self._since_s = self.server.loop.time()
        if self._transport.can_write_eof():  # TLS knows no half-closed connection
            self._transport.write_eof()

    # httptools

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        if not self._in_head:
            self._in_head = True
            self._since_s = self.server.loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers behind a chunked body are ignored.
        if self._in_head:
            self._headers.append((name.lower().decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._upgrade_declined is not None:
            self._incoming, self._upgrade_declined = self._upgrade_declined, None
            return
        path, _, query = self._url.decode("latin-1").partition("?")
        if not path.startswith("/") and "://" in path:
            path = "/" + path.partition("://")[2].partition("/")[2]
        parser, headers = self._parser, self._headers
        first_values = dict(reversed(headers))
        request = self._incoming = Request(
            self, parser.get_method().decode("latin-1"), path, query, headers, first_values
        )
        expected = first_values.get("expect")
        if expected is not None:
            request.expects_continue = expected.lower() == "100-continue"
        if request.has_two_hosts:
            # Which of them a proxy in front looked at cannot be known.
            self._incoming = None
            self._two_hosts = True
            raise ValueError("two Host headers")
        version = parser.get_http_version()
        if version not in ("1.1", "1.0") or "transfer-encoding" in first_values:
            check_framing(version, headers)
        request.supports_chunks = version == "1.1"
        request.keep_alive = parser.should_keep_alive() and (
            request.supports_chunks or not ends_connection(headers)
        )
        if len(self._headers) > HEADERS_MAX:
            self._incoming = None
            self._in_head = True
        elif self.current is None:
            self._start(request)
        else:
            self._pipelined.append(request)
            self._pause_reading()

    def on_body(self, data: bytes) -> None:
        if self._incoming is not None:
            self._incoming.feed_data(data)

    def on_message_complete(self) -> None:
        request = self._incoming
        if request is None or (self._parser.should_upgrade() and framing_header(request)):
            return
        self._incoming = None
        request.feed_eof()

    def _pause_reading(self) -> None:
        if not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self._pipelined and not self._transport.is_closing():
            self._reading_paused = False
            self._since_s = self.server.loop.time()
            self._transport.resume_reading()

    # One request after the other

    def _start(self, request: Request) -> None:
        self.current = request
        self._body_since_s = self._since_s
        self._task = self.server.loop.create_task(self._handle(request))

    async def _handle(self, request: Request) -> None:
        try:
            await self.server.handler(request)
        except Exception:
            log.exception("unexpected")
            request.abort_response()
        finally:
            self._finished(request)

    def _finished(self, request: Request) -> None:
        self.current = self._task = None
        request.release()
        if self._transport.is_closing():
            return
        if not request.response_started or not request.end_response():
            if request.response_started and not request.complete:
                self._linger()
            else:
                self._transport.close()
            return
        self.go_on()

    def go_on(self) -> None:
        """With the next request, or wait for it."""
        self._since_s = self.server.loop.time()
        if self._pipelined:
            self._start(self._pipelined.popleft())
        elif self.server.draining and not self.server.leaving:
            # One that leaves closes nothing: the client may be sending its next request by now.
            self._transport.close()
            return
        self.resume_reading()


def check_framing(version: str, headers: Headers) -> None:
    """Raises `HttpParserError` for a request whose end may be read in two ways, though the parser takes it."""
    if version not in ("1.1", "1.0"):
        # llhttp takes a line without a version for HTTP/0.9, and one of HTTP/2 as it stands.
        raise HttpParserError(f"HTTP/{version}")
    if any(name == "transfer-encoding" for name, _ in headers) and not is_chunked(headers):
        # Another coding would be taken for the body itself, and a proxy before may see it end elsewhere.
        raise HttpParserError("a transfer coding that is not decoded here")


def framing_header(request: Request) -> bytes:
    """The header that says where a request's body ends; empty when it has none."""
    for name in ("transfer-encoding", "content-length"):
        if (value := request.header(name)) is not None:
            return f"{name}: {value}".encode("latin-1")
    return b""


def ends_connection(headers: Headers) -> bool:
    """Whether nothing may follow a request of HTTP/1.0, although it asks to be kept alive (RFC 9112, 6.1 and 9.3).

    HTTP/1.0 knows no chunks, so a proxy before may see it end elsewhere; and a word to close outweighs others.
    """
    return any(
        name == "transfer-encoding" or (name == "connection" and "close" in value.lower())
        for name, value in headers
    )


def is_chunked(headers: Headers) -> bool:
    """Whether chunks are the one transfer coding of a request, said once."""
    return [value.strip().lower() for name, value in headers if name == "transfer-encoding"] == ["chunked"]
