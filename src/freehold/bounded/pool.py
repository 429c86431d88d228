"""Ask for jobs: from an event loop of a few nurseries (`BoundedPool`), without a loop of one (`BoundedCaller`). Each is
started when it is first needed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from typing import Any, cast

from freehold.bounded.nursery import PREFIX_BYTES, Head, decoded, encoded, receive, send, sizes_of
from freehold.environment import inherited

log = logging.getLogger("freehold.bounded")
_STARTS_WITHIN_S = 30.0
_COPIED_BYTES_MAX = 256 * 1024


class OutOfBoundsError(Exception):
    """A job was not finished.

    `why`: ``time``, ``memory``, ``died``, ``failed``, or ``busy`` where it was never begun.
    """

    def __init__(self, why: str, detail: str = "") -> None:
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why = why


class _Replies(asyncio.Protocol):
    """Takes replies apart as they come; a long part is put together piece by piece, never copied whole."""

    def __init__(self) -> None:
        self._reply: asyncio.Future[tuple[Head, list[bytes]]] | None = None
        self._begin()
        self.transport: Any = None
        self.is_open = True

    def _begin(self) -> None:
        self._front = bytearray()
        self._head: Head | None = None
        self._parts: list[bytearray] = []

    def expect(self) -> asyncio.Future[tuple[Head, list[bytes]]]:
        self._reply = asyncio.get_running_loop().create_future()
        return self._reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(EOFError("the nursery has ended"))

    def data_received(self, data: bytes) -> None:
        if self._head is None:
            self._front += data
            if len(self._front) < PREFIX_BYTES:
                return
            end = PREFIX_BYTES + sizes_of(bytes(self._front[:PREFIX_BYTES]))[0]
            if len(self._front) < end:
                return
            self._head = decoded(bytes(self._front[PREFIX_BYTES:end]))
            data = bytes(self._front[end:])
            self._parts.append(bytearray())
        self._fill(self._head, data)

    def _fill(self, head: Head, data: bytes) -> None:
        while len(self._parts) <= len(head.sizes):
            part, size = self._parts[-1], head.sizes[len(self._parts) - 1]
            missing = size - len(part)
            if len(data) < missing:
                part += data
                return
            part += data[:missing]
            data = data[missing:]
            self._parts.append(bytearray())
        if self._reply is not None and not self._reply.done():
            # A long part stays as it is: turned into bytes it would be copied, and stop the loop.
            parts = [cast("bytes", p) if len(p) > _COPIED_BYTES_MAX else bytes(p) for p in self._parts[:-1]]
            self._reply.set_result((head, parts))
        self._begin()


class _Nursery:
    """The caller's side of one nursery."""

    def __init__(self, process: subprocess.Popen[bytes], replies: _Replies) -> None:
        self.process = process
        self._replies = replies

    @classmethod
    async def start(cls, module: str) -> _Nursery:
        mine, its = socket.socketpair()
        try:
            # Not in a thread: one whose caller has given up goes on, with a socket whose number is another's by then.
            process = start_nursery(module, its)
        except BaseException:
            mine.close()
            raise
        finally:
            its.close()
        replies = _Replies()
        try:
            await asyncio.get_running_loop().create_connection(lambda: replies, sock=mine)
        except BaseException:
            mine.close()
            process.kill()
            process.wait()
            raise
        return cls(process, replies)

    @property
    def is_alive(self) -> bool:
        """Whether its end was not seen yet: it may be ended from outside while it waits for a job."""
        return self._replies.is_open

    async def ask(self, head: Head, parts: Sequence[bytes]) -> tuple[Head, list[bytes]]:
        reply = self._replies.expect()
        transport = self._replies.transport
        for piece in (encoded(head), *parts):
            if piece and self.is_alive:
                transport.write(piece)
        if not self.is_alive:
            raise EOFError("the nursery has ended")
        return await reply

    def end(self) -> None:
        """End it with its runner, which sees that its nursery is gone."""
        self._replies.transport.abort()
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()


def start_nursery(module: str, link: socket.socket) -> subprocess.Popen[bytes]:
    """A nursery of a module's jobs, which talks over the other end of `link`."""
    command = [sys.executable, "-m", "freehold.bounded.nursery", module]
    return subprocess.Popen(
        command,
        stdin=link.fileno(),
        stdout=subprocess.DEVNULL,
        # What is read there is a stranger's: if that takes the process over, it finds no key.
        env=inherited(os.environ),
        start_new_session=True,
    )


