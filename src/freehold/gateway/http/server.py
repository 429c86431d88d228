"""The server of a worker: its clients' connections, their deadlines, and draining them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from email.utils import formatdate
from weakref import WeakSet

from freehold.gateway import deadlines
from freehold.gateway.http.certificate import ServerCertificate
from freehold.gateway.http.connection import Connection
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.request import ConnectionHost, Current, Handler

CONNECTIONS_MAX = 16_384
BACKLOG = 4096
_SWEEP_EVERY_S = 1.0
# When draining: how long a connection that was just opened may take to say what it wants.
_NEW_CONNECTION_S = 1.0
_LOOK_EVERY_S = 0.02
# A worker that leaves may wait for its clients for minutes.
_LOOK_LATER_EVERY_S, _LATER_S = 0.2, 5.0


class HttpServer:
    """All connections of a worker. `handler` answers one request and catches what it can.

    `memory` bounds what all of them hold of bodies and answers, `connection` makes one.
    """

    def __init__(
        self,
        handler: Handler,
        memory: MemoryBudget | None = None,
        connection: Callable[[ConnectionHost], Connection] = Connection,
    ) -> None:
        self.handler = handler
        self._connection = connection
        self.memory = memory or MemoryBudget()
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
        # Accepted, and not open yet: over TLS for as long as their handshake takes.
        self.opening: WeakSet[Connection] = WeakSet()
        self.draining = self.leaving = False
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
            self._accept,
            sock=listener,
            backlog=BACKLOG,
            ssl=None if certificate is None else certificate.context,
            ssl_handshake_timeout=None if certificate is None else deadlines.HEAD_WITHIN_S,
        )

    def _accept(self) -> Connection:
        connection = self._connection(self)
        self.opening.add(connection)
        return connection

    @property
    def _has_clients(self) -> bool:
        now_s = self.loop.time()
        opening = any(not one.is_overdue(now_s) for one in self.opening)
        return opening or bool(self.connections)

    async def leave(self, within_s: float, stopping: asyncio.Event) -> None:
        """Accept no new connection while other workers stay, and lose no request.

        A server that closes a kept connection while its client sends the next request on it loses that request, and no
        header can prevent that (RFC 9112, sections 9.3 to 9.6). So each connection stays open and silent until its next
        request is answered, and that answer says that it is the last one; or until it has lain idle for as long as any
        connection may. A request is cut `within_s` after this began, or after it came. Ends when no connection is left,
        which is within `deadlines.leaves_within_s`, or when `stopping` is set; what is left then is `drain`'s.
        """
        self._stop_listening()
        self.leaving = self.draining = True
        started = self.loop.time()
        while True:
            passed_s = self.loop.time() - started
            for connection in [*self.connections]:
                if passed_s >= within_s and connection.runs_since(started + passed_s - within_s):
                    connection.abort()
            # Before the first look: what was accepted in this turn of the loop is not there yet.
            await asyncio.sleep(_LOOK_EVERY_S if passed_s < _LATER_S else _LOOK_LATER_EVERY_S)
            if stopping.is_set() or not self._has_clients:
                break
        self.leaving = False

    def end(self, is_over: Callable[[Current], bool]) -> None:
        """Cut the requests under way of which this is true, as if their clients had gone."""
        for connection in [*self.connections]:
            request = connection.current
            if request is not None and request.cancel_on_disconnect and is_over(request):
                connection.abort()

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()

    async def drain(self, within_s: float) -> None:
        """Accept no new connection, let running answers end, then close the rest."""
        self.draining = True
        self._stop_listening()
        started = self.loop.time()
        while True:
            passed_s = self.loop.time() - started
            for connection in [*self.connections]:
                connection.stop(also_fresh=passed_s > _NEW_CONNECTION_S)
            await asyncio.sleep(_LOOK_EVERY_S)
            if not self._has_clients or self.loop.time() - started >= within_s:
                break
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
