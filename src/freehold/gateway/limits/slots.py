"""Slots for requests that run at once, counted over all workers of a gateway.

Each name has a small file in the gateway's run folder, mapped into every worker's memory. A worker writes only its
own cell; it acquires a slot under the file's lock, after adding up all cells. A worker that was killed loses its cell,
also where another process has its number by now: a cell names the start of its worker, too. Where the file cannot be
had no slot is given. No message goes to another process, and the store is not involved.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from pathlib import Path
from typing import Protocol

from freehold.gateway.limits.shared_page import SharedPage
from freehold.processes import start_of

_CELL = struct.Struct("=IIIq")  # pid, running, waiting, start of the process
_CELLS = 256


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
    """Slots in a page that all workers of a gateway map."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises `OSError`, here and in `acquire`: `TimeoutError` while another process holds the page."""
        digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
        self._page = SharedPage(folder / f"taken-slots-{digest}", _CELL.size * _CELLS)
        self._running = self._waiting = 0
        self._pid, self._start = os.getpid(), start_of(os.getpid()) or 0
        self._at = 0
        with self._page.locked() as page:
            self._settle(page)

    def acquire(self, limit: int) -> bool:
        if limit <= 0:
            return False
        with self._page.locked() as page:
            self._settle(page)
            if (
                self._running_everywhere(page) >= limit
                and self._running_everywhere(page, sweep=True) >= limit
            ):
                return False
            self._running += 1
            self._write()
            return True

    def _settle(self, page: mmap.mmap) -> None:
        """Have a cell on this page, which may have been exchanged."""
        pid, _, _, start = _CELL.unpack_from(page, self._at)
        if (pid, start) != (self._pid, self._start):
            for number in range(_CELLS):
                pid, _, _, start = _CELL.unpack_from(page, number * _CELL.size)
                if pid in (0, self._pid) or not _is_alive(pid, start):
                    self._at = number * _CELL.size
                    break
            else:
                raise OSError("more workers than slots for them")
        self._write()

    def release(self) -> None:
        self._running -= 1
        self._write()

    def wait(self, change: int) -> None:
        self._waiting += change
        self._write()

    def waiting_elsewhere(self) -> int:
        total: int = sum(cell[2] for cell in _CELL.iter_unpack(self._page.map[:]))
        return total - self._waiting

    def _running_everywhere(self, page: mmap.mmap, *, sweep: bool = False) -> int:
        total = 0
        for number, (pid, running, waiting, start) in enumerate(_CELL.iter_unpack(page[:])):
            if sweep and (running or waiting) and not _is_alive(pid, start):
                _CELL.pack_into(page, number * _CELL.size, 0, 0, 0, 0)
            else:
                total += running
        return total

    def _write(self) -> None:
        """Needs no lock: only this worker writes its cell. On a page that was exchanged it is written by the next
        `acquire`; until then fewer slots are free than might be."""
        _CELL.pack_into(self._page.map, self._at, self._pid, self._running, self._waiting, self._start)


def _is_alive(pid: int, start: int) -> bool:
    """Whether a worker lives, and not only another process of its number. Where that cannot be read, as with no file
    descriptor left, it counts as living: what it runs is taken."""
    try:
        return start_of(pid) == start
    except OSError:
        return True
