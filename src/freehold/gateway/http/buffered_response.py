"""An answer that arrives over a plain connection: what has come and not been taken, and who waits for it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from freehold.gateway.http.response import ClientError, Opened, Sink

# More than this waits for a slow client: the endpoint is made to wait as well.
_WAITING_BYTES_MAX = 256 * 1024


class Source(Protocol):
    """The connection an answer comes over."""

    def resume(self) -> None:
        """Read on, if reading was stopped."""

    def abort(self) -> None:
        """Close at once."""


class DirectAnswer(Opened):
    """Filled by its connection from below (`add`, `came`, `end`, `fail`), taken from above."""

    __slots__ = (
        "_bytes",
        "_chunks",
        "_connection",
        "_ended",
        "_refused",
        "_sink",
        "_trouble",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, connection: Source) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self._connection: Source | None = connection
        self._chunks: list[bytes] = []
        self._bytes = 0
        self._ended = False
        self._trouble: ClientError | None = None
        self._sink: Sink | None = None
        self._refused: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    async def head(self) -> None:
        """Wait for the status and the headers. Raises `ClientError`."""
        while not self.status:
            if self._trouble is not None:
                raise self._trouble
            await self._news()

    async def begun(self) -> None:
        while not self._chunks and not self._ended:
            if self._trouble is not None:
                raise self._trouble
            await self._news()

    async def read(self) -> list[bytes]:
        if not self._chunks and not self._ended:
            await self.begun()
        chunks, self._chunks = self._chunks, []
        if self._bytes > _WAITING_BYTES_MAX and self._connection is not None:
            self._connection.resume()
        self._bytes = 0
        return chunks

    async def relay(self, sink: Sink) -> None:
        self._sink = sink
        try:
            self._hand_on()
            while self._is_relaying():
                if sink.is_full:
                    await sink.drained()
                    self._hand_on()
                    if self._connection is not None:
                        self._connection.resume()
                elif self._ended:
                    return
                elif self._trouble is not None:
                    raise self._trouble
                else:
                    await self._news()
            if self._refused is not None:
                raise self._refused
        finally:
            self._sink = None

    async def whole(self) -> bytes:
        while not self._ended:
            if self._trouble is not None:
                raise self._trouble
            if self._bytes > _WAITING_BYTES_MAX and self._connection is not None:
                self._bytes = 0
                self._connection.resume()
            await self._news()
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.abort()

    async def _news(self) -> None:
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    # The connection's side

    def add(self, data: bytes) -> None:
        self._chunks.append(data)
        self._bytes += len(data)

    def _is_relaying(self) -> bool:
        return self._sink is not None

    def came(self) -> None:
        """Something has come: pass it on in this very turn of the loop, or wake who waits for it."""
        self._hand_on()
        if self._sink is None or self._ended or self._sink.is_full:
            self.wake()

    def _hand_on(self) -> None:
        """Give the sink what is there; who wants no more, or fails, is a sink no longer."""
        sink = self._sink
        if sink is None or not self._chunks or sink.is_full:
            return
        chunks, self._chunks = self._chunks, []
        self._bytes = 0
        try:
            wanted = sink.take(chunks)
        except Exception as error:  # noqa: BLE001  # `relay` raises it where somebody waits for it
            self._refused, wanted = error, False
        if not wanted:
            self._sink = None

    def end(self) -> None:
        self._ended = True
        self._connection = None

    def fail(self, trouble: ClientError) -> None:
        if not self._ended:
            self._trouble = trouble
        self._connection = None
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def is_full(self) -> bool:
        return self._bytes > _WAITING_BYTES_MAX
