"""The nursery: a process that has imported everything, and forks runners that may be killed at any time.

Run as ``python -m freehold.bounded.nursery MODULE`` with a socket as stdin; `MODULE` has a table ``JOBS`` of names and
functions from parts to parts. A runner is ended by the kernel when its job has used up its processor time, and by the
nursery when it is late by the clock; the next one is there within milliseconds. One that read much is not kept, so that
its memory returns to the system. The nursery itself never looks into a part.

A message between caller, nursery and runner is a short head and some parts, each as long as it likes.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

_SIZES = struct.Struct(">IQ")
PREFIX_BYTES = _SIZES.size
_PIECE_BYTES = 1024 * 1024


class Head(msgspec.Struct, array_like=True):
    """Of a job: its name and limits. Of a reply: how it ended (`outcome`), and what went wrong."""

    sizes: list[int]
    job: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_bytes: int = 0
    outcome: str = ""
    why: str = ""


def encoded(head: Head) -> bytes:
    """The head as it goes over a socket, before its parts."""
    data = msgspec.msgpack.encode(head)
    return _SIZES.pack(len(data), sum(head.sizes)) + data


def sizes_of(prefix: bytes) -> tuple[int, int]:
    """How long the head is, and all the parts together."""
    head, parts = _SIZES.unpack(prefix)
    return head, parts


def decoded(data: bytes) -> Head:
    return msgspec.msgpack.decode(data, type=Head)


def parts_of(head: Head, data: bytes) -> list[bytes]:
    """The parts, cut from what follows the head."""
    parts, start = [], 0
    for size in head.sizes:
        parts.append(data[start : start + size])
        start += size
    return parts


def send(link: socket.socket, head: Head, parts: Sequence[bytes]) -> None:
    """Send a message on a blocking socket."""
    link.sendall(encoded(head))
    for part in parts:
        if part:
            link.sendall(part)


def receive(link: socket.socket, *, deadline_s: float | None = None) -> tuple[Head, list[bytes]] | None:
    """The next message of a blocking socket; None at its end. Raises `TimeoutError` at the deadline (monotonic)."""
    prefix = _exactly(link, PREFIX_BYTES, deadline_s)
    if prefix is None:
        return None
    head_size, size = sizes_of(prefix)
    head_data = _exactly(link, head_size, deadline_s)
    data = _exactly(link, size, deadline_s)
    if head_data is None or data is None:
        return None
    head = decoded(head_data)
    return head, parts_of(head, data)


def _exactly(link: socket.socket, size: int, deadline_s: float | None) -> bytes | None:
    data = bytearray(size)
    view: Any = memoryview(data)
    at = 0
    while at < size:
        if deadline_s is not None:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            link.settimeout(left_s)
        count = link.recv_into(view[at : at + _PIECE_BYTES])
        if not count:
            return None
        at += count
    view.release()
    return bytes(data)


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
