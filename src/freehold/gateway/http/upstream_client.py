"""The client of endpoints.

One connection carries one exchange at a time and is reused for the next. Bytes go from the socket through the parser
(llhttp, by httptools) into the response without leaving the event loop's thread; chunks keep the borders the endpoint
gave them.

Covered: keep-alive, a connection that was closed while it waited, answers by length, by chunks and to the end of the
connection, informational answers, back-pressure, deadlines for connecting and for silence, TLS, proxies that are spoken
to by HTTP. Not covered: HTTP/2; proxies by TLS or SOCKS.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import (
    ConnectError,
    ReadTimeout,
    RemoteProtocolError,
    TransportError,
    UpstreamResponse,
)

_HEAD_BYTES_MAX = 256 * 1024
_SWEEP_EVERY_S = 1.0
# Bodies up to this are sent in one piece with their head.
_JOINED_BYTES_MAX = 64 * 1024
_KEEPS = (b"connection: close\r\n", b"")


_PROXY_ANSWER_BYTES_MAX = 16 * 1024


class Proxy(NamedTuple):
    """A proxy; `login` is the header that it wants, empty where it wants none."""

    host: str
    port: int
    login: str = ""


class Address(NamedTuple):
    """Where an endpoint listens, and the proxy on the way to it."""

    host: str
    port: int
    tls: bool = False
    proxy: Proxy | None = None


class AnswerTaker(Protocol):
    """Who asks for an answer that may be taken as it comes."""

    def take(self, data: bytes) -> UpstreamResponse | None:
        """The first bytes have come: None where they were a whole answer, else what the parser is to fill."""

    def set_exception(self, error: TransportError) -> None:
        """Nothing has come, and nothing will."""


class UpstreamConnection(asyncio.Protocol):
    """One connection to an endpoint."""

    def __init__(self, pool: UpstreamClient, address: Address) -> None:
        self._pool = pool
        self._address = address
        self._loop = pool.loop
        self._response: UpstreamResponse | None = None
        self._asker: AnswerTaker | None = None
        self._parser = HttpResponseParser(self)
        self._headers: list[tuple[str, str]] = []
        self._head_bytes = 0
        self._framed = False
        self._in_head = True
        self._codings: list[bytes] = []
        self._within_chunk = True
        self._passing: Callable[[bytes], bool] | None = None
        self._passes = False
        self._keeps = False
        self._paused = False
        self.transport: Any = None
        self.heard_s = 0.0
        self.heard_anything = False

    def send(self, data: list[bytes]) -> UpstreamResponse:
        """Send a request; its response has nothing yet."""
        response = self._response = UpstreamResponse(self, self._pool.memory)
        self._begin()
        for part in data:
            self.transport.write(part)
        return response

    def ask(self, data: bytes, asker: AnswerTaker) -> None:
        """Send a request whose answer goes to `asker` without a parser, if it wants it so."""
        self._asker = asker
        self._begin()
        self.transport.write(data)

    def _begin(self) -> None:
        self._head_bytes = 0
        self.heard_anything = False
        self.heard_s = self._loop.time()
        self._pool.busy.add(self)

    @property
    def keeps(self) -> bool:
        """Whether the endpoint that has answered takes another request."""
        return self._keeps

    def pass_chunks(self, passing: Callable[[bytes], bool]) -> None:
        """From the next border on, what comes is offered to `passing` before the parser reads it."""
        self._passing = passing if self._codings else None

    def _parse_on(self) -> None:
        """The parser goes on at a border between chunks, behind what was passed on without it."""
        keeps = self._parser.should_keep_alive()
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n" % _KEEPS[keeps])

    def abort(self) -> None:
        """Close at once; the endpoint notices and stops working."""
        self._fail(RemoteProtocolError("closed"))

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self.heard_s = self._loop.time()
            self.transport.resume_reading()

    def reading_since(self) -> float | None:
        """When the endpoint was last heard; None while reading is paused."""
        return None if self._paused else self.heard_s

    def time_out(self) -> None:
        self._fail(ReadTimeout("nothing came"))

    def _fail(self, error: TransportError) -> None:
        asker, self._asker = self._asker, None
        response, self._response = self._response, None
        self._passing = None
        self._pool.busy.discard(self)
        self.transport.abort()
        if asker is not None:
            asker.set_exception(error)
        if response is not None:
            response.set_exception(error)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if (
            self._passes
            and self._passing is not None
            and self._response is not None
            and self._response.is_read
        ):
            self.heard_s = self._loop.time()
            if self._passing(data):
                return
            self._passes = False
            self._parse_on()
        asker, response = self._asker, self._response
        if asker is None and response is None:
            # There was no request.
            self.transport.abort()
            return
        self.heard_s = self._loop.time()
        self.heard_anything = True
        if asker is not None:
            self._asker = None
            response = self._response = asker.take(data)
        if response is None:
            self._end_exchange(again=True)
            return
        problem = None
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            problem = "the endpoint wants to speak something else"
        except HttpParserError as error:
            problem = f"no HTTP: {error}"
        if self._response is None:
            # It has ended. What came behind it, and belongs to no request, must not become the next one's answer.
            response.deliver()
            self._end_exchange(again=self._keeps and problem is None)
        elif problem is not None:
            self._fail(RemoteProtocolError(problem))
        elif not response.status:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES_MAX:
                self._fail(RemoteProtocolError("headers without end"))
        else:
            response.deliver()
            if self._passing is not None:
                self._passes = not self._within_chunk and data.endswith(b"\r\n")
            if response.is_full and not self._paused and self._response is not None:
                self._paused = True
                self.transport.pause_reading()

    def _end_exchange(self, *, again: bool) -> None:
        """The response is whole; `again` says that the connection may carry another."""
        self._passing = None
        self._pool.busy.discard(self)
        if again and not self.transport.is_closing():
            if self._paused:
                self.resume_reading()
            self.heard_s = self._loop.time()
            self._pool.release(self, self._address)
        else:
            self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.discard(self, self._address)
        response = self._response
        if response is None and self._asker is None:
            return
        if error is None and response is not None and response.status and not self._framed:
            # Neither a length nor chunks: the end of the connection is the end of the response.
            self._response = None
            self._pool.busy.discard(self)
            response.feed_eof()
            response.wake()
        else:
            self._fail(RemoteProtocolError("the connection ended"))

    # httptools

    def on_message_begin(self) -> None:
        if self._response is None:
            self._keeps = False
        self._headers = []
        self._codings = []
        self._framed = False
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: what it says would be taken for the answer's own length or type
        lower = name.lower()
        if lower == b"content-length":
            self._framed = True
        elif lower == b"transfer-encoding":
            self._framed = True
            self._codings.append(value.strip().lower())
        self._headers.append((lower.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._within_chunk = False
        status, version = self._parser.get_status_code(), self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise HttpParserError(f"HTTP/{version}")
        if self._codings and (self._codings != [b"chunked"] or version == "1.0"):
            # Another coding would be taken for the body itself; HTTP/1.0 knows none.
            raise HttpParserError("a transfer coding that is not decoded here")
        # Informational answers come before the real one.
        if status >= 200 and self._response is not None and not self._response.status:
            self._response.headers = self._headers
            self._response.status = status

    def on_chunk_header(self) -> None:
        self._within_chunk = True

    def on_chunk_complete(self) -> None:
        self._within_chunk = False

    def on_body(self, data: bytes) -> None:
        if self._response is not None:
            self._response.feed_data(data)

    def on_message_complete(self) -> None:
        response = self._response
        if response is None or not response.status:
            return
        self._response = None
        self._keeps = self._parser.should_keep_alive()
        response.feed_eof()


class UpstreamClient:
    """Connections to all endpoints of a worker, kept while they are used. Make it in a running loop."""

    def __init__(
        self,
        *,
        connect_timeout_s: float,
        read_timeout_s: float,
        idle_timeout_s: float = 60.0,
        memory: MemoryBudget | None = None,
    ) -> None:
        self.memory = memory or MemoryBudget()
        self.loop = asyncio.get_running_loop()
        self.busy: set[UpstreamConnection] = set()
        self._idle: dict[Address, deque[UpstreamConnection]] = {}
        self._context: ssl.SSLContext | None = None
        self._connect_timeout_s = connect_timeout_s
        self._read_timeout_s = read_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._sweep()

    async def send(self, address: Address, head: bytes, body: bytes) -> UpstreamResponse:
        """Send a request and wait for the head of its response. Raises `TransportError`."""
        data = [head + body] if len(body) <= _JOINED_BYTES_MAX else [head, body]
        idle = self._idle.get(address)
        while True:
            connection = idle.pop() if idle else None
            if connection is not None and connection.transport.is_closing():
                continue
            used = connection is not None
            if connection is None:
                connection = await self._connect(address)
            response = connection.send(data)
            try:
                await response.wait_for_head()
            except RemoteProtocolError:
                # An endpoint may close a connection while it waits; this request crossed with that.
                if used and not connection.heard_anything:
                    continue
                raise
            except BaseException:
                connection.abort()
                raise
            return response

    async def _connect(self, address: Address) -> UpstreamConnection:
        """A connection of its own. Raises `ConnectError`."""

        def protocol() -> UpstreamConnection:
            return UpstreamConnection(self, address)

        if address.tls and self._context is None:
            self._context = ssl.create_default_context()
        secure: dict[str, Any] = {}
        if address.tls:
            secure = {"ssl": self._context, "server_hostname": address.host}
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                if address.proxy is not None and address.tls:
                    tunnel = await _through(self.loop, address.proxy, address)
                    _, connected = await self.loop.create_connection(protocol, sock=tunnel, **secure)
                else:
                    host, port, *_ = address.proxy or address
                    _, connected = await self.loop.create_connection(protocol, host, port, **secure)
        except (OSError, TimeoutError) as error:
            raise ConnectError(f"{address.host}, port {address.port}: {error}") from error
        return connected

    def idle(self, address: Address) -> deque[UpstreamConnection]:
        """The connections to an address that wait for a request, the last used behind."""
        return self._idle.setdefault(address, deque())

    def release(self, connection: UpstreamConnection, address: Address) -> None:
        self._idle.setdefault(address, deque()).append(connection)

    def discard(self, connection: UpstreamConnection, address: Address) -> None:
        idle = self._idle.get(address)
        if idle and connection in idle:
            idle.remove(connection)

    def _sweep(self) -> None:
        """Close what waited too long, then look again."""
        now = self.loop.time()
        for connection in [*self.busy]:
            since = connection.reading_since()
            if since is not None and now - since > self._read_timeout_s:
                connection.time_out()
        for idle in self._idle.values():
            # The longest unused are in front.
            while idle and now - idle[0].heard_s > self._idle_timeout_s:
                idle.popleft().transport.close()
        pause = min(_SWEEP_EVERY_S, self._read_timeout_s / 4)
        self._sweeping = self.loop.call_later(pause, self._sweep)

    async def close(self) -> None:
        """Close all connections."""
        self._sweeping.cancel()
        for connection in [*self.busy]:
            connection.abort()
        for idle in self._idle.values():
            for connection in [*idle]:
                connection.transport.close()


async def _through(loop: asyncio.AbstractEventLoop, proxy: Proxy, address: Address) -> socket.socket:
    """A connection to an endpoint over TLS through a proxy (CONNECT, RFC 9110, 9.3.6). Raises `OSError`."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    family, kind, number, _, place = (
        await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    )[0]
    tunnel = socket.socket(family, kind, number)
    tunnel.setblocking(False)
    try:
        await loop.sock_connect(tunnel, place)
        asked = f"CONNECT {host}:{address.port} HTTP/1.1\r\nhost: {host}:{address.port}\r\n{proxy.login}\r\n"
        await loop.sock_sendall(tunnel, asked.encode("latin-1"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            # The endpoint behind it says nothing before it is spoken to.
            more = await loop.sock_recv(tunnel, 4096)
            answer += more
            if not more or len(answer) > _PROXY_ANSWER_BYTES_MAX:
                raise OSError("the proxy gave no answer")
        if answer.split(b" ")[1:2] != [b"200"]:
            raise OSError(f"the proxy answered {answer[:40]!r}")
    except BaseException:
        tunnel.close()
        raise
    return tunnel
