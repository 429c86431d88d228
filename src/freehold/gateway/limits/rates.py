"""Requests and tokens of a sliding minute, of all workers of a gateway together.

The counters of all names lie in one page that the workers share. A request is checked and counted under the page's
lock, so that two workers never let in the same one: the rate of requests is exact over the workers of a gateway. Other
gateways on the store are known as of the recorder's last word.

Not covered: a page that was removed, and made by a worker that started before one that knows it counted again: the
minute begins once more.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from freehold.gateway.limits.shared_page import SharedPage

WINDOW_S = 60
Counted = Callable[[str], "RateCounter"]
"""Gives the counter of a name, to look at and to change."""


class RateCounter:
    """What one key or route used in this minute and the last, as far as it is known here."""

    __slots__ = ("_last", "_now", "_unreported", "window")

    def __init__(self, window: int = 0, numbers: tuple[float, ...] = (0.0,) * 6) -> None:
        self.window = window
        self._now = list(numbers[0:2])
        self._last = list(numbers[2:4])
        self._unreported = list(numbers[4:6])

    def numbers(self) -> tuple[float, ...]:
        """All but the window, as the constructor takes them."""
        return (*self._now, *self._last, *self._unreported)

    def used(self, kind: int, now_s: float) -> float:
        """Requests (0) or tokens (1) in the sliding minute before `now_s`."""
        now_s = self._turned(now_s)
        return self._last[kind] * _share(now_s) + self._now[kind] + self._unreported[kind]

    def used_later(self, kind: int, now_s: float, ahead_s: float) -> float:
        """The same `ahead_s` seconds after `now_s`, if nothing comes in between."""
        now_s = self._turned(now_s)
        later_s = now_s + ahead_s
        current = self._now[kind] + self._unreported[kind]
        turns = int(later_s // WINDOW_S) - self.window
        if turns == 0:
            return self._last[kind] * _share(later_s) + current
        return current * _share(later_s) if turns == 1 else 0.0

    def add(self, requests: float, tokens: float, now_s: float) -> None:
        self._turned(now_s)
        self._unreported[0] += requests
        self._unreported[1] += tokens

    def take_unreported(self) -> tuple[int, int]:
        """What other gateways do not know yet; counted as known from now on."""
        requests, tokens = self._unreported
        self._now[0] += requests
        self._now[1] += tokens
        self._unreported = [0, 0]
        return int(requests), int(tokens)

    def learn(self, window: int, requests: int, tokens: int, now_s: float) -> None:
        """What all have used, as the store says; it lags behind, so it never lowers what is known here."""
        self._turned(now_s)
        if window == self.window:
            self._now = [max(self._now[0], requests), max(self._now[1], tokens)]
        elif window == self.window - 1:
            self._last = [max(self._last[0], requests), max(self._last[1], tokens)]

    def _turned(self, now_s: float) -> float:
        """Begin the minute of `now_s`, and return the time to reckon with: a worker that read the clock just before
        another turned the minute must not turn it back and forget what was counted."""
        window = int(now_s // WINDOW_S)
        if window == self.window - 1:
            return float(self.window * WINDOW_S)
        if window != self.window:
            ended = [self._now[0] + self._unreported[0], self._now[1] + self._unreported[1]]
            self._last = ended if window == self.window + 1 else [0.0, 0.0]
            self._now = [0.0, 0.0]
            self._unreported = [0, 0]
            self.window = window
        return now_s


class Rates(Protocol):
    """The counters of a worker, or of all workers of a gateway."""

    def counting(self) -> AbstractContextManager[Counted]:
        """Nothing else counts inside. Raises `OSError` (`TimeoutError` among them) where the counters are not to be
        had."""


class LocalRates:
    """Counters of a worker that is alone."""

    def __init__(self) -> None:
        self._counters: dict[str, RateCounter] = {}

    @contextmanager
    def counting(self) -> Iterator[Counted]:
        yield lambda name: self._counters.setdefault(name, RateCounter())


_CELL = struct.Struct("<16sq6d")  # whose, the minute, and `RateCounter.numbers`
_OWNER = struct.Struct("<16sq")
_CELLS = 16_384
_NOBODY = bytes(16)


class SharedRates:
    """Counters in a page that all workers of a gateway map: a table of cells, found by a hash of the name."""

    def __init__(self, folder: Path, *, cells: int = _CELLS) -> None:
        """Raises `OSError`."""
        self._cells = cells
        self._page = SharedPage(folder / "rates", cells * _CELL.size)
        self._at: dict[str, tuple[bytes, int]] = {}

    def counting(self) -> AbstractContextManager[Counted]:
        return _Counting(self._page, self._place)

    def _place(self, page: mmap.mmap, name: str) -> tuple[bytes, int]:
        """The owner of a cell and where it begins. Raises `OSError` when the table is full: a name that is not counted
        must not be let through."""
        known = self._at.get(name)
        if known is not None and page[known[1] : known[1] + len(_NOBODY)] == known[0]:
            return known
        owner = hashlib.blake2b(name.encode(), digest_size=len(_NOBODY)).digest()
        first = int.from_bytes(owner[:8], "little")
        idle_since = int(time.time() // WINDOW_S) - 1
        free: int | None = None
        for step in range(self._cells):
            at = (first + step) % self._cells * _CELL.size
            whose, window = _OWNER.unpack_from(page, at)
            if whose == owner:
                free = at
                break
            # Of a name that was not used for a while nothing is left to know.
            if free is None and (whose == _NOBODY or window < idle_since):
                free = at
            if whose == _NOBODY:
                break
        if free is None:
            raise OSError("the table of rates is full")
        self._at[name] = (owner, free)
        return owner, free


class _Counting:
    """Counters while the page is locked; written back at the end. A class, for it is on the way of each request."""

    __slots__ = ("_map", "_page", "_place", "_seen")

    def __init__(self, page: SharedPage, place: Callable[[mmap.mmap, str], tuple[bytes, int]]) -> None:
        self._page = page
        self._place = place
        self._seen: dict[str, tuple[int, bytes, RateCounter]] = {}

    def __enter__(self) -> Counted:
        self._map = self._page.lock()
        return self._counter

    def __exit__(self, *_: object) -> None:
        try:
            for at, owner, known in self._seen.values():
                _CELL.pack_into(self._map, at, owner, known.window, *known.numbers())
        finally:
            self._page.unlock()

    def _counter(self, name: str) -> RateCounter:
        seen = self._seen.get(name)
        if seen is None:
            owner, at = self._place(self._map, name)
            whose, window, *numbers = _CELL.unpack_from(self._map, at)
            known = RateCounter(window, tuple(numbers)) if whose == owner else RateCounter()
            seen = self._seen[name] = (at, owner, known)
        return seen[2]


def _share(now_s: float) -> float:
    """The share of the last minute that still lies within sixty seconds."""
    return 1 - (now_s % WINDOW_S) / WINDOW_S
