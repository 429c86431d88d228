"""Connections of a worker that leaves, on their way to one that stays.

A server that closes a kept connection while its client sends the next request on it loses that request, and no header
can prevent that: the client sees the close only after it has sent (RFC 9112, sections 9.3 to 9.6). So a worker that is
renewed does not close what its clients may use again. It sends the open file of each connection on which nothing is
under way through a pair of Unix sockets (SCM_RIGHTS, unix(7)) that all workers of a gateway share; whichever serving
worker is free takes it and goes on. What the client has sent meanwhile waits in the connection itself.

Not covered: TLS, whose keys live in the process; operating systems without SOCK_SEQPACKET between processes (macOS).
There a worker answers the next request of each connection with ``Connection: close``, and waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence

_AT_ONCE = 64
_FRESH, _KEPT = b"f", b"k"


def open_pair() -> tuple[socket.socket, socket.socket] | None:
    """The pair for the workers of one gateway: to give, and to take; None where the system has none."""
    try:
        return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    except (AttributeError, OSError):
        return None


class Handover:
    """A worker's two ends. Each message is one open file, and whether its client has sent a request on it before: one
    that has not is waited for as briefly as where it was accepted."""

    def __init__(self, give: socket.socket, take: socket.socket) -> None:
        self._give, self._take = give, take
        for end in (give, take):
            end.setblocking(False)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._took: Callable[[socket.socket, bool], None] = lambda taken, kept: taken.close()

    @classmethod
    def of_files(cls, numbers: Sequence[str]) -> Handover | None:
        """From the numbers of two open files, as a worker is told them; None where it is told none."""
        if len(numbers) != 2:
            return None
        return cls(socket.socket(fileno=int(numbers[0])), socket.socket(fileno=int(numbers[1])))

    def give(self, number: int, *, kept: bool) -> bool:
        """Send an open file, which stays open here as well; False when no worker is there to take it, or too many are
        on their way already."""
        try:
            socket.send_fds(self._give, [_KEPT if kept else _FRESH], [number])
        except OSError:
            return False
        return True

    def begin_to_take(
        self, loop: asyncio.AbstractEventLoop, took: Callable[[socket.socket, bool], None]
    ) -> None:
        """From now on `took` is called with each connection that comes, and whether it was kept after a request."""
        self._loop, self._took = loop, took
        loop.add_reader(self._take.fileno(), self._receive)

    def stop_taking(self) -> None:
        """Leave what comes to the others. Where none is left, `give` says so, and what is on its way is closed."""
        if self._loop is not None:
            self._loop.remove_reader(self._take.fileno())
            self._loop = None
        self._take.close()

    def close(self) -> None:
        """Neither take nor give any more."""
        self.stop_taking()
        self._give.close()

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, numbers, _, _ = socket.recv_fds(self._take, 1, 1)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self.stop_taking()
                return
            if not data:
                # No worker nor the main process can give any more.
                self.stop_taking()
                return
            for number in numbers:
                with contextlib.suppress(OSError):
                    taken = socket.socket(fileno=number)
                    taken.setblocking(False)
                    self._took(taken, data != _FRESH)
