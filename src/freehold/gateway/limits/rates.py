"""Requests and tokens of the last sixty seconds, of all workers of a gateway together.

What was used is kept by the second, and what any part of the last sixty seconds lies in counts: the second that is
running and the sixty before it. So no sixty seconds, wherever they begin, hold more than the limit; what was used is
free again after sixty to sixty-one seconds. (Two fixed minutes weighted by their overlap, the usual approximation, let
through up to twice the limit around a minute's end.)

The counters of all names lie in one page that the workers share. A request is checked and counted under the page's
lock, so that two workers never let in the same one. A cell keeps running sums: a request costs the same whether one
or a million came before it.

Where several gateways share a store each may use its share of a limit, which the recorder writes here (`shares`); while
gateways share and no share is known, nothing is let in.

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
REQUESTS, TOKENS = 0, 1
Counted = Callable[[str], "RateCounter"]
"""Gives the counter of a name, to look at and to change."""
_KEPT = WINDOW_S + 1  # seconds that may hold a part of the last sixty
_RING = 64
_HEAD = struct.Struct("<12q")
# Where in it what stands. Shares are kept one higher, so that zeros are unknown.
_AT, _SUMS, _UNREPORTED, _SHARES, _SHORT, _HELD, _HELD_AT = 0, 1, 3, 5, 7, 9, 10
_SECOND = struct.Struct("<qq")  # requests, tokens
_SIZE = _HEAD.size + _RING * _SECOND.size


class RateCounter:
    """What one key, label or route used, as this gateway knows it, in `_SIZE` bytes of a buffer. Times are monotonic
    seconds of this machine, the same for all its processes. Load, change, `store`."""

    __slots__ = ("_at", "_buffer", "_told")

    def __init__(
        self, buffer: bytearray | mmap.mmap | None = None, at: int = 0, *, new: bool = False
    ) -> None:
        self._buffer = bytearray(_SIZE) if buffer is None else buffer
        self._at = at
        if new or buffer is None:
            self._buffer[at : at + _SIZE] = bytes(_SIZE)
        self._told: list[int] = [*_HEAD.unpack_from(self._buffer, at)]

    def store(self) -> None:
        """Write back what changed."""
        _HEAD.pack_into(self._buffer, self._at, *self._told)

    def used(self, kind: int, now_s: float) -> int:
        """Requests or tokens in the sixty seconds before `now_s`; tokens of running requests as reserved."""
        self._advance(now_s)
        return self._told[_SUMS + kind]

    def holds(self, now_s: float) -> bool:
        """Whether tokens are reserved by a request that runs, as far as known: one that began within the minute."""
        self._advance(now_s)
        return self._told[_HELD] > 0

    def most(self, kind: int, limit: int, *, shared: bool) -> int:
        """What this gateway may use of a limit."""
        return min(limit, max(0, self._told[_SHARES + kind] - 1)) if shared else limit

    def add(self, requests: int, tokens: int, now_s: float, *, held: bool = False) -> int:
        """Count; returns the second it is counted in, for `settle`. `held` says that the tokens are a reservation."""
        self._advance(now_s)
        second = self._told[_AT]
        self._change(second, requests, tokens)
        if held and tokens:
            self._told[_HELD] += tokens
            self._told[_HELD_AT] = second
        return second

    def settle(self, second: int, held: int, tokens: int, now_s: float) -> None:
        """A request that reserved `held` tokens in `second` used `tokens`."""
        self._advance(now_s)
        told = self._told
        told[_HELD] = max(0, told[_HELD] - held)
        if told[_AT] - second < _KEPT:
            self._change(second, 0, tokens - held)
        elif tokens > held:
            self._change(told[_AT], 0, tokens - held)

    def restore(self, used: tuple[int, int], from_s: float, to_s: float, now_s: float) -> None:
        """Requests and tokens that were used between two times, as if evenly: more is not known of them."""
        self._advance(now_s)
        seconds = range(int(from_s), max(int(from_s), int(to_s)) + 1)
        for number, second in enumerate(seconds):
            if 0 <= self._told[_AT] - second < _KEPT:
                part = [
                    count * (number + 1) // len(seconds) - count * number // len(seconds) for count in used
                ]
                self._change(second, part[0], part[1])
        self._told[_UNREPORTED : _UNREPORTED + 2] = [0, 0]

    def free_in_s(self, kind: int, most: int, need: int, now_s: float) -> float:
        """Seconds until `need` more fit below `most`, if nothing else comes; where they never do, until all is free."""
        self._advance(now_s)
        left, now = self._told[_SUMS + kind], self._told[_AT]
        for second in range(now - WINDOW_S, now + 1):
            if left + need <= most or (left < most and kind == TOKENS):
                return max(0.0, second - 1 + _KEPT - now_s)
            left -= _SECOND.unpack_from(self._buffer, self._place(second))[kind]
        return now + _KEPT - now_s

    def note_short(self, kind: int) -> None:
        """A request was refused that the whole limit might have had room for."""
        self._told[_SHORT + kind] = 1

    def take_short(self, kind: int) -> bool:
        """Whether one was since the last call."""
        short, self._told[_SHORT + kind] = self._told[_SHORT + kind], 0
        return bool(short)

    def share(self, kind: int) -> int:
        """What the recorder has granted; negative while that is not known."""
        return self._told[_SHARES + kind] - 1

    def set_share(self, kind: int, share: int) -> None:
        self._told[_SHARES + kind] = share + 1

    def take_unreported(self) -> tuple[int, int]:
        """What was counted since the last call."""
        requests, tokens = self._told[_UNREPORTED : _UNREPORTED + 2]
        self._told[_UNREPORTED : _UNREPORTED + 2] = [0, 0]
        return requests, tokens

    def _change(self, second: int, requests: int, tokens: int) -> None:
        # `_place`, written out: a request under a limit comes through here several times.
        place = self._at + _HEAD.size + second % _RING * _SECOND.size
        before = _SECOND.unpack_from(self._buffer, place)
        tokens = max(tokens, -before[1])
        _SECOND.pack_into(self._buffer, place, before[0] + requests, before[1] + tokens)
        told = self._told
        told[_SUMS] += requests
        told[_SUMS + 1] += tokens
        told[_UNREPORTED] += requests
        told[_UNREPORTED + 1] += tokens

    def _place(self, second: int) -> int:
        return self._at + _HEAD.size + second % _RING * _SECOND.size

    def _advance(self, now_s: float) -> None:
        """Forget what lies more than sixty seconds back. A worker that read the clock just before another one counted
        does not turn it back."""
        told, second = self._told, int(now_s)
        if second <= told[_AT]:
            return
        if second - told[_AT] >= _KEPT:
            start = self._at + _HEAD.size
            self._buffer[start : start + _RING * _SECOND.size] = bytes(_RING * _SECOND.size)
            told[_SUMS : _SUMS + 2] = [0, 0]
        else:
            for entered in range(told[_AT] + 1, second + 1):
                place = self._place(entered - _KEPT)
                requests, tokens = _SECOND.unpack_from(self._buffer, place)
                told[_SUMS] -= requests
                told[_SUMS + 1] -= tokens
                _SECOND.pack_into(self._buffer, place, 0, 0)
        told[_AT] = second
        if second - told[_HELD_AT] >= _KEPT:
            # A worker that was killed never says what its requests used.
            told[_HELD] = 0


class Rates(Protocol):
    """The counters of a worker, or of all workers of a gateway."""

    def counting(self) -> AbstractContextManager[Counted]:
        """Nothing else counts inside. Raises `OSError` (`TimeoutError` among them) where the counters are not to be
        had."""

    @property
    def is_shared(self) -> bool:
        """Whether other gateways use a part of each limit. Ask inside `counting`."""


class LocalRates:
    """Counters of a worker that is alone."""

    is_shared = False

    def __init__(self) -> None:
        self._counters: dict[str, RateCounter] = {}

    @contextmanager
    def counting(self) -> Iterator[Counted]:
        yield lambda name: self._counters.setdefault(name, RateCounter())


_OWNER = struct.Struct("<16sq")
_PAGE_HEAD = struct.Struct("<q")
_CELLS_AT = 64
_CELL_SIZE = 16 + _SIZE
_CELLS = 8192
_NOBODY = bytes(16)
_CELL_HEAD = struct.Struct("<16s12q")
_UNPLACED = (b"?", 0)
_GLANCE_S = 4
Glance = tuple[tuple[int, int], tuple[int, int]]
"""Requests and tokens of the last minute, and the shares of them (negative while not known)."""


class SharedRates:
    """Counters in a page that all workers of a gateway and its recorder map: a table of cells, found by a hash of the
    name. A cell is its owner's hash and a counter."""

    def __init__(self, folder: Path, *, cells: int = _CELLS) -> None:
        """Raises `OSError`."""
        self._cells = cells
        self._page = SharedPage(folder / "rates", _CELLS_AT + cells * _CELL_SIZE)
        self._at: dict[str, tuple[bytes, int]] = {}

    def counting(self) -> AbstractContextManager[Counted]:
        return _Counting(self._page, self._place)

    def glance(self, name: str, now_s: float) -> Glance | None:
        """What is counted under a name, read without changing anything. None where that takes `counting`: the name has
        no cell yet, or one that would soon be another name's, something lies more than a minute back by now, or a
        request was refused. Inside `counting`."""
        owner, at = self._at.get(name, _UNPLACED)
        page = self._page.map
        whose, second, requests, tokens, _, _, *shares, short, other_short, _, _, _ = _CELL_HEAD.unpack_from(
            page, at
        )
        passed = int(now_s) - second
        if whose != owner or short or other_short or passed > WINDOW_S:
            return None
        if requests or tokens:
            if passed > _GLANCE_S:
                return None
            for entered in range(second + 1, second + passed + 1):
                place = at + len(owner) + _HEAD.size + (entered - _KEPT) % _RING * _SECOND.size
                if _SECOND.unpack_from(page, place) != (0, 0):
                    return None
        return (requests, tokens), (shares[0] - 1, shares[1] - 1)

    @property
    def is_shared(self) -> bool:
        return bool(_PAGE_HEAD.unpack_from(self._page.map, 0)[0])

    def set_shared(self, shared: bool) -> None:
        """Say it to all workers. Inside `counting`."""
        _PAGE_HEAD.pack_into(self._page.map, 0, shared)

    def _place(self, page: mmap.mmap, name: str) -> tuple[bytes, int, bool]:
        """The owner of a cell, where it begins, and whether it is new. Raises `OSError` when the table is full: a name
        that is not counted must not be let through."""
        known = self._at.get(name)
        if known is not None and page[known[1] : known[1] + len(_NOBODY)] == known[0]:
            return (*known, False)
        owner = hashlib.blake2b(name.encode(), digest_size=len(_NOBODY)).digest()
        first = int.from_bytes(owner[:8], "little")
        idle_before = time.monotonic() - 2 * WINDOW_S
        free: int | None = None
        is_new = True
        for step in range(self._cells):
            at = _CELLS_AT + (first + step) % self._cells * _CELL_SIZE
            whose, second = _OWNER.unpack_from(page, at)
            if whose == owner:
                free, is_new = at, False
                break
            # Of a name that was not used for a while nothing is left to know.
            if free is None and (whose == _NOBODY or second < idle_before):
                free = at
            if whose == _NOBODY:
                break
        if free is None:
            raise OSError("the table of rates is full")
        self._at[name] = (owner, free)
        return owner, free, is_new


class _Counting:
    """Counters while the page is locked; written back at the end. A class, for it is on the way of each request."""

    __slots__ = ("_map", "_page", "_place", "_seen")

    def __init__(self, page: SharedPage, place: Callable[[mmap.mmap, str], tuple[bytes, int, bool]]) -> None:
        self._page = page
        self._place = place
        self._seen: dict[str, RateCounter] = {}

    def __enter__(self) -> Counted:
        self._map = self._page.lock()
        return self._counter

    def __exit__(self, *_: object) -> None:
        try:
            for counter in self._seen.values():
                counter.store()
        finally:
            self._page.unlock()

    def _counter(self, name: str) -> RateCounter:
        seen = self._seen.get(name)
        if seen is None:
            owner, at, new = self._place(self._map, name)
            if new:
                self._map[at : at + len(owner)] = owner
            seen = self._seen[name] = RateCounter(self._map, at + len(owner), new=new)
        return seen