class BoundedPool:
    """Runs the jobs of a module, at most `processes` at once; `waiting` more wait for their turn."""

    def __init__(self, module: str, *, processes: int = 2, waiting: int = 32) -> None:
        self._module = module
        self._room = processes + waiting
        self._asked = 0
        self._turn = asyncio.Semaphore(processes)
        self._free: list[_Nursery] = []
        self._all: set[_Nursery] = set()

    async def run(
        self, job: str, parts: Sequence[bytes], *, cpu_s: float, wall_s: float, memory_bytes: int = 0
    ) -> list[bytes]:
        """What a job makes of its parts.

        `cpu_s` bounds its processor time, `wall_s` the time by the clock from its start, `memory_bytes` the address
        space of its process (0: no bound). Raises `OutOfBoundsError`.
        """
        if self._asked >= self._room:
            raise OutOfBoundsError("busy")
        self._asked += 1
        try:
            async with self._turn:
                return await self._ask(Head([*map(len, parts)], job, cpu_s, wall_s, memory_bytes), parts)
        finally:
            self._asked -= 1

    async def _ask(self, head: Head, parts: Sequence[bytes]) -> list[bytes]:
        nursery = self._take_free()
        try:
            async with asyncio.timeout(head.wall_s + _STARTS_WITHIN_S):
                if nursery is None:
                    nursery = await _Nursery.start(self._module)
                    self._all.add(nursery)
                reply, results = await nursery.ask(head, parts)
        except BaseException as error:
            # Also where the caller does not want the answer any more: the next one must not get it.
            if nursery is not None:
                self._all.discard(nursery)
                nursery.end()
            if isinstance(error, OSError | EOFError | TimeoutError):
                raise OutOfBoundsError("died", type(error).__name__) from None
            raise
        self._free.append(nursery)
        if reply.outcome != "done":
            log.warning("the job %s was not finished: %s %s", head.job, reply.outcome, reply.why)
            raise OutOfBoundsError(reply.outcome, reply.why)
        return results

    def _take_free(self) -> _Nursery | None:
        """One that waits for a job; those that have ended meanwhile are cleared away."""
        while self._free:
            nursery = self._free.pop()
            if nursery.is_alive:
                return nursery
            self._all.discard(nursery)
            nursery.end()
        return None

    def close(self) -> None:
        """End all nurseries."""
        for nursery in self._all:
            nursery.end()
        self._all.clear()
        self._free.clear()


class BoundedCaller:
    """Runs the jobs of a module, one at a time. What it started ends with `close`, or with this object."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._link: socket.socket | None = None
        self._end: weakref.finalize[..., BoundedCaller] | None = None

    def run(
        self, job: str, parts: Sequence[bytes], *, cpu_s: float, wall_s: float, memory_bytes: int = 0
    ) -> list[bytes]:
        """What a job makes of its parts, as `BoundedPool.run`. Raises `OutOfBoundsError`."""
        link = self._link or self._start()
        deadline_s = time.monotonic() + wall_s + 2 * _STARTS_WITHIN_S
        try:
            link.settimeout(wall_s + 2 * _STARTS_WITHIN_S)
            send(link, Head([*map(len, parts)], job, cpu_s, wall_s, memory_bytes), parts)
            answer = receive(link, deadline_s=deadline_s)
        except BaseException as error:
            self.close()  # the next caller must not get this answer
            if isinstance(error, OSError):
                raise OutOfBoundsError("died", type(error).__name__) from None
            raise
        if answer is None:
            self.close()
            raise OutOfBoundsError("died")
        head, results = answer
        if head.outcome != "done":
            raise OutOfBoundsError(head.outcome, head.why)
        return results

    def _start(self) -> socket.socket:
        mine, its = socket.socketpair()
        try:
            process = start_nursery(self._module, its)
        finally:
            its.close()
        self._link = mine
        self._end = weakref.finalize(self, _end, mine, process)
        return mine

    def close(self) -> None:
        """End the nursery."""
        self._link = None
        if self._end is not None:
            self._end()


def _end(link: socket.socket, process: subprocess.Popen[bytes]) -> None:
    link.close()
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()
