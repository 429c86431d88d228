"""Request and token rates, and concurrency, of keys, labels and routes.

Rates are counted over the last sixty seconds (`rates`), by all workers of a gateway in one page of memory: no sixty
seconds hold more requests than the limit. The tokens of an answer are known at its end, so the most that it may use is
reserved when it is let in, as spending is (`ledger`), and what it used takes that place afterwards. While no answer is
running one request is let in however few tokens are left: so a rate of tokens is overrun by one answer at most.
Several gateways on a store each have a share of a limit, which follows what each is asked for (`shares`). Libraries
that ask a shared storage for every request would put a database round trip on the hot path. Where the page is not to
be had, requests that have such a limit are refused.

Covered: rates per key, label and route over all workers and machines of one store; concurrency, exactly over
the workers of a gateway (`slots`) and by equal shares over gateways; a queue with a deadline.
Not covered: what an answer uses beyond what was reserved for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from freehold.gateway.limits.rates import IS_SHARED, TOKENS, RateCounter, SharedRates
from freehold.gateway.limits.shared_page import SharedPage
from freehold.gateway.messages import UsageTotals
from freehold.processes import start_of
from freehold.types.route import Limits
from freehold.wire.errors import ApiError, RateState

log = logging.getLogger("freehold.gateway")
_POLL_EVERY_S = 0.01
_KINDS = ("requests", "tokens")


class Admission:
    """A request that was let in: say what it used, and call it when it is over. `places` are the names whose tokens are
    limited, `reserved` how many were reserved for each, in which `second`."""

    __slots__ = ("_limiter", "_places", "_reserved", "_second", "slots")

    def __init__(self, limiter: Limiter, places: Sequence[str], reserved: int, second: int) -> None:
        self._limiter = limiter
        self._places = places
        self._reserved = reserved
        self._second = second
        self.slots: Sequence[str] = ()

    def settle(self, tokens: int) -> None:
        """The tokens that an answer used, in the place of those that were reserved; of a further one, in addition.
        Until the next request is let in here, or for a quarter of a second, what was reserved is counted."""
        reserved, self._reserved = self._reserved, 0
        if tokens or reserved:
            for name in self._places:
                self._limiter.unsettled.append((name, self._second, reserved, tokens))

    def __call__(self) -> None:
        self._limiter.release(self.slots)


class Limiter:
    """The counters of a worker, which counts together with all that name the same folder. Names are ``key:NAME`` and
    ``route:NAME``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rates: SharedRates | None = None
        self.unsettled: deque[tuple[str, int, int, int]] = deque()
        self._warned = False
        self._slots: dict[str, Slots] = {}
        self._waiting: dict[str, deque[asyncio.Event]] = {}
        self._totals = UsageTotals(day="")
        self._spent: dict[str, tuple[Decimal, Decimal]] = {}

    async def admit(self, limited: Sequence[tuple[str, Limits]], *, tokens: int = 0) -> Admission:
        """Let a request in, perhaps after a wait; call what is returned when it is over.

        `tokens` is how many the request and its answer may use at most. Raises `ApiError` (429) with the time after
        which a new try makes sense.
        """
        acquired: list[str] = []
        rated = [one for one in limited if one[1].counts_rates]
        try:
            if any(limits.concurrency is not None for _, limits in limited):
                # Who is over a rate need not wait for a slot.
                self.admit_now(rated, tokens=tokens, count=False)
            for name, limits in limited:
                if limits.concurrency is not None:
                    await self._acquire_slot(name, limits.concurrency, limits.wait_ms)
                    acquired.append(name)
            admission = self.admit_now(rated, tokens=tokens)
        except OSError as error:
            self.release(acquired)
            raise self._unknown(error) from None
        except BaseException:
            self.release(acquired)
            raise
        if self._warned:
            log.info("what keys and routes have used is known again")
            self._warned = False
        admission.slots = acquired
        return admission

    def admit_now(
        self, rated: Sequence[tuple[str, Limits]], *, tokens: int = 0, count: bool = True
    ) -> Admission:
        """The same of limits of rates alone. With `count` the request is counted, for all names or for none. Raises
        `OSError` too, where what was used is not known."""
        places: list[str] = []
        second = 0
        if not rated:
            return Admission(self, places, 0, 0)
        rates = self._rates or self._opened()
        rates.lock()
        try:
            # Inside: a worker that waited for the others must not reckon with a time from before.
            now_s = time.monotonic()
            if self.unsettled:
                self._settle(rates, now_s)
            shared = rates.words[IS_SHARED] != 0
            counters = []
            for name, limits in rated:
                counter = rates.counter(name, now_s)
                kind = counter.lacks(limits, tokens, shared=shared)
                if kind is not None:
                    raise _refusal(name, limits, counter, kind, tokens, now_s, shared=shared)
                counters.append((name, limits, counter))
            if count:
                for name, limits, counter in counters:
                    if limits.tokens_per_minute is None:
                        second = counter.add(1, 0)
                    else:
                        places.append(name)
                        second = counter.add(1, tokens, held=True)
        finally:
            rates.unlock()
        return Admission(self, places, tokens, second)

    def settle(self) -> None:
        """Count what answers used that no request came after."""
        if self.unsettled:
            with contextlib.suppress(OSError), (rates := self._opened()).locked():
                self._settle(rates, time.monotonic())

    def learn(self, totals: UsageTotals) -> None:
        """How many gateways there are, and what all of them spent."""
        self._totals = totals
        self._spent = {name: (day, month) for name, day, month in totals.spent}

    @property
    def spent(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Dollars that each name has spent, on all gateways, today and in this month (UTC)."""
        return self._spent

    def unpriced(self, name: str) -> str | None:
        """The model of a charge to this name whose price is not known."""
        return self._totals.unpriced.get(name)

    def _opened(self) -> SharedRates:
        """The counters. Raises `OSError`."""
        if self._rates is None:
            self._rates = SharedRates(self._folder)
        return self._rates

    def _settle(self, rates: SharedRates, now_s: float) -> None:
        while self.unsettled:
            name, second, held, tokens = self.unsettled[0]
            rates.counter(name, now_s).settle(second, held, tokens)
            self.unsettled.popleft()

    def _unknown(self, error: OSError) -> ApiError:
        if not self._warned:
            log.warning(
                "what keys and routes have used is not known (%s): requests under a limit are refused", error
            )
            self._warned = True
        return ApiError(
            503,
            "what this key or route has used is not known at the moment; its limits let nothing through",
            code="limits_unknown",
            retry_after_s=1,
        )

    async def _acquire_slot(self, name: str, concurrency: int, wait_ms: float) -> None:
        """Take a place, perhaps after a wait."""
        most = share_of(concurrency, self._totals.gateways, self._totals.rank)
        slots = self._slots_of(name)
        queue = self._waiting.setdefault(name, deque())
        if not queue and slots.acquire(most):
            return
        if wait_ms > 0 and await self._queue(slots, queue, most, wait_ms / 1000):
            return
        raise ApiError(
            429,
            f"{name.replace(':', ' ')} has {concurrency} requests running, as many as it may",
            code="concurrency_limit_exceeded",
            retry_after_s=1,
        )

    async def _queue(self, slots: Slots, queue: deque[asyncio.Event], most: int, wait_s: float) -> bool:
        """Wait for a place, in turn; False when the deadline came first."""
        turn = asyncio.Event()
        queue.append(turn)
        slots.wait(1)
        deadline = time.monotonic() + wait_s
        try:
            while (rest := deadline - time.monotonic()) > 0:
                # Only the first in the queue looks now and then: slots come free in other workers too.
                pause = min(rest, _POLL_EVERY_S) if queue[0] is turn else rest
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(turn.wait(), pause)
                turn.clear()
                if queue[0] is turn and slots.acquire(most):
                    return True
            return False
        finally:
            queue.remove(turn)
            slots.wait(-1)
            if queue:
                queue[0].set()

    def _slots_of(self, name: str) -> Slots:
        existing = self._slots.get(name)
        if existing is None:
            existing = self._slots[name] = Slots(self._folder, name)
        return existing

    def release(self, names: Iterable[str]) -> None:
        """Give back the places of a request that is over."""
        for name in names:
            slots, queue = self._slots[name], self._waiting.get(name)
            slots.release()
            # Requests that wait here learn of it at once, those elsewhere a moment later: leave those their share.
            if queue and random.random() * (len(queue) + slots.waiting_elsewhere()) < len(queue):
                queue[0].set()


def share_of(limit: int, gateways: int, rank: int) -> int:
    """A gateway's part of a limit that several machines share; the parts add up to it."""
    return limit // gateways + (rank < limit % gateways)


def _refusal(
    name: str, limits: Limits, counter: RateCounter, kind: int, tokens: int, now_s: float, *, shared: bool
) -> ApiError:
    counter.note_short(kind)
    limit, need = (
        (limits.tokens_per_minute, tokens or 1) if kind == TOKENS else (limits.requests_per_minute, 1)
    )
    assert limit is not None
    most = counter.most(kind, limit) if shared else limit
    free_in_s = counter.free_in_s(kind, most, need, now_s)
    return ApiError(
        429,
        f"{name.replace(':', ' ')} may use {limit} {_KINDS[kind]} a minute",
        code="rate_limit_exceeded",
        type=_KINDS[kind],
        # What another gateway does not need comes within a second.
        retry_after_s=1.0 if most < limit else free_in_s,
        rate=RateState(
            kind=_KINDS[kind], limit=limit, remaining=max(0, most - counter.used(kind)), reset_s=free_in_s
        ),
    )


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
