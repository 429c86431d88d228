"""A client's request, and the response to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, cast
from weakref import WeakSet

import msgspec

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import TransportError, UpstreamResponse
from freehold.types.endpoint import Endpoint
from freehold.wire.errors import ApiError

STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
_WITHOUT_BODY = frozenset((204, 304))
# Bodies up to this are sent in one piece with their head.
_JOINED_BYTES_MAX = 64 * 1024
_UNREAD_BYTES_MAX = 256 * 1024
# A body whose length is not known takes room in steps.
_STEP_BYTES = 256 * 1024
_JOINED_BODY_BYTES_MAX = 1024 * 1024
_RETRY_AFTER_S = 2.0

Headers = list[tuple[str, str]]
Handler = Callable[["Request"], Awaitable[None]]


class Current(Protocol):
    """What a connection is answering."""

    @property
    def cancel_on_disconnect(self) -> bool:
        """Whether its task is to be ended when the client goes."""

    def header(self, name: str) -> str | None:
        """The first value of a header."""

    def connection_lost(self) -> None:
        """The client has gone."""


class ServerState(Protocol):
    """What a request needs to know of the server: whether it drains (each answer is the last one of its connection),
    the current ``Date`` header, the room there is."""

    draining: bool
    date: bytes
    memory: MemoryBudget


class ConnectionHost(ServerState, Protocol):
    """What a connection needs of its server."""

    handler: Handler
    loop: asyncio.AbstractEventLoop
    connections: set[Any]
    opening: WeakSet[Any]
    leaving: bool

    @property
    def has_room(self) -> bool:
        """For one more connection."""


class ClientTransport(Protocol):
    """A request's connection, as the request sees it."""

    writing_paused: bool

    @property
    def has_next(self) -> bool:
        """Whether the client has sent another request ahead."""

    @property
    def server(self) -> ServerState:
        """What it shares with the others."""

    def write(self, data: bytes) -> None:
        """Send bytes; nothing happens once the client has gone."""

    async def drain(self) -> None:
        """Wait until there is room again."""

    def resume_reading(self) -> None:
        """The body is wanted now."""


class ClientDisconnect(Exception):
    """The client left before its request was whole."""


class FirstTry(NamedTuple):
    """What an endpoint that was asked already has answered, or why it did not; `asked_s` as `time.perf_counter`."""

    endpoint: Endpoint
    asked_s: float
    outcome: UpstreamResponse | TransportError

    def let_go(self) -> None:
        """The answer is not wanted."""
        if isinstance(self.outcome, UpstreamResponse):
            self.outcome.close()


class Began(NamedTuple):
    """What was done of a request before its task: its id, when it came, the number by which its arm was drawn, and what
    has let it in where it is under limits."""

    id: str
    at_ms: int
    started_s: float
    draw: float | None
    admission: Any = None


