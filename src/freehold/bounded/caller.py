"""Ask for jobs and wait for them, without an event loop: one nursery, started when it is first needed."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
import weakref
from collections.abc import Sequence

from freehold.bounded.frames import Head, receive, send
from freehold.bounded.pool import OutOfBoundsError, start_nursery

_STARTS_WITHIN_S = 60.0


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
        deadline_s = time.monotonic() + wall_s + _STARTS_WITHIN_S
        try:
            link.settimeout(wall_s + _STARTS_WITHIN_S)
            send(link, Head([*map(len, parts)], job, cpu_s, wall_s, memory_bytes), parts)
            answer = receive(link, deadline_s=deadline_s)
        except OSError as error:
            self.close()
            raise OutOfBoundsError("died", type(error).__name__) from None
        except BaseException:
            # The next caller must not get this answer.
            self.close()
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
