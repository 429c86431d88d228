"""Request and token rates, and concurrency, of keys and routes.

Rates are counted over a sliding minute: all of the current clock minute plus the share of the last one that
still lies within sixty seconds. The workers of a gateway count in one page of memory (`rates`), so that a rate of
requests is never run over by them; what other gateways on the store used is known as of the recorder's last report
(every quarter of a second). Libraries that ask a shared storage for every request would put a database round trip on
the hot path. Where the page is not to be had, requests that have such a limit are refused.

Covered: rates and money per key and route over all workers and machines of one store; concurrency, exactly over
the workers of a gateway (`slots`) and by equal shares over gateways; a queue with a deadline.
Not covered: the tokens and the price of an answer are known only at its end. A rate of tokens is overrun by the answers
that were running when it was reached, which a limit of concurrency bounds. Several gateways together overrun a rate
by what each lets in within half a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from freehold.gateway.limits.rates import (
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
from freehold.wire.errors import ApiError

log = logging.getLogger("freehold.gateway")
_POLL_EVERY_S = 0.01


class Limiter:
    """The counters of a worker. Names are ``key:NAME`` and ``route:NAME``."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._rates: Rates | None = LocalRates()
        self._names: set[str] = set()
        self._learned: dict[tuple[str, int], tuple[int, int]] = {}
        self._uncounted: dict[str, int] = {}
        self._warned = self._shares_slots = False
        self._slots: dict[str, Slots] = {}
        self._waiting: dict[str, deque[asyncio.Event]] = {}
        self._totals = UsageTotals(use=[], day="")
        self._spent: dict[str, tuple[Decimal, Decimal]] = {}

    def share(self, folder: Path) -> None:
        """Count together with all workers that name the same folder."""
        self._folder = folder
        self._rates = None

    async def admit(self, limited: Sequence[tuple[str, Limits]], *, paid: bool = False) -> Callable[[], None]:
        """Let a request in, perhaps after a wait; call what is returned when it is over.

        `paid` says that the endpoint that will answer charges for it. Raises `ApiError` (429) with the time after which
        a new try makes sense.
        """
        acquired: list[str] = []
        try:
            if any(limits.concurrency is not None for _, limits in limited):
                # Who is over a rate need not wait for a slot.
                self._check(limited, paid, count=False)
            for name, limits in limited:
                if limits.concurrency is not None:
                    await self._acquire_slot(name, limits.concurrency, limits.wait_ms)
                    acquired.append(name)
            self._check(limited, paid, count=True)
        except OSError as error:
            self._release(acquired)
            raise self._unknown(error) from None
        except BaseException:
            self._release(acquired)
            raise
        if self._warned:
            log.info("what keys and routes have used is known again")
            self._warned = False
        return lambda: self._release(acquired)

    def add_tokens(self, names: Iterable[str], tokens: int) -> None:
        """An answer used tokens. Names whose rates are not limited are left out."""
        rated = [name for name in names if name in self._names]
        for name in rated:
            self._uncounted[name] = self._uncounted.get(name, 0) + tokens
        if not rated:
            return
        # What can't be counted now is counted with the next.
        with contextlib.suppress(OSError), self._counting() as counted:
            self._count_tokens(counted, time.time())

    def take_unreported(self) -> UsageReport | None:
        """What was used since the last call of any worker, None when nothing was."""
        window = int(time.time() // WINDOW_S)
        use = {}
        if self._names:
            with contextlib.suppress(OSError), self._counting() as counted:
                for name in self._names:
                    counter = counted(name)
                    if counter.window == window and (unreported := counter.take_unreported()) != (0, 0):
                        use[name] = unreported
        # Once it has heard of use, the recorder counts the gateways on the store, which share a concurrency.
        report = UsageReport(window, use) if use or self._shares_slots else None
        self._shares_slots = False
        return report

    def learn(self, totals: UsageTotals) -> None:
        """What all workers and gateways used and spent."""
        self._totals = totals
        self._spent = {name: (day, month) for name, day, month in totals.spent}
        news = {(name, window): (requests, tokens) for name, window, requests, tokens in totals.use}
        known, self._learned = self._learned, news
        changed = [(name, used) for name, used in news.items() if known.get(name) != used]
        if not changed:
            return
        try:
            with self._counting() as counted:
                now_s = time.time()
                for (name, window), used in changed:
                    counted(name).learn(window, *used, now_s)
        except OSError:
            self._learned = known  # the next report says it again

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

    def _count_tokens(self, counted: Counted, now_s: float) -> None:
        for name, tokens in list(self._uncounted.items()):
            counted(name).add(0, tokens, now_s)
            del self._uncounted[name]

    def _check(self, limited: Sequence[tuple[str, Limits]], paid: bool, *, count: bool) -> None:
        """Whether all limits have room; with `count`, the request is counted, for all names or for none."""
        if paid:
            for name, limits in limited:
                if limits.caps_spending:
                    self._check_money(name, limits, datetime.now(UTC))
        rated = [(name, limits) for name, limits in limited if limits.counts_rates]
        if not rated:
            return
        with self._counting() as counted:
            # Inside: a worker that waited for the others must not reckon with a time from before.
            now_s = time.time()
            if self._uncounted:
                self._count_tokens(counted, now_s)
            for name, limits in rated:
                _check_rates(name, limits, counted(name), now_s)
            if count:
                for name, _ in rated:
                    self._names.add(name)
                    counted(name).add(1, 0, now_s)

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

    def _release(self, names: Iterable[str]) -> None:
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


def _check_rates(name: str, limits: Limits, counter: RateCounter, now_s: float) -> None:
    for kind, most, what in (
        (0, limits.requests_per_minute, "requests"),
        (1, limits.tokens_per_minute, "tokens"),
    ):
        if most is not None and not _has_room(kind, counter.used(kind, now_s), most):
            raise ApiError(
                429,
                f"{name.replace(':', ' ')} may use {most} {what} a minute",
                code="rate_limit_exceeded",
                type="tokens" if kind else "requests",
                retry_after_s=_until_free(counter, kind, most, now_s),
            )


def _until_free(counter: RateCounter, kind: int, most: int, now_s: float) -> float:
    """Seconds until the sliding minute has room again if no request comes in between; at most two minutes."""
    for ahead_s in range(1, 2 * WINDOW_S):
        if _has_room(kind, counter.used_later(kind, now_s, ahead_s), most):
            return float(ahead_s)
    return 2.0 * WINDOW_S


def _has_room(kind: int, used: float, most: int) -> bool:
    """Tokens are known afterwards: what was used must be below the limit when the next request comes."""
    return used < most if kind else used + 1 <= most
