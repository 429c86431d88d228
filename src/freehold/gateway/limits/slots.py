"""Slots for requests that run at once, counted over all workers of a gateway.

Each name has a small file in the gateway's run folder, mapped into every worker's memory. A worker writes only its
own cell; it acquires a slot under the file's lock, after adding up all cells. A worker that was killed loses its
cell. No message goes to another process, and the store is not involved.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
import time
from pathlib import Path
from typing import Protocol

_CELL = struct.Struct("=III")  # pid, running, waiting
_CELLS = 256
_LOCK_TRIES, _LOCK_PAUSE_S = 200, 0.0001


class Slots(Protocol):
    """The slots of one name."""

    def acquire(self, limit: int) -> bool:
        """Take a slot while fewer than `limit` are taken; False when none is free."""

    def release(self) -> None:
        """Give one back."""

    def wait(self, change: int) -> None:
        """Record that one more (1) or one fewer (-1) request waits here."""

    def waiting_elsewhere(self) -> int:
        """How many wait in other workers."""


class LocalSlots:
    """Slots of a worker that is alone."""

    __slots__ = ("_running",)

    def __init__(self) -> None:
        self._running = 0

    def acquire(self, limit: int) -> bool:
        if self._running >= limit:
            return False
        self._running += 1
        return True

    def release(self) -> None:
        self._running -= 1

    def wait(self, change: int) -> None:
        """There is no other worker to see it."""

    def waiting_elsewhere(self) -> int:
        return 0


class SharedSlots:
    """Slots in a file that all workers of a gateway map."""

    def __init__(self, folder: Path, name: str) -> None:
        digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
        size = _CELL.size * _CELLS
        self._file = os.open(folder / f"slots-{digest}", os.O_RDWR | os.O_CREAT, 0o600)
        if os.fstat(self._file).st_size < size:
            os.ftruncate(self._file, size)
        self._map = mmap.mmap(self._file, size)
        self._running = self._waiting = 0
        self._at = 0
        locked = self._lock()
        try:
            for number in range(_CELLS):
                pid = _CELL.unpack_from(self._map, number * _CELL.size)[0]
                if pid == 0 or pid == os.getpid() or not _is_alive(pid):
                    self._at = number * _CELL.size
                    break
            self._write()
        finally:
            if locked:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def acquire(self, limit: int) -> bool:
        if limit <= 0:
            return False
        locked = self._lock()
        try:
            if self._running_everywhere() >= limit and self._running_everywhere(sweep=True) >= limit:
                return False
            self._running += 1
            self._write()
            return True
        finally:
            if locked:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def release(self) -> None:
        self._running -= 1
        self._write()

    def wait(self, change: int) -> None:
        self._waiting += change
        self._write()

    def waiting_elsewhere(self) -> int:
        total: int = sum(cell[2] for cell in _CELL.iter_unpack(self._map[:]))
        return total - self._waiting

    def _running_everywhere(self, *, sweep: bool = False) -> int:
        total = 0
        for number, (pid, running, _) in enumerate(_CELL.iter_unpack(self._map[:])):
            if running and sweep and not _is_alive(pid):
                _CELL.pack_into(self._map, number * _CELL.size, 0, 0, 0)
            else:
                total += running
        return total

    def _write(self) -> None:
        _CELL.pack_into(self._map, self._at, os.getpid(), self._running, self._waiting)

    def _lock(self) -> bool:
        """Take the file's lock; False when another process does not release it, for then traffic matters more."""
        for _ in range(_LOCK_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                time.sleep(_LOCK_PAUSE_S)
        return False


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
