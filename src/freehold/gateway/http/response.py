"""The response of an endpoint: what was not read of it yet, the task that waits for more; the errors of fetching it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from freehold.gateway.http.memory import HeldBytes, MemoryBudget

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The longest answer that is held whole; one that is passed on as it comes may be of any length."""
# Up to this an answer takes no room of the budget.
FREE_BYTES = 256 * 1024
# More than this waits for a slow client: the endpoint is made to wait as well.
_WAITING_BYTES_MAX = 256 * 1024
_EVENTS = "text/event-stream"


class TransportError(Exception):
    """An exchange with an endpoint failed. The text is for the gateway's operator, never for its clients."""


class ConnectError(TransportError):
    """No connection was made: the endpoint cannot have seen the request, unless it was sent on a kept connection that
    ended before."""


class ReadTimeout(TransportError):
    """Nothing came within the read timeout."""


class RemoteProtocolError(TransportError):
    """The connection ended before the answer did, or what came was not HTTP."""


class NoRoom(TransportError):
    """The worker holds as many bytes as it may."""


class Sink(Protocol):
    """Where the chunks of a response go."""

    def write(self, chunks: list[bytes]) -> bool:
        """Pass chunks on at once; False when no more are wanted."""

    def pass_on(self, data: bytes) -> bool:
        """Send chunks on as they came framed; False where any of `data` is something else, or must be looked at: then
        nothing was done."""

    @property
    def is_full(self) -> bool:
        """`drain` before the next chunk."""

    async def drain(self) -> None:
        """Wait until there is room again."""


class UpstreamTransport(Protocol):
    """The connection a response comes over."""

    def resume_reading(self) -> None:
        """Read on, if reading was stopped."""

    def pass_chunks(self, passing: Callable[[bytes], bool]) -> None:
        """Offer what comes to `passing` first, at each border between chunks."""

    def abort(self) -> None:
        """Close at once."""


class UpstreamResponse:
    """Status and headers of a response, and its body as it comes. `close` it in the end.

    Header names are in lower case. Bodies are as the endpoint encoded them. What is held of one counts in a budget
    until it is closed. Filled by its connection (`feed_data`, `deliver`, `feed_eof`, `set_exception`), read by the
    proxy.
    """

    __slots__ = (
        "_bytes", "_chunks", "_ended", "_exception", "_first_values", "_held", "_transport", "_waiter", "_whole_bytes",
        "headers", "status",
    )  # fmt: skip

    def __init__(self, transport: UpstreamTransport, memory: MemoryBudget) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self._first_values: dict[str, str] | None = None
        self._transport: UpstreamTransport | None = transport
        self._held = HeldBytes(memory)
        self._whole_bytes = 0
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._ended = False
        self._exception: TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: str) -> str | None:
        """The first value of a header. Ask only once the headers are all here."""
        if self._first_values is None:
            self._first_values = dict(reversed(self.headers))
        return self._first_values.get(name)

    @property
    def is_stream(self) -> bool:
        return (self.header("content-type") or "").lower().startswith(_EVENTS)

    async def wait_for_head(self) -> None:
        """Wait until status and headers are here. Raises `TransportError`."""
        while not self.status:
            await self._next_event()

    async def wait_for_body(self) -> None:
        """Wait until the body has begun, or ended. Raises `TransportError`."""
        while not self._chunks and not self._ended:
            await self._next_event()

    @property
    def beginning(self) -> bytes:
        """The first chunk, once `wait_for_body` has waited for it and nothing was read; empty where there is none."""
        return self._chunks[0] if self._chunks else b""

    async def read(self) -> list[bytes]:
        """The chunks that have come since the last call, as the endpoint cut them; waits while there is none.

        Empty at the end. Raises `TransportError`, after everything that came before the trouble was read.
        """
        await self.wait_for_body()
        chunks, self._chunks = self._chunks, []
        if self._bytes > _WAITING_BYTES_MAX and self._transport is not None:
            self._transport.resume_reading()
        self._bytes = 0
        return chunks

    async def relay(self, sink: Sink) -> None:
        """Give all chunks to a sink, each as soon as it comes. Raises `TransportError`, and what `write` raises."""
        if self._transport is not None:
            self._transport.pass_chunks(sink.pass_on)
        while chunks := await self.read():
            if not sink.write(chunks):
                return
            if sink.is_full:
                await sink.drain()

    async def read_short(self, most_bytes: int) -> bytes | None:
        """The rest of a body, or None for one that is longer than that, of which no more is read. Raises
        `TransportError`."""
        length = self.header("content-length")
        if length is not None and int(length) > most_bytes:
            return None
        came: list[bytes] = []
        size = 0
        while chunks := await self.read():
            size += sum(map(len, chunks))
            if size > most_bytes:
                return None
            came += chunks
        return b"".join(came)

    async def read_all(self) -> bytes:
        """The rest of the body. Raises `TransportError`: `NoRoom`, and `RemoteProtocolError` for an answer longer than
        any may be, too."""
        long: bytearray | None = None
        while not self._ended:
            if self._bytes > _WAITING_BYTES_MAX and self._transport is not None:
                self._hold(self._bytes)
                self._bytes = 0
                # Put together as it comes: joining a long one at its end would stop the loop.
                long = bytearray() if long is None else long
                chunks, self._chunks = self._chunks, []
                for chunk in chunks:
                    long += chunk
                self._transport.resume_reading()
            await self._next_event()
        if long is None:
            return self.whole()
        for chunk in self._chunks:
            long += chunk
        self._chunks = []
        return cast("bytes", long)

    @property
    def has_ended(self) -> bool:
        """Whether all of it is here."""
        return self._ended

    def whole(self) -> bytes:
        """The body, once it has ended."""
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def close(self) -> None:
        """Hold nothing of it any more; where it has not ended, its connection is closed at once."""
        self._held.release()
        if self._transport is not None:
            self._transport.abort()

    def _hold(self, size: int) -> None:
        """Count more bytes of an answer that is held whole."""
        self._whole_bytes += size
        if self._whole_bytes > ANSWER_BYTES_MAX:
            raise RemoteProtocolError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        if self._whole_bytes > FREE_BYTES and not self._held.take(self._whole_bytes - self._held.size_bytes):
            raise NoRoom("no room for the answer")

    async def _next_event(self) -> None:
        """Wait until the connection has something to tell. Raises what has gone wrong."""
        if self._exception is not None:
            raise self._exception
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    # The connection's side

    def feed_data(self, data: bytes) -> None:
        self._chunks.append(data)
        self._bytes += len(data)

    def deliver(self) -> None:
        """Data has come: wake the task that waits for it."""
        self.wake()

    def feed_eof(self) -> None:
        self._ended = True
        self._transport = None

    def set_exception(self, error: TransportError) -> None:
        if not self._ended:
            self._exception = error
        self._transport = None
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def is_read(self) -> bool:
        """Whether all that came was read."""
        return not self._chunks

    @property
    def is_full(self) -> bool:
        return self._bytes > _WAITING_BYTES_MAX
