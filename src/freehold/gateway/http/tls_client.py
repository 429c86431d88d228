"""The client for endpoints behind TLS, a proxy or a password: pyreqwest."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import ConnectError as ConnectFailed
from pyreqwest.exceptions import ConnectTimeoutError, RequestError
from pyreqwest.http import Url

from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.response import (
    ConnectError,
    ReadTimeout,
    RemoteProtocolError,
    TransportError,
    UpstreamResponse,
)


class TlsResponse(UpstreamResponse):
    """An answer that pyreqwest fetches."""

    __slots__ = ("_answer", "_first", "_request", "headers", "status")

    def __init__(self, request: Any, answer: Any, memory: MemoryBudget) -> None:
        super().__init__(memory)
        self._request = request
        self._answer = answer
        self._first: list[bytes] | None = None
        self.status = answer.status
        self.headers = _headers_of(answer)

    async def wait_for_body(self) -> None:
        if self._first is None:
            self._first = await self._next()

    @property
    def beginning(self) -> bytes:
        return self._first[0] if self._first else b""

    async def read(self) -> list[bytes]:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await self._next()

    async def _next(self) -> list[bytes]:
        try:
            chunk = await self._answer.body_reader.read_chunk()
        except RequestError as error:
            raise _transport_error(error) from error
        return [] if chunk is None else [chunk.to_bytes()]

    async def close(self) -> None:
        self._held.release()
        await self._request.__aexit__(None, None, None)


class TlsClient:
    """One pool of connections to all such endpoints of a worker."""

    def __init__(self, memory: MemoryBudget, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        self._memory = memory
        self._client = (
            ClientBuilder()
            .gzip(False)
            .brotli(False)
            .zstd(False)
            .deflate(False)
            .follow_redirects(False)
            .referer(False)
            .http1_lower_case_headers()
            .connect_timeout(timedelta(seconds=connect_timeout_s))
            .read_timeout(timedelta(seconds=read_timeout_s))
            .pool_max_idle_per_host(4096)
            .pool_idle_timeout(timedelta(seconds=60))
            .build()
        )

    async def send(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes | None
    ) -> TlsResponse:
        """Send a request and wait for the head of its answer. Raises `TransportError`."""
        builder = self._client.request(method, Url(url)).headers(headers)
        if body is not None:
            builder = builder.body_bytes(bytes(body))
        return await self._send(builder)

    async def send_pieces(
        self, method: str, url: str, headers: list[tuple[str, str]], pieces: AsyncIterator[list[bytes]]
    ) -> TlsResponse:
        """The same for a body that comes in pieces, of the length that the headers say or of none."""
        builder = self._client.request(method, Url(url)).headers(headers).body_stream(_joined(pieces))
        return await self._send(builder)

    async def _send(self, builder: Any) -> TlsResponse:
        # With any other limit pyreqwest reads ahead before it hands over the head, and streams stall.
        request = builder.streamed_read_buffer_limit(0).build_streamed()
        try:
            answer = await request.__aenter__()
        except RequestError as error:
            raise _transport_error(error) from error
        if answer.status < 200:
            # Nothing was offered, and a client would take what follows for another protocol.
            await request.__aexit__(None, None, None)
            raise RemoteProtocolError("the endpoint wants to speak something else")
        return TlsResponse(request, answer, self._memory)

    async def close(self) -> None:
        await self._client.close()


async def _joined(pieces: AsyncIterator[list[bytes]]) -> AsyncIterator[bytes]:
    async for some in pieces:
        yield some[0] if len(some) == 1 else b"".join(some)


def _headers_of(answer: Any) -> list[tuple[str, str]]:
    """The headers of an answer, without those that pyreqwest cannot tell: of other bytes than ASCII's, as the name of a
    file may be."""
    try:
        return list(answer.headers.items())
    except ValueError:
        pass
    told: list[tuple[str, str]] = []
    for name in dict.fromkeys(answer.headers.keys()):
        with contextlib.suppress(ValueError):
            told += [(name, value) for value in answer.headers.getall(name)]
    return told


def _transport_error(error: RequestError) -> TransportError:
    # pyreqwest says ConnectTimeoutError for any wait before the head; the causes know whether it connected.
    causes = str(error.details.get("causes")).lower()
    if isinstance(error, ConnectFailed) or (isinstance(error, ConnectTimeoutError) and "connect" in causes):
        return ConnectError(f"{error} {causes}")
    if isinstance(error, TimeoutError):
        return ReadTimeout(str(error))
    return RemoteProtocolError(str(error))
