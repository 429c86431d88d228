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
import time
from pathlib import Path

from freehold.gateway.limits.shared_page import WORD_BYTES, SharedPage
from freehold.types.route import Limits

WINDOW_S = 60
REQUESTS, TOKENS = 0, 1
_KEPT = WINDOW_S + 1  # seconds that may hold a part of the last sixty
_RING = 64
# Where in a counter's words what stands. Shares are kept one higher, so that zeros are unknown. The ring holds the
# requests and tokens of each second.
_SECOND, _SUMS, _SHARES, _SHORT, _HELD, _HELD_AT, _RING_AT = 0, 1, 3, 5, 7, 8, 9
WORDS = _RING_AT + 2 * _RING
_NOTHING = memoryview(bytes(2 * _RING * WORD_BYTES)).cast("q")


class RateCounter:
    """What one key, label or route used, as this gateway knows it, in `WORDS` of a page from `at` on. Times are
    monotonic seconds of this machine, the same for all its processes. `advance` it before anything else."""

    __slots__ = ("at", "words")

    def __init__(self, words: memoryview[int], at: int = 0) -> None:
        self.words = words
        self.at = at

    def advance(self, now_s: float) -> None:
        """Forget what lies more than sixty seconds back. A worker that read the clock just before another one counted
        does not turn it back."""
        words, at, second = self.words, self.at, int(now_s)
        passed = second - words[at]
        if passed <= 0:
            return
        if passed >= _KEPT:
            words[at + _RING_AT : at + WORDS] = _NOTHING
            words[at + _SUMS] = words[at + _SUMS + 1] = 0
        else:
            for entered in range(second - passed + 1, second + 1):
                place = self._place(entered - _KEPT)
                for kind in (REQUESTS, TOKENS):
                    if used := words[place + kind]:
                        words[place + kind] = 0
                        words[at + _SUMS + kind] -= used
        words[at] = second
        if second - words[at + _HELD_AT] >= _KEPT:
            # A worker that was killed never says what its requests used.
            words[at + _HELD] = 0

    def used(self, kind: int) -> int:
        """Requests or tokens of the last sixty seconds; tokens of running requests as reserved."""
        return self.words[self.at + _SUMS + kind]

    def lacks(self, limits: Limits, tokens: int, *, shared: bool) -> int | None:
        """The kind of which too little is left for a request of that many `tokens`; None where it may be let in.
        While no tokens are reserved by a request that runs, as far as known, few that are left are enough."""
        words, at = self.words, self.at
        for kind, limit, need in (
            (REQUESTS, limits.requests_per_minute, 1),
            (TOKENS, limits.tokens_per_minute, tokens or 1),
        ):
            if limit is None:
                continue
            most, used = self.most(kind, limit) if shared else limit, words[at + _SUMS + kind]
            if used + need > most and (kind == REQUESTS or used >= most or words[at + _HELD]):
                return kind
        return None

    def most(self, kind: int, limit: int) -> int:
        """What this gateway may use of a limit that it shares."""
        return min(limit, max(0, self.share(kind)))

    def add(self, requests: int, tokens: int, *, held: bool = False) -> int:
        """Count; returns the second it is counted in, for `settle`. `held` says that the tokens are a reservation."""
        words, at = self.words, self.at
        second = words[at]
        self._change(second, requests, tokens)
        if held and tokens:
            words[at + _HELD] += tokens
            words[at + _HELD_AT] = second
        return second

    def settle(self, second: int, held: int, tokens: int) -> None:
        """A request that reserved `held` tokens in `second` used `tokens`."""
        words, at = self.words, self.at
        words[at + _HELD] = max(0, words[at + _HELD] - held)
        now = words[at]
        if now - second < _KEPT:
            self._change(second, 0, tokens - held)
        elif tokens > held:
            self._change(now, 0, tokens - held)

    def free_in_s(self, kind: int, most: int, need: int, now_s: float) -> float:
        """Seconds until `need` more fit below `most`, if nothing else comes; where they never do, until all is free."""
        left, now = self.used(kind), self.words[self.at]
        for second in range(now - WINDOW_S, now + 1):
            if left + need <= most or (left < most and kind == TOKENS):
                return max(0.0, second - 1 + _KEPT - now_s)
            left -= self.words[self._place(second) + kind]
        return now + _KEPT - now_s

    def note_short(self, kind: int) -> None:
        """A request was refused that the whole limit might have had room for."""
        self.words[self.at + _SHORT + kind] = 1

    def take_short(self, kind: int) -> bool:
        """Whether one was since the last call."""
        before, self.words[self.at + _SHORT + kind] = self.words[self.at + _SHORT + kind], 0
        return bool(before)

    def share(self, kind: int) -> int:
        """What the recorder has granted; negative while that is not known."""
        return self.words[self.at + _SHARES + kind] - 1

    def set_share(self, kind: int, share: int) -> None:
        self.words[self.at + _SHARES + kind] = share + 1

    def _change(self, second: int, requests: int, tokens: int) -> None:
        # `_place`, written out: a request under a limit comes through here several times.
        words, at = self.words, self.at
        place = at + _RING_AT + second % _RING * 2
        tokens = max(tokens, -words[place + 1])
        words[at + _SUMS] += requests
        words[at + _SUMS + 1] += tokens
        words[place] += requests
        words[place + 1] += tokens

    def _place(self, second: int) -> int:
        return self.at + _RING_AT + second % _RING * 2


