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
from typing import cast

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


class _Nursery:
    """The caller's side of one nursery."""

    def __init__(self, module: str) -> None:
        self._link, its = socket.socketpair()
        try:
            # Not in a thread: one whose caller has given up goes on, with a socket whose number is another's by then.
            self._process = start_nursery(module, its)
        except BaseException:
            self._link.close()
            raise
        finally:
            its.close()
        self._link.setblocking(False)

    @property
    def is_alive(self) -> bool:
        """Whether its end was not seen yet: it may be ended from outside while it waits for a job."""
        try:
            return bool(self._link.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    async def ask(self, head: Head, parts: Sequence[bytes]) -> tuple[Head, list[bytes]]:
        loop = asyncio.get_running_loop()
        for piece in (encoded(head), *parts):
            await loop.sock_sendall(self._link, piece)
        size, _ = sizes_of(await self._exactly(PREFIX_BYTES))
        reply = decoded(await self._exactly(size))
        return reply, [await self._exactly(size) for size in reply.sizes]

    async def _exactly(self, size: int) -> bytes:
        """What comes, read into its place: a long part is never copied whole, which would stop the loop."""
        data, at = bytearray(size), 0
        view, loop = memoryview(data), asyncio.get_running_loop()
        while at < size:
            count = await loop.sock_recv_into(self._link, view[at:])
            if not count:
                raise EOFError("the nursery has ended")
            at += count
        return cast("bytes", data) if size > _COPIED_BYTES_MAX else bytes(data)

    def end(self) -> None:
        """End it with its runner, which sees that its nursery is gone."""
        self._link.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


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
                    nursery = _Nursery(self._module)
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
