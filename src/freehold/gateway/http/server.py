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
from freehold.gateway.http.handover import Handover
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.request import Current, Handler

CONNECTIONS_MAX = 16_384
BACKLOG = 4096
_SWEEP_EVERY_S = 1.0
# When draining: how long a connection that was just opened may take to say what it wants.
_NEW_CONNECTION_S = 1.0
_LOOK_EVERY_S = 0.02
# A worker that waits for connections which cannot be given away may do so for minutes.
_LOOK_LATER_EVERY_S, _LATER_S = 0.2, 5.0


class HttpServer:
    """All connections of a worker. `handler` answers one request and catches what it can.

    `memory` bounds what all of them hold of bodies and answers, `connection` makes one.
    """

    def __init__(
        self,
        handler: Handler,
        memory: MemoryBudget | None = None,
        connection: Callable[..., Connection] = Connection,
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
        self._handover: Handover | None = None
        self._adopting: set[asyncio.Task[object]] = set()
        self._sweeping: asyncio.TimerHandle | None = None
        self._sweep()

    @property
    def has_room(self) -> bool:
        """For one more connection."""
        return len(self.connections) < CONNECTIONS_MAX

    async def listen(
        self,
        listener: socket.socket,
        certificate: ServerCertificate | None = None,
        handover: Handover | None = None,
    ) -> None:
        """Take connections from a socket that may be shared with other workers; with a certificate, over TLS.

        With a `handover` connections of workers that leave are taken over, too; those over TLS stay where their keys
        are.
        """
        if handover is not None and certificate is None:
            self._handover = handover
            handover.begin_to_take(self.loop, self._adopt)
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
        return opening or bool(self.connections or self._adopting)

    async def leave(self, within_s: float, stopping: asyncio.Event) -> None:
        """Accept no new connection while other workers stay, and lose no request: connections on which nothing is under
        way go to those workers, open as they are.

        A connection that cannot be given away (TLS) stays open and silent until its next request is answered, and that
        answer says that it is the last one; or until it has lain idle for as long as any connection may. A request is
        cut `within_s` after this began, or after it came. Ends when no connection is left, which is within
        `deadlines.leaves_within_s`, or when `stopping` is set; what is left then is `drain`'s.
        """
        self._stop_listening()
        self.leaving = True
        self.draining = self._handover is None
        started = self.loop.time()
        while True:
            passed_s = self.loop.time() - started
            # A client that always has its next request under way never leaves its connection quiet: it is told to.
            self.draining = self.draining or passed_s > within_s / 2
            for connection in [*self.connections]:
                if not self.leave_to_others(connection) and passed_s >= within_s:
                    self._cut(connection, started + passed_s - within_s)
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

    def _cut(self, connection: Connection, since_s: float) -> None:
        if connection.runs_since(since_s):
            connection.abort()

    def leave_to_others(self, connection: Connection) -> bool:
        """Give a connection on which nothing is under way to a worker that stays; whether that was possible."""
        quiet = None if self._handover is None or not self.leaving else connection.quiet_file()
        if quiet is None or self._handover is None or not self._handover.give(quiet[0], kept=quiet[1]):
            return False
        # Only this process's file is closed: the client sees nothing of it.
        connection.abort()
        return True

    def _adopt(self, taken: socket.socket, kept: bool) -> None:
        task = self.loop.create_task(self._connect(taken, kept))
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _connect(self, taken: socket.socket, kept: bool) -> None:
        try:
            await self.loop.connect_accepted_socket(lambda: self._connection(self, kept=kept), taken)
        except OSError:  # its client has gone meanwhile
            taken.close()

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.close()
        if self._handover is not None:
            self._handover.stop_taking()

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
        if self._handover is not None:
            self._handover.close()
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
