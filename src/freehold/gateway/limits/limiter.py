"""Request and token rates, and concurrency, of keys, labels and routes.

Rates are counted over the last sixty seconds (`rates`), by all workers of a gateway in one page of memory: no sixty
seconds hold more requests than the limit. The tokens of an answer are known at its end, so the most that it may use is
reserved when it is let in, as spending is (`ledger`), and what it used takes that place afterwards. While no answer is
running one request is let in however few tokens are left: so a rate of tokens is overrun by one answer at most.
Several gateways on a store each have a share of a limit, which follows what each is asked for (`shares`). Libraries
that ask a shared storage for every request would put a database round trip on the hot path. Where the page is not to
be had, requests that have such a limit are refused.

Covered: rates and money per key, label and route over all workers and machines of one store; concurrency, exactly over
the workers of a gateway (`slots`) and by equal shares over gateways; a queue with a deadline.
Not covered: what an answer uses beyond what was reserved for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from freehold.gateway.limits.rates import (
    REQUESTS,
    TOKENS,
    WINDOW_S,
    Counted,
    LocalRates,
    RateCounter,
    Rates,
    SharedRates,
)
from freehold.gateway.limits.slots import LocalSlots, SharedSlots, Slots
from freehold.gateway.messages import UsageReport, UsageTotals
from freehold.types.route import Limits
from freehold.wire.errors import ApiError, RateState

log = logging.getLogger("freehold.gateway")
_POLL_EVERY_S = 0.01
_KINDS = ("requests", "tokens")


class Admission:
    """A request that was let in: say what it used, and call it when it is over."""

    __slots__ = ("_limiter", "_places", "_reserved", "_second", "_slots")

    def __init__(
        self, limiter: Limiter, slots: Sequence[str], places: Sequence[str], reserved: int, second: int
    ) -> None:
        self._limiter = limiter
        self._slots = slots
        self._places = places
        self._reserved = reserved
        self._second = second

    def settle(self, tokens: int) -> None:
        """The tokens that an answer used, in the place of those that were reserved; of a further one, in addition."""
        reserved, self._reserved = self._reserved, 0
        if self._places and (tokens or reserved):
            self._limiter.settle(self._places, self._second, reserved, tokens)

    def __call__(self) -> None:
        self._limiter.release(self._slots)


class Limiter:
    """The counters of a worker. Names are ``key:NAME`` and ``route:NAME``."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._rates: Rates | None = LocalRates()
        self._names: set[str] = set()
        self._unsettled: deque[tuple[str, int, int, int]] = deque()
        self._warned = self._shares_slots = False
        self._slots: dict[str, Slots] = {}
        self._waiting: dict[str, deque[asyncio.Event]] = {}
        self._totals = UsageTotals(day="")
        self._spent: dict[str, tuple[Decimal, Decimal]] = {}

    def share(self, folder: Path) -> None:
        """Count together with all workers that name the same folder."""
        self._folder = folder
        self._rates = None

    async def admit(
        self, limited: Sequence[tuple[str, Limits]], *, paid: bool = False, tokens: int = 0
    ) -> Admission:
        """Let a request in, perhaps after a wait; call what is returned when it is over.

        `paid` says that the endpoint that will answer charges for it, `tokens` how many the request and its answer may
        use at most. Raises `ApiError` (429) with the time after which a new try makes sense.
        """
        acquired: list[str] = []
        try:
            if any(limits.concurrency is not None for _, limits in limited):
                # Who is over a rate need not wait for a slot.
                self._check(limited, paid, tokens, count=False)
            for name, limits in limited:
                if limits.concurrency is not None:
                    await self._acquire_slot(name, limits.concurrency, limits.wait_ms)
                    acquired.append(name)
            admission = self._check(limited, paid, tokens, count=True)
        except OSError as error:
            self.release(acquired)
            raise self._unknown(error) from None
        except BaseException:
            self.release(acquired)
            raise
        if self._warned:
            log.info("what keys and routes have used is known again")
            self._warned = False
        return Admission(self, acquired, *admission)

    def admit_now(self, limited: Sequence[tuple[str, Limits]], *, tokens: int = 0) -> Admission:
        """The same where no limit has a queue, and no cap on spending. Raises `OSError` too, where what was used is not
        known."""
        return Admission(self, (), *self._check(limited, False, tokens, count=True))

    def settle(self, names: Iterable[str], second: int, held: int, tokens: int) -> None:
        """A request that reserved `held` tokens in `second` used `tokens`: counted with the next request that is let in
        here, or with the next report. Until then what was reserved is counted."""
        for name in names:
            self._unsettled.append((name, second, held, tokens))

    def take_unreported(self) -> UsageReport | None:
        """What was used since the last call of any worker, None when nothing was."""
        use = {}
        if self._unsettled:
            with contextlib.suppress(OSError), self._counting() as counted:
                self._settle(counted, time.monotonic())
        # Only what was counted since the last call: all that ever were would hold up the loop, and the other workers.
        names, self._names = self._names, set()
        if names:
            try:
                with self._counting() as counted:
                    for name in names:
                        if (unreported := counted(name).take_unreported()) != (0, 0):
                            use[name] = unreported
            except OSError:
                self._names |= names
        # Once it has heard of use, the recorder counts the gateways on the store, which share a concurrency.
        report = UsageReport(int(time.time() // WINDOW_S), use) if use or self._shares_slots else None
        self._shares_slots = False
        return report

    def learn(self, totals: UsageTotals) -> None:
        """How many gateways there are, and what all of them spent."""
        self._totals = totals
        self._spent = {name: (day, month) for name, day, month in totals.spent}

    @property
    def spent(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Dollars that each name has spent, on all gateways, today and in this month (UTC)."""
        return self._spent

    def _counting(self) -> AbstractContextManager[Counted]:
        """The counters. Raises `OSError`, here and when it is entered."""
        if self._rates is None:
            assert self._folder is not None
            self._rates = SharedRates(self._folder)
        return self._rates.counting()

    def _settle(self, counted: Counted, now_s: float) -> None:
        while self._unsettled:
            name, second, held, tokens = self._unsettled[0]
            counted(name).settle(second, held, tokens, now_s)
            self._names.add(name)
            self._unsettled.popleft()

    def _check(
        self, limited: Sequence[tuple[str, Limits]], paid: bool, tokens: int, *, count: bool
    ) -> tuple[Sequence[str], int, int]:
        """Whether all limits have room; with `count`, the request is counted, for all names or for none. Returns the
        names whose tokens are limited, how many were reserved for each, and the second that they are counted in."""
        if paid:
            for name, limits in limited:
                if limits.caps_spending:
                    self._check_money(name, limits, datetime.now(UTC))
        rated = [(name, limits) for name, limits in limited if limits.counts_rates]
        if not rated:
            return (), 0, 0
        with self._counting() as counted:
            # Inside: a worker that waited for the others must not reckon with a time from before.
            now_s = time.monotonic()
            if self._unsettled:
                self._settle(counted, now_s)
            shared = self._rates is not None and self._rates.is_shared
            for name, limits in rated:
                _check_rates(name, limits, counted(name), (1, max(1, tokens)), now_s, shared=shared)
            if not count:
                return (), 0, 0
            second = 0
            for name, limits in rated:
                self._names.add(name)
                reserved = tokens if limits.tokens_per_minute is not None else 0
                second = counted(name).add(1, reserved, now_s, held=True)
        return [name for name, limits in rated if limits.tokens_per_minute is not None], tokens, second

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

    def _check_money(self, name: str, limits: Limits, now: datetime) -> None:
        shown = name.replace(":", " ")
        model = self._totals.unpriced.get(name)
        if model is not None:
            raise ApiError(
                429,
                f"{shown} has a spend cap, and no price of {model[:100]} is known",
                code="price_unknown",
                type="insufficient_quota",
            )
        day, month = self._spent.get(name, (Decimal(0), Decimal(0)))
        today = now.strftime("%Y-%m-%d")
        if self._totals.day != today:
            # Midnight has passed since the last totals came.
            day, month = Decimal(0), month if self._totals.day[:7] == today[:7] else Decimal(0)
        for most, used, what, ends in (
            (limits.usd_per_day, day, "a day", _next_day(now)),
            (limits.usd_per_month, month, "a month", _next_month(now)),
        ):
            if most is not None and used >= most:
                raise ApiError(
                    429,
                    f"{shown} may spend {most} USD {what} (UTC), and has spent {used:.6f}",
                    code="spend_cap_reached",
                    type="insufficient_quota",
                    retry_after_s=(ends - now).total_seconds(),
                )

    async def _acquire_slot(self, name: str, concurrency: int, wait_ms: float) -> None:
        """Take a place, perhaps after a wait."""
        self._shares_slots = True
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
            existing = LocalSlots() if self._folder is None else SharedSlots(self._folder, name)
            self._slots[name] = existing
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


def _next_day(now: datetime) -> datetime:
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _check_rates(
    name: str, limits: Limits, counter: RateCounter, need: tuple[int, int], now_s: float, *, shared: bool
) -> None:
    for kind, limit in ((REQUESTS, limits.requests_per_minute), (TOKENS, limits.tokens_per_minute)):
        if limit is None:
            continue
        most, used = counter.most(kind, limit, shared=shared), counter.used(kind, now_s)
        if used + need[kind] <= most:
            continue
        if kind == TOKENS and used < most and not counter.holds(now_s):
            continue
        counter.note_short(kind)
        # What another gateway does not need comes within a second.
        free_in_s = counter.free_in_s(kind, most, need[kind], now_s)
        raise ApiError(
            429,
            f"{name.replace(':', ' ')} may use {limit} {_KINDS[kind]} a minute",
            code="rate_limit_exceeded",
            type=_KINDS[kind],
            retry_after_s=1.0 if most < limit else free_in_s,
            rate=RateState(kind=_KINDS[kind], limit=limit, remaining=max(0, most - used), reset_s=free_in_s),
        )