class Request(msgspec.Struct, eq=False):
    """A request and its response. Header names are in lower case, `first_values` has the first value of each.

    A handler that sets `cancel_on_disconnect` is cancelled as soon as the client disconnects. A struct for its speed
    alone: as many fields set one by one cost every request a microsecond.
    """

    transport: ClientTransport
    method: str
    path: str
    query_string: str
    headers: Headers
    first_values: dict[str, str]
    supports_chunks: bool = True
    keep_alive: bool = True
    expects_continue: bool = False
    complete: bool = False
    disconnected: bool = False
    cancel_on_disconnect: bool = False
    response_started: bool = False
    _body: list[bytes] = []
    _body_bytes: int = 0
    _long: bytearray | None = None
    _held_bytes: int = 0
    _is_watched: bool = False
    _refused: bool = False
    began: Began | None = None
    first_try: FirstTry | None = None
    _max_bytes: int | None = None
    _waiter: asyncio.Future[None] | None = None
    _chunked: bool = False
    _bytes_left: int | None = None

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return self.first_values.get(name)

    @property
    def has_two_hosts(self) -> bool:
        """Whether it names more than one host."""
        # Seldom is any header there twice, and then it is seldom this one.
        return (
            len(self.first_values) != len(self.headers)
            and sum(name == "host" for name, _ in self.headers) > 1
        )

    async def body(self, max_bytes: int) -> bytes:
        """The whole body; the room it takes is returned by `release`.

        Raises `ApiError` (413) beyond `max_bytes`, `ApiError` (503) where there is no room for it, or
        `ClientDisconnect`.
        """
        if self.complete and len(self._body) == 1 and self._body_bytes <= max_bytes:
            # Most come with their head.
            return self._body.pop()
        length = self.header("content-length")
        if length is not None:
            if int(length) > max_bytes:
                raise ApiError(413, f"the request body has {length} bytes, at most {max_bytes} are accepted")
            self._hold(int(length))
        self._max_bytes = max_bytes
        self.transport.resume_reading()
        if not self.complete and not self._refused:
            self._is_watched = True
            self.transport.server.memory.begin(self)
        while not self.complete and self._body_bytes <= max_bytes:
            if self.disconnected:
                raise ClientDisconnect
            if self._refused:
                break
            if self.expects_continue:
                self.expects_continue = False
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
            self._waiter = None
        if self._refused:
            raise no_room()
        if self._body_bytes > max_bytes:
            raise ApiError(413, f"the request body has more than {max_bytes} bytes")
        if self._long is not None:
            long, self._long = self._long, None
            # A bytearray serves wherever a long body goes; a copy of it as bytes would stop the loop.
            return cast("bytes", long)
        if len(self._body) > 1:
            self._body = [b"".join(self._body)]
        return self._body.pop() if self._body else b""

    def hold_copy(self, size: int) -> None:
        """Count a changed copy of the body, as the endpoint is sent it."""
        self._held_bytes += size
        self.transport.server.memory.force(size)

    def release(self) -> None:
        """Return the room that the body took."""
        self._unwatch()
        if self.first_try is not None:
            self.first_try.let_go()
            self.first_try = None
        self._body.clear()
        self._long = None
        if self._held_bytes:
            self.transport.server.memory.give(self._held_bytes)
            self._held_bytes = 0

    # Answering

    def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send a whole answer."""
        self.response_started = True
        self._bytes_left = 0
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers if name != "content-length"])
        head = self._head(status, b"%bcontent-length: %d\r\n" % (_as_bytes(lines), len(body)))
        if self.method == "HEAD":
            body = b""
        if len(body) <= _JOINED_BYTES_MAX:
            self.transport.write(head + body)
        else:
            self.transport.write(head)
            self.transport.write(body)

    def start_response(self, status: int, headers: Headers) -> None:
        """Send the head of an answer whose body follows by `send`; it is over when the handler returns."""
        self.response_started = True
        self._bytes_left = next((int(value) for name, value in headers if name == "content-length"), None)
        lines = _as_bytes("".join([f"{name}: {value}\r\n" for name, value in headers]))
        if status in _WITHOUT_BODY:
            self._bytes_left = 0
        elif self._bytes_left is None and self.supports_chunks:
            self._chunked = True
            lines += b"transfer-encoding: chunked\r\n"
        elif self._bytes_left is None:
            self.keep_alive = False
        self.transport.write(self._head(status, lines))

    def send(self, chunks: list[bytes]) -> None:
        """Send pieces of the body, each as a chunk of its own. Wait for `drain` before the next while `is_full`."""
        if self._chunked:
            if len(chunks) > 1:
                data = b"".join([b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk])
            else:
                data = b"%x\r\n%b\r\n" % (len(chunks[0]), chunks[0]) if chunks and chunks[0] else b""
        else:
            data = b"".join(chunks)
            if self._bytes_left is not None:
                self._bytes_left -= len(data)
        if data:
            self.transport.write(data)

    @property
    def takes_chunks(self) -> bool:
        """Whether pieces may be sent as chunks that are framed already."""
        return self._chunked

    @property
    def is_full(self) -> bool:
        """The client reads more slowly than it is sent data."""
        return self.transport.writing_paused

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent."""
        await self.transport.drain()

    def abort_response(self) -> None:
        """End the connection without the end of the response, so that it is not taken for a complete one."""
        self._chunked = self.keep_alive = False
        self._bytes_left = -1

    def end_response(self) -> bool:
        """Say that the answer is over; False when no other can follow on this connection."""
        if self._chunked:
            self.transport.write(b"0\r\n\r\n")
        elif self._bytes_left:
            return False
        return self.keep_alive

    def _head(self, status: int, lines: bytes) -> bytes:
        server = self.transport.server
        # The unread rest of a request would be taken for the next one. What the client sent ahead is answered first.
        is_last = server.draining and not self.transport.has_next
        self.keep_alive = self.keep_alive and self.complete and not is_last
        if not self.keep_alive:
            lines += b"connection: close\r\n"
        elif not self.supports_chunks:
            lines += b"connection: keep-alive\r\n"
        line = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        return b"%b%bdate: %b\r\n\r\n" % (line, lines, server.date)

    # The connection's side

    def feed_data(self, data: bytes) -> None:
        """A piece of the body has come."""
        self._body_bytes += len(data)
        if self._body_bytes > self._held_bytes and not self._refused:
            self._hold(
                max(self._body_bytes, self._held_bytes + _STEP_BYTES) if self._held_bytes else len(data)
            )
        if self._refused:
            return
        # Beyond the limit nothing is stored: the handler says 413, and the connection ends.
        if self._max_bytes is None or self._body_bytes <= self._max_bytes:
            if self._long is not None:
                self._long += data
            elif self._body_bytes <= _JOINED_BODY_BYTES_MAX:
                self._body.append(data)
            else:
                # Put together as it comes: joining a long one at its end would stop the loop for everybody.
                self._long = bytearray().join([*self._body, data])
                self._body.clear()
        else:
            self._wake()

    def _hold(self, size: int) -> None:
        """Have room for `size` bytes of the body, or refuse it."""
        more = size - self._held_bytes
        if more <= 0:
            return
        memory = self.transport.server.memory
        if memory.take(more):
            # Added, not set: it may itself have been the upload that had to make room.
            self._held_bytes += more
        else:
            self.evict()

    @property
    def received_bytes(self) -> int:
        return self._body_bytes

    def evict(self) -> None:
        """There is no room for the body any more: forget what came of it."""
        self._refused = True
        self.release()
        self._wake()

    @property
    def is_overflowing(self) -> bool:
        """Much of the body has come, and the handler has not asked for it."""
        return self._max_bytes is None and self._body_bytes > _UNREAD_BYTES_MAX

    def feed_eof(self) -> None:
        """The request has come to its end."""
        self.complete = True
        self._unwatch()
        self._wake()

    def _unwatch(self) -> None:
        """The body need not make progress any more."""
        if self._is_watched:
            self._is_watched = False
            self.transport.server.memory.end(self)

    def connection_lost(self) -> None:
        """The client has gone."""
        self.disconnected = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def no_room() -> ApiError:
    """The worker holds as many bytes of requests and answers as it may."""
    return ApiError(
        503,
        "the gateway has no room for this request at the moment; try again shortly",
        code="over_capacity",
        retry_after_s=_RETRY_AFTER_S,
    )


def _as_bytes(lines: str) -> bytes:
    return lines.encode("latin-1", "replace")
