"""A response that arrives over a plain connection: the data that was not read yet, and the task that waits for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import Sink, TransportError, UpstreamResponse

# More than this waits for a slow client: the endpoint is made to wait as well.
_WAITING_BYTES_MAX = 256 * 1024


class UpstreamTransport(Protocol):
    """The connection a response comes over."""

    def resume_reading(self) -> None:
        """Read on, if reading was stopped."""

    def pass_chunks(self, passing: Callable[[bytes], bool]) -> None:
        """Offer what comes to `passing` first, at each border between chunks."""

    def abort(self) -> None:
        """Close at once."""


class BufferedResponse(UpstreamResponse):
    """Filled by its connection (`feed_data`, `deliver`, `feed_eof`, `set_exception`), read by the proxy."""

    __slots__ = (
        "_bytes",
        "_chunks",
        "_ended",
        "_exception",
        "_transport",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, transport: UpstreamTransport, memory: MemoryBudget) -> None:
        super().__init__(memory)
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self._transport: UpstreamTransport | None = transport
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._ended = False
        self._exception: TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def wait_for_head(self) -> None:
        """Wait until status and headers are here. Raises `TransportError`."""
        while not self.status:
            if self._exception is not None:
                raise self._exception
            await self._next_event()

    async def wait_for_body(self) -> None:
        while not self._chunks and not self._ended:
            if self._exception is not None:
                raise self._exception
            await self._next_event()

    @property
    def beginning(self) -> bytes:
        return self._chunks[0] if self._chunks else b""

    async def read(self) -> list[bytes]:
        if not self._chunks and not self._ended:
            await self.wait_for_body()
        chunks, self._chunks = self._chunks, []
        if self._bytes > _WAITING_BYTES_MAX and self._transport is not None:
            self._transport.resume_reading()
        self._bytes = 0
        return chunks

    async def relay(self, sink: Sink) -> None:
        if self._transport is not None:
            self._transport.pass_chunks(sink.pass_on)
        await super().relay(sink)

    async def read_all(self) -> bytes:
        long: bytearray | None = None
        while not self._ended:
            if self._exception is not None:
                raise self._exception
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

    async def close(self) -> None:
        self.let_go()

    def let_go(self) -> None:
        """Hold nothing of it any more; where it has not ended, its connection is closed."""
        self._held.release()
        if self._transport is not None:
            self._transport.abort()

    def _next_event(self) -> asyncio.Future[None]:
        """Done as soon as the connection has something to tell."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        return waiter

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
