"""The response of an endpoint, whichever client fetched it, and the errors of fetching one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, cast

from freehold.gateway.http.memory import HeldBytes, MemoryBudget

ANSWER_BYTES_MAX = 64 * 1024 * 1024
"""The longest answer that is held whole; one that is passed on as it comes may be of any length."""
# Up to this an answer takes no room of the budget.
FREE_BYTES = 256 * 1024
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


class UpstreamResponse(ABC):
    """Status and headers of a response, and its body as it comes. `close` it in the end.

    Header names are in lower case. Bodies are as the endpoint encoded them. What is held of one counts in a budget
    until it is closed.
    """

    __slots__ = ("_first_values", "_held", "_whole_bytes")

    status: int
    headers: list[tuple[str, str]]

    def __init__(self, memory: MemoryBudget) -> None:
        self._held = HeldBytes(memory)
        self._whole_bytes = 0
        self._first_values: dict[str, str] | None = None

    def _hold(self, size: int) -> None:
        """Count more bytes of an answer that is held whole.

        Raises `NoRoom`, and `RemoteProtocolError` for an answer longer than any may be.
        """
        self._whole_bytes += size
        if self._whole_bytes > ANSWER_BYTES_MAX:
            raise RemoteProtocolError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
        if self._whole_bytes > FREE_BYTES and not self._held.take(self._whole_bytes - self._held.size_bytes):
            raise NoRoom("no room for the answer")

    def header(self, name: str) -> str | None:
        """The first value of a header. Ask only once the headers are all here."""
        if self._first_values is None:
            self._first_values = dict(reversed(self.headers))
        return self._first_values.get(name)

    @property
    def is_stream(self) -> bool:
        return (self.header("content-type") or "").lower().startswith(_EVENTS)

    @abstractmethod
    async def wait_for_body(self) -> None:
        """Wait until the body has begun, or ended. Raises `TransportError`."""

    @property
    @abstractmethod
    def beginning(self) -> bytes:
        """The first chunk, once `wait_for_body` has waited for it and nothing was read; empty where there is none."""

    @abstractmethod
    async def read(self) -> list[bytes]:
        """The chunks that have come since the last call, as the endpoint cut them; waits while there is none.

        Empty at the end. Raises `TransportError`, after everything that came before the trouble was read.
        """

    async def relay(self, sink: Sink) -> None:
        """Give all chunks to a sink, each as soon as it comes. Raises `TransportError`, and what `write` raises."""
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
        """The rest of the body. Raises `TransportError`."""
        whole = bytearray()
        while chunks := await self.read():
            self._hold(sum(map(len, chunks)))
            for chunk in chunks:
                whole += chunk
        return bytes(whole) if len(whole) <= FREE_BYTES else cast("bytes", whole)

    @abstractmethod
    async def close(self) -> None:
        """Release the response; where it has not ended, its connection is closed at once."""
