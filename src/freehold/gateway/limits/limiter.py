"""Request and token rates, and concurrency, of keys and routes.

Rates are counted over a sliding minute: all of the current clock minute plus the share of the last one that
still lies within sixty seconds. Workers decide at once, on what they have counted themselves and what the
recorder last reported of all others (every quarter of a second); so several workers together may run
over a limit by what they let through in that time, and a single one never does. Libraries that ask a shared
storage for every request would put a database round trip on the hot path.

Covered: rates and money per key and route over all workers and machines of one store; concurrency, exactly over
the workers of a gateway (`slots`) and by equal shares over gateways; a queue with a deadline.
Not covered: the price of an answer is known only at its end. A cap may be overrun by the answers that are being
written when it is reached and by those of the half second until all workers know of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from freehold.gateway.limits.slots import LocalSlots, SharedSlots, Slots
from freehold.gateway.messages import UsageReport, UsageTotals
from freehold.types.route import Limits
from freehold.wire.errors import ApiError

WINDOW_S = 60
_POLL_EVERY_S = 0.01


class RateCounter:
    """What one key or route used in this minute and the last, of all workers as far as it is known here."""

    __slots__ = ("_last", "_now", "_unreported", "window")

    def __init__(self) -> None:
        self.window = 0
        self._now = [0.0, 0.0]
        self._last = [0.0, 0.0]
        self._unreported = [0, 0]

    def used(self, kind: int, now_s: float) -> float:
        """Requests (0) or tokens (1) in the sliding minute before `now_s`."""
        self._turn(now_s)
        share = 1 - (now_s % WINDOW_S) / WINDOW_S
        return self._last[kind] * share + self._now[kind] + self._unreported[kind]

    def add(self, requests: int, tokens: int, now_s: float) -> None:
        self._turn(now_s)
        self._unreported[0] += requests
        self._unreported[1] += tokens

    def take_unreported(self) -> tuple[int, int]:
        """What the other workers do not know yet; counted as known from now on."""
        requests, tokens = self._unreported
        self._now[0] += requests
        self._now[1] += tokens
        self._unreported = [0, 0]
        return requests, tokens

    def learn(self, window: int, requests: int, tokens: int) -> None:
        """What all have used, as the store says; it lags behind, so it never lowers what is known here."""
        if window == self.window:
            self._now = [max(self._now[0], requests), max(self._now[1], tokens)]
        elif window == self.window - 1:
            self._last = [max(self._last[0], requests), max(self._last[1], tokens)]

    def _turn(self, now_s: float) -> None:
        window = int(now_s // WINDOW_S)
        if window != self.window:
            ended = [self._now[0] + self._unreported[0], self._now[1] + self._unreported[1]]
            self._last = ended if window == self.window + 1 else [0.0, 0.0]
            self._now = [0.0, 0.0]
            self._unreported = [0, 0]
            self.window = window


class Limiter:
    """The counters of a worker. Names are ``key:NAME`` and ``route:NAME``."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._counters: dict[str, RateCounter] = {}
        self._slots: dict[str, Slots] = {}
        self._waiting: dict[str, deque[asyncio.Event]] = {}
        self._totals = UsageTotals(use=[], day="")
        self._spent: dict[str, tuple[Decimal, Decimal]] = {}

    def share(self, folder: Path) -> None:
        """Count concurrency together with all workers that name the same folder."""
        self._folder = folder

    async def admit(self, limited: Sequence[tuple[str, Limits]], *, paid: bool = False) -> Callable[[], None]:
        """Let a request in, perhaps after a wait; call what is returned when it is over.

        `paid` says that the endpoint that will answer charges for it. Raises `ApiError` (429) with the time after which
        a new try makes sense.
        """
        acquired: list[str] = []
        try:
            for name, limits in limited:
                self._check(name, limits, paid)
            for name, limits in limited:
                if limits.concurrency is not None:
                    waited = await self._acquire_slot(name, limits.concurrency, limits.wait_ms)
                    acquired.append(name)
                    if waited:
                        # Others were let in meanwhile.
                        self._check(name, limits, paid)
        except BaseException:
            self._release(acquired)
            raise
        now = time.time()
        for name, _ in limited:
            self._counter(name).add(1, 0, now)
        return lambda: self._release(acquired)

    def add_tokens(self, names: Iterable[str], tokens: int) -> None:
        """An answer used tokens."""
        now = time.time()
        for name in names:
            self._counter(name).add(0, tokens, now)

    def take_unreported(self) -> UsageReport | None:
        """What was used since the last call, None when nothing was."""
        window = int(time.time() // WINDOW_S)
        use = {}
        for name, counter in self._counters.items():
            if counter.window == window and (unreported := counter.take_unreported()) != (0, 0):
                use[name] = unreported
        return UsageReport(window, use) if use else None

    def learn(self, totals: UsageTotals) -> None:
        """What all workers and gateways used and spent."""
        self._totals = totals
        self._spent = {name: (day, month) for name, day, month in totals.spent}
        for name, window, requests, tokens in totals.use:
            if name in self._counters:
                self._counters[name].learn(window, requests, tokens)

    def _counter(self, name: str) -> RateCounter:
        existing = self._counters.get(name)
        if existing is None:
            existing = self._counters[name] = RateCounter()
        return existing

    def _check_rates(self, name: str, limits: Limits, now_s: float) -> None:
        counter = self._counter(name)
        for kind, most, what in (
            (0, limits.requests_per_minute, "requests"),
            (1, limits.tokens_per_minute, "tokens"),
        ):
            # Tokens are known afterwards: what was used must be below the limit when the next request comes.
            if most is not None and counter.used(kind, now_s) + (1 - kind) > most:
                raise ApiError(
                    429,
                    f"{name.replace(':', ' ')} may use {most} {what} a minute",
                    code="rate_limit_exceeded",
                    type="tokens" if kind else "requests",
                    retry_after_s=_until_free(counter, kind, most, now_s),
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

    def _check(self, name: str, limits: Limits, paid: bool) -> None:
        self._check_rates(name, limits, time.time())
        if paid and limits.caps_spending:
            self._check_money(name, limits, datetime.now(UTC))

    async def _acquire_slot(self, name: str, concurrency: int, wait_ms: float) -> bool:
        """Take a place; says whether it had to wait for it."""
        most = share_of(concurrency, self._totals.gateways, self._totals.rank)
        slots = self._slots_of(name)
        queue = self._waiting.setdefault(name, deque())
        if not queue and slots.acquire(most):
            return False
        if wait_ms > 0 and await self._queue(slots, queue, most, wait_ms / 1000):
            return True
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


def _until_free(counter: RateCounter, kind: int, most: int, now_s: float) -> float:
    """Seconds until the sliding minute has room again if no request comes in between; at most two minutes."""
    for ahead in range(1, 2 * WINDOW_S):
        later = now_s + ahead
        if int(later // WINDOW_S) == counter.window:
            share = 1 - (later % WINDOW_S) / WINDOW_S
            used = counter.used(kind, now_s) - counter._last[kind] * (1 - (now_s % WINDOW_S) / WINDOW_S)
            used += counter._last[kind] * share
        else:
            used = (counter._now[kind] + counter._unreported[kind]) * (1 - (later % WINDOW_S) / WINDOW_S)
        if used + (1 - kind) <= most:
            return float(ahead)
    return 2.0 * WINDOW_S
