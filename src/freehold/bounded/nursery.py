"""The nursery: a process that has imported everything, and forks runners that may be killed at any time.

Run as ``python -m freehold.bounded.nursery MODULE`` with a socket as stdin; `MODULE` has a table ``JOBS`` of names and
functions from parts to parts. A runner is ended by the kernel when its job has used up its processor time, and by the
nursery when it is late by the clock; the next one is there within milliseconds. One that read much is not kept, so that
its memory returns to the system. The nursery itself never looks into a part.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from freehold.bounded.frames import Head, receive, send

Job = Callable[[Sequence[bytes]], list[bytes]]
# A runner that was given more than this is ended after its job.
_KEPT_BYTES = 256 * 1024


class _Runner:
    """A forked process that does one job after the other, until one of them is too much for it."""

    def __init__(self, jobs: Mapping[str, Job], outer: socket.socket) -> None:
        self._link, inner = socket.socketpair()
        self._process_id = os.fork()
        if not self._process_id:
            outer.close()
            self._link.close()
            _run(jobs, inner)
        inner.close()

    def ask(self, head: Head, parts: Sequence[bytes]) -> tuple[Head, list[bytes]]:
        deadline_s = time.monotonic() + head.wall_s
        try:
            self._link.settimeout(head.wall_s)
            send(self._link, head, parts)
            answer = receive(self._link, deadline_s=deadline_s)
        except TimeoutError:
            return Head([], outcome="time"), []
        except OSError:
            answer = None
        if answer is not None:
            return answer
        status = os.waitpid(self._process_id, 0)[1]
        self._process_id = 0
        ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        return Head([], outcome="time" if ended == signal.SIGPROF else "died", why=f"signal {ended}"), []

    def close(self) -> None:
        self._link.close()
        if self._process_id:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process_id, signal.SIGKILL)
            os.waitpid(self._process_id, 0)


def _run(jobs: Mapping[str, Job], link: socket.socket) -> None:
    """In the runner: do jobs until the nursery is gone. Never returns."""
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    # One job makes millions of objects and no circles; its memory is bounded otherwise.
    gc.disable()
    try:
        while (message := receive(link)) is not None:
            head, parts = message
            if head.memory_bytes:
                resource.setrlimit(resource.RLIMIT_AS, (head.memory_bytes, resource.RLIM_INFINITY))
            # By the processor's time and by the kernel: a pattern that backtracks never comes back to Python.
            signal.setitimer(signal.ITIMER_PROF, head.cpu_s)
            # The nursery is earlier, unless it was itself ended in the middle of a job.
            signal.setitimer(signal.ITIMER_REAL, head.wall_s + 1.0)
            reply, results = _done(jobs, head.job, parts)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)
            send(link, reply, results)
            del message, parts, results
    except BaseException:  # noqa: BLE001  # whatever it was, the nursery sees the end
        os._exit(1)
    os._exit(0)


def _done(jobs: Mapping[str, Job], name: str, parts: Sequence[bytes]) -> tuple[Head, list[bytes]]:
    try:
        results = jobs[name](parts)
    except MemoryError:
        return Head([], outcome="memory"), []
    except Exception as error:  # noqa: BLE001  # told by its type only: its text may be a customer's
        return Head([], outcome="failed", why=type(error).__name__), []
    return Head([len(part) for part in results], outcome="done"), results


def serve(jobs: Mapping[str, Job], link: socket.socket) -> None:
    """Have jobs done until the caller is gone."""
    runner: _Runner | None = None
    while (message := receive(link)) is not None:
        head, parts = message
        runner = runner or _Runner(jobs, link)
        reply, results = runner.ask(head, parts)
        if reply.outcome not in ("done", "failed") or sum(head.sizes) > _KEPT_BYTES:
            runner.close()
            runner = None
        send(link, reply, results)
        del message, parts, results
    if runner is not None:
        runner.close()


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    jobs = importlib.import_module(sys.argv[1]).JOBS
    gc.collect()
    gc.freeze()
    # Not on descriptor 0: nothing that a job imports takes it for a terminal.
    link = socket.socket(fileno=os.dup(0))
    with contextlib.suppress(ConnectionError):
        serve(jobs, link)


if __name__ == "__main__":
    main()
