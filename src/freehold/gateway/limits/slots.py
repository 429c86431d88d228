"""Slots for requests that run at once, counted over all workers of a gateway.

Each name has a small file in the gateway's run folder, mapped into every worker's memory. A worker writes only its
own cell; it acquires a slot under the file's lock, after adding up all cells. A worker that was killed loses its cell,
also where another process has its number by now: a cell names the start of its worker, too. Where the file cannot be
had no slot is given. No message goes to another process, and the store is not involved.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from freehold.gateway.limits.shared_page import SharedPage
from freehold.processes import start_of

# The words of a cell: the worker's process, when that started, what runs in it, what waits.
_PROCESS, _START, _RUNNING, _WAITING = range(4)
_CELL, _CELLS = 4, 256


class Slots(SharedPage):
    """The slots of one name, in a page that all workers of a gateway map."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises `OSError`, here and in `acquire`: `TimeoutError` while another process holds the page."""
        digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
        super().__init__(folder / f"taken-slots-{digest}", _CELL * _CELLS)
        self._running = self._waiting = 0
        self._process, self._start = os.getpid(), start_of(os.getpid()) or 0
        self._at = 0
        with self.locked():
            self._settle()

    def acquire(self, limit: int) -> bool:
        """Take a slot while fewer than `limit` are taken; False when none is free."""
        if limit <= 0:
            return False
        with self.locked():
            self._settle()
            if sum(self.words[_RUNNING::_CELL]) >= limit:
                self._sweep()
                if sum(self.words[_RUNNING::_CELL]) >= limit:
                    return False
            self._running += 1
            self._write()
            return True

    def release(self) -> None:
        """Give one back."""
        self._running -= 1
        self._write()

    def wait(self, change: int) -> None:
        """Record that one more (1) or one fewer (-1) request waits here."""
        self._waiting += change
        self._write()

    def waiting_elsewhere(self) -> int:
        """How many wait in other workers."""
        return sum(self.words[_WAITING::_CELL]) - self._waiting

    def _settle(self) -> None:
        """Have a cell on this page, which may have been exchanged."""
        if not self._is_own(self._at):
            for at in range(0, _CELL * _CELLS, _CELL):
                process = self.words[at]
                if process in (0, self._process) or not _is_alive(process, self.words[at + _START]):
                    self._at = at
                    break
            else:
                raise OSError("more workers than slots for them")
        self._write()

    def _is_own(self, at: int) -> bool:
        return (self.words[at], self.words[at + _START]) == (self._process, self._start)

    def _sweep(self) -> None:
        """Forget what workers that are gone had."""
        for at in range(0, _CELL * _CELLS, _CELL):
            process, start, running, waiting = self.words[at : at + _CELL]
            if (running or waiting) and not _is_alive(process, start):
                for where in range(_CELL):
                    self.words[at + where] = 0

    def _write(self) -> None:
        """Needs no lock: only this worker writes its cell. On a page that was exchanged it is written by the next
        `acquire`; until then fewer slots are free than might be."""
        words, at = self.words, self._at
        words[at], words[at + _START] = self._process, self._start
        words[at + _RUNNING], words[at + _WAITING] = self._running, self._waiting


def _is_alive(process: int, start: int) -> bool:
    """Whether a worker lives, and not only another process of its number. Where that cannot be read, as with no file
    descriptor left, it counts as living: what it runs is taken."""
    try:
        return start_of(process) == start
    except OSError:
        return True