IS_SHARED = 0
"""The word of the page that says whether gateways share."""
_CELLS_AT = 8
_OWNER_WORDS = 2
_CELL_WORDS = _OWNER_WORDS + WORDS
_CELLS = 8192


class SharedRates(SharedPage):
    """Counters in a page that all workers of a gateway and its recorder map: a table of cells, found by a hash of the
    name. A cell is its owner's hash and a counter."""

    def __init__(self, folder: Path, *, cells: int = _CELLS) -> None:
        """Raises `OSError`."""
        self._cells = cells
        super().__init__(folder / "rates", _CELLS_AT + cells * _CELL_WORDS)
        self._known: dict[str, tuple[int, int, RateCounter]] = {}

    def counter(self, name: str, now_s: float) -> RateCounter:
        """The counter of a name, while the page is locked. Raises `OSError` when the table is full: a name that is not
        counted must not be let through."""
        words, known = self.words, self._known.get(name)
        if known is not None:
            first, second, counter = known
            at = counter.at
            # The cell may be another name's by now, and the page a new one.
            if counter.words is words and words[at - 2] == first and words[at - 1] == second:
                if now_s >= words[at] + 1:
                    counter.advance(now_s)
                return counter
        first, second, counter = self._known[name] = self._placed(name)
        counter.advance(now_s)
        return counter

    def _placed(self, name: str) -> tuple[int, int, RateCounter]:
        words = self.words
        digest = hashlib.blake2b(name.encode(), digest_size=_OWNER_WORDS * WORD_BYTES).digest()
        first, second = memoryview(digest).cast("q")
        idle_before = time.monotonic() - 2 * WINDOW_S
        free: int | None = None
        for step in range(self._cells):
            at = _CELLS_AT + (first + step) % self._cells * _CELL_WORDS
            if words[at] == first and words[at + 1] == second:
                return first, second, RateCounter(words, at + _OWNER_WORDS)
            is_new = words[at] == words[at + 1] == 0
            # Of a name that was not used for a while nothing is left to know.
            if free is None and (is_new or words[at + _OWNER_WORDS + _SECOND] < idle_before):
                free = at
            if is_new:
                break
        if free is None:
            raise OSError("the table of rates is full")
        words[free : free + _CELL_WORDS] = memoryview(bytes(_CELL_WORDS * WORD_BYTES)).cast("q")
        words[free], words[free + 1] = first, second
        return first, second, RateCounter(words, free + _OWNER_WORDS)
