"""The server of a worker: its clients' connections, their deadlines, and draining them."""

from __future__ import annotations

import asyncio
import socket
from email.utils import formatdate

from freehold.gateway.http.certificate import ServerCertificate
from freehold.gateway.http.connection import HEAD_WITHIN_S, Connection, Handler
from freehold.gateway.http.memory import MemoryBudget

CONNECTIONS_MAX = 16_384
BACKLOG = 4096
_SWEEP_EVERY_S = 1.0
# When draining: how long a connection that was just opened may take to say what it wants.
_NEW_CONNECTION_S = 1.0


class HttpServer:
    """All connections of a worker. `handler` answers one request and catches what it can.

    `memory` bounds what all of them hold of bodies and answers.
    """

    def __init__(self, handler: Handler, memory: MemoryBudget | None = None) -> None:
        self.handler = handler
        self.memory = memory or MemoryBudget()
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        self.draining = False
        self.date = b""
        self._listening: asyncio.Server | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweep()

    @property
    def has_room(self) -> bool:
        """For one more connection."""
        return len(self.connections) < CONNECTIONS_MAX

    async def listen(self, listener: socket.socket, certificate: ServerCertificate | None = None) -> None:
        """Take connections from a socket that may be shared with other workers; with a certificate, over TLS."""
        self._listening = await self.loop.create_server(
            lambda: Connection(self),
            sock=listener,
            backlog=BACKLOG,
            ssl=None if certificate is None else certificate.context,
            ssl_handshake_timeout=None if certificate is None else HEAD_WITHIN_S,
        )

    async def drain(self, within_s: float) -> None:
        """Accept no new connection, let running answers end, then close the rest."""
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        started = self.loop.time()
        while self.connections and (passed_s := self.loop.time() - started) < within_s:
            for connection in [*self.connections]:
                connection.stop(also_fresh=passed_s > _NEW_CONNECTION_S)
            await asyncio.sleep(0.02)
        for connection in [*self.connections]:
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    def _sweep(self) -> None:
        """Once a second: update the date, and close connections whose clients keep the server waiting."""
        self.date = formatdate(usegmt=True).encode()
        now = self.loop.time()
        for connection in [*self.connections]:
            if connection.is_overdue(now):
                connection.abort()
        self.memory.sweep()
        self._sweeping = self.loop.call_later(_SWEEP_EVERY_S, self._sweep)
