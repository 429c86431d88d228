"""What a fuzz target is, and the bounds under which each of its inputs runs."""

from __future__ import annotations

import contextlib
import hashlib
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

CPU_SECONDS = 2.0
"""Processor time of one input. Inputs have a few kB; most take under a millisecond."""
MEMORY_BYTES = 2 << 30
"""Address space a process of the fuzzer may take in addition to what it starts with."""


class Target(NamedTuple):
    """`run` takes an input and raises for what must not happen; errors that are in order it passes over itself.

    `seeds` are inputs to begin with, besides those of `corpus/NAME.txt`.
    """

    name: str
    run: Callable[[bytes], None]
    about: str
    seeds: tuple[bytes, ...] = ()


class TookTooLong(BaseException):
    """An input took more processor time than it may. Not an `Exception`: none of freehold's handlers takes it."""


class Finding(NamedTuple):
    """One input that broke a promise. `place` is the innermost line of freehold's own; one is reported for each."""

    error: str
    place: str
    data: bytes

    @property
    def name(self) -> str:
        return hashlib.sha256(f"{self.error} {self.place}".encode()).hexdigest()[:10]


def finding(error: BaseException, data: bytes) -> Finding:
    """What an exception tells of an input."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/freehold/" in frame.filename] or frames
    last = own[-1]
    return Finding(type(error).__name__, f"{last.filename.rpartition('/freehold/')[2]}:{last.name}", data)


@contextlib.contextmanager
def watched(seconds: float = CPU_SECONDS) -> Iterator[None]:
    """Raises `TookTooLong` in what takes more processor time; a wait, or another process's load, does not count."""
    before = signal.signal(signal.SIGVTALRM, _too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def limit_memory(more_bytes: int = MEMORY_BYTES) -> None:
    """From now on this process gets a `MemoryError` when it asks for much more than it has."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))


def _too_long(_signal: int, _frame: object) -> None:
    raise TookTooLong(f"more than {CPU_SECONDS:g} s of processor time")
