"""The server of a worker: its clients' connections, their deadlines, and draining them."""

from __future__ import annotations

import asyncio
import socket
from email.utils import formatdate

from freehold.gateway.http.certificate import ServerCertificate
from freehold.gateway.http.connection import HEAD_WITHIN_S, Connection
from freehold.gateway.http.handover import Handover
from freehold.gateway.http.memory import MemoryBudget
from freehold.gateway.http.request import Handler

CONNECTIONS_MAX = 16_384
BACKLOG = 4096
_SWEEP_EVERY_S = 1.0
# When draining: how long a connection that was just opened may take to say what it wants.
_NEW_CONNECTION_S = 1.0
_LOOK_EVERY_S = 0.02


class HttpServer:
    """All connections of a worker. `handler` answers one request and catches what it can.

    `memory` bounds what all of them hold of bodies and answers.
    """

    def __init__(self, handler: Handler, memory: MemoryBudget | None = None) -> None:
        self.handler = handler
        self.memory = memory or MemoryBudget()
        self.loop = asyncio.get_running_loop()
        self.connections: set[Connection] = set()
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
            lambda: Connection(self),
            sock=listener,
            backlog=BACKLOG,
            ssl=None if certificate is None else certificate.context,
            ssl_handshake_timeout=None if certificate is None else HEAD_WITHIN_S,
        )

    async def leave(self, within_s: float, stopping: asyncio.Event) -> None:
        """Accept no new connection while other workers stay, and lose no request: connections on which nothing is under
        way go to those workers, open as they are.

        A connection that cannot be given away (TLS) stays open and silent until its next request is answered, and that
        answer says that it is the last one. Ends when no connection is left, after `within_s`, or when `stopping` is
        set; what is left then is `drain`'s.
        """
        self._stop_listening()
        self.leaving = True
        self.draining = self._handover is None
        started = self.loop.time()
        while (self.connections or self._adopting) and not stopping.is_set():
            passed_s = self.loop.time() - started
            if passed_s >= within_s:
                break
            # A client that always has its next request under way never leaves its connection quiet: it is told to.
            self.draining = self.draining or passed_s > within_s / 2
            for connection in [*self.connections]:
                self.leave_to_others(connection)
            await asyncio.sleep(_LOOK_EVERY_S)
        self.leaving = False

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
            await self.loop.connect_accepted_socket(lambda: Connection(self, kept=kept), taken)
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
        while (self.connections or self._adopting) and (passed_s := self.loop.time() - started) < within_s:
            for connection in [*self.connections]:
                connection.stop(also_fresh=passed_s > _NEW_CONNECTION_S)
            await asyncio.sleep(_LOOK_EVERY_S)
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
