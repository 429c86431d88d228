"""A connection to an endpoint that continues as a WebSocket: once both sides agree, bytes are passed on unread.

Covered: plain and over TLS, back-pressure both ways, an endpoint that declines (its answer is read, up to a bound), one
that says something else than HTTP, and ends of either side.
"""

from __future__ import annotations

import asyncio
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from freehold.gateway.http.request import Request
from freehold.gateway.http.response import ReadTimeout, RemoteProtocolError, TransportError
from freehold.gateway.http.upstream_client import Address, UpstreamClient

_HEAD_BYTES_MAX = 64 * 1024
_DECLINED_BYTES_MAX = 256 * 1024
SWITCHED = 101


class Tunnel(asyncio.Protocol):
    """An endpoint's side of it: its answer to the offer first (`status`, `headers`, `body`), then its bytes."""

    def __init__(self, head: bytes) -> None:
        self._loop = asyncio.get_running_loop()
        self._head = head
        self._parser: Any = HttpResponseParser(self)
        self._transport: Any = None
        self._client: Request | None = None
        self._early = b""
        self._read_bytes = 0
        self._resuming: asyncio.Task[None] | None = None
        self.answered: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.is_full = False

    def join(self, client: Request) -> None:
        """Pass bytes on between the endpoint and a client from now on."""
        self._client = client
        client.switch_protocols(self._spoken(), self)
        if self._early:
            self._to_client(self._early)

    def _spoken(self) -> list[tuple[str, str]]:
        return [
            pair for pair in self.headers if pair[0] not in ("connection", "upgrade", "server", "set-cookie")
        ]

    def close(self) -> None:
        """End it at once."""
        if self._resuming is not None:
            self._resuming.cancel()
        if self._transport is not None:
            self._transport.abort()

    def receive(self, data: bytes) -> None:
        """Bytes of the client."""
        if not self._transport.is_closing():
            self._transport.write(data)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.write(self._head)

    def data_received(self, data: bytes) -> None:
        if self._client is not None:
            self._to_client(data)
            return
        self._read_bytes += len(data)
        if self.status == SWITCHED:
            self._early += data
        else:
            try:
                self._parser.feed_data(data)
            except HttpParserUpgrade as switched:
                self._early = data[switched.args[0] :]
            except HttpParserError as error:
                self._fail(RemoteProtocolError(f"no HTTP: {error}"))
        bound = _DECLINED_BYTES_MAX if self.status else _HEAD_BYTES_MAX
        if self._read_bytes > bound:
            self._fail(RemoteProtocolError("an answer to an offer without end"))

    def _to_client(self, data: bytes) -> None:
        client = self._client
        assert client is not None
        client.transport.write(data)
        if client.is_full and self._resuming is None:
            self._transport.pause_reading()
            self._resuming = self._loop.create_task(self._resume(client))

    async def _resume(self, client: Request) -> None:
        await client.drain()
        self._resuming = None
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if self._client is not None:
            self._client.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.answered.done() and self.status and error is None:
            self._settle()  # the end of the connection is the end of what it said
        self._fail(RemoteProtocolError("the connection ended"))
        if not self.ended.done():
            self.ended.set_result(None)

    def _fail(self, error: TransportError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self._transport.abort()

    def _settle(self) -> None:
        if not self.answered.done():
            self.answered.set_result(None)

    # httptools

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower().decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == SWITCHED and not self._parser.should_upgrade():
            raise HttpParserError("it accepts without saying what (RFC 9110, 7.8)")
        if status == SWITCHED:
            self.status = status
            self._settle()
        elif status >= 200:
            self.status = status

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        if self.status:
            self._settle()


async def dig(client: UpstreamClient, address: Address, head: bytes, *, within_s: float) -> Tunnel:
    """Offer an endpoint to continue as a WebSocket, and wait for its answer. Raises `TransportError`."""
    tunnel = await client.connect(address, lambda: Tunnel(head))
    try:
        async with asyncio.timeout(within_s):
            await asyncio.shield(tunnel.answered)
    except TimeoutError:
        tunnel.answered.cancel()
        tunnel.close()
        raise ReadTimeout("no answer to an offer") from None
    except asyncio.CancelledError:
        tunnel.close()
        raise
    return tunnel
