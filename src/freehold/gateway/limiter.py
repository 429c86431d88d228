"""Request and token rates, and concurrency, of keys and routes.

Rates are counted over a sliding minute: all of the current clock minute plus the share of the last one that
still lies within sixty seconds. Workers decide at once, on what they have counted themselves and what the
recorder last told them of all the others (every quarter of a second); so several workers together may run
over a limit by what they let through in that time, and a single one never does. Libraries that ask a shared
storage for every request would put a database round trip on the hot path.

Covered: rates per key and route over all workers and machines of one store; concurrency per worker process,
with a queue that has a deadline.
Not covered: concurrency over several workers (each has its share of the limit).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from freehold.types.route import Limits
from freehold.wire.errors import ApiError

WINDOW_S = 60


class Counter:
    """What one key or route used in this minute and the last: known from all, and our own not yet known."""

    __slots__ = ("_last", "_now", "_ours", "window")

    def __init__(self) -> None:
        self.window = 0
        self._now = [0.0, 0.0]
        self._last = [0.0, 0.0]
        self._ours = [0, 0]

    def used(self, kind: int, now_s: float) -> float:
        """Requests (0) or tokens (1) in the sliding minute before `now_s`."""
        self._turn(now_s)
        share = 1 - (now_s % WINDOW_S) / WINDOW_S
        return self._last[kind] * share + self._now[kind] + self._ours[kind]

    def add(self, requests: int, tokens: int, now_s: float) -> None:
        self._turn(now_s)
        self._ours[0] += requests
        self._ours[1] += tokens

    def take_ours(self) -> tuple[int, int]:
        """What is to be told to the others; counted as known from now on."""
        requests, tokens = self._ours
        self._now[0] += requests
        self._now[1] += tokens
        self._ours = [0, 0]
        return requests, tokens

    def learn(self, window: int, requests: int, tokens: int) -> None:
        """What all have used, as the store says; it lags behind, so it never lowers what we know."""
        if window == self.window:
            self._now = [max(self._now[0], requests), max(self._now[1], tokens)]
        elif window == self.window - 1:
            self._last = [max(self._last[0], requests), max(self._last[1], tokens)]

    def _turn(self, now_s: float) -> None:
        window = int(now_s // WINDOW_S)
        if window != self.window:
            ended = [self._now[0] + self._ours[0], self._now[1] + self._ours[1]]
            self._last = ended if window == self.window + 1 else [0.0, 0.0]
            self._now = [0.0, 0.0]
            self._ours = [0, 0]
            self.window = window


class Limiter:
    """The counters of a worker. Names are ``key:NAME`` and ``route:NAME``."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._counters: dict[str, Counter] = {}
        self._running: dict[str, int] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}

    async def admit(self, wanted: Iterable[tuple[str, Limits]]) -> Callable[[], None]:
        """Let a request in, perhaps after a wait; call what is returned when it is over.

        Raises `ApiError` (429) with the time after which a new try makes sense.
        """
        taken: list[str] = []
        try:
            for name, limits in wanted:
                self._check_rates(name, limits, time.time())
                if limits.concurrency is not None:
                    await self._take_place(name, limits.concurrency, limits.wait_ms)
                    taken.append(name)
        except BaseException:
            self._give_back(taken)
            raise
        now = time.time()
        for name, _ in wanted:
            self._counter(name).add(1, 0, now)
        return lambda: self._give_back(taken)

    def spent(self, names: Iterable[str], tokens: int) -> None:
        """An answer used tokens."""
        now = time.time()
        for name in names:
            self._counter(name).add(0, tokens, now)

    def take_ours(self) -> tuple[int, dict[str, tuple[int, int]]]:
        """The window and what was used in it since the last call."""
        window = int(time.time() // WINDOW_S)
        ours = {}
        for name, counter in self._counters.items():
            if counter.window == window and (use := counter.take_ours()) != (0, 0):
                ours[name] = use
        return window, ours

    def learn(self, totals: Iterable[tuple[str, int, int, int]]) -> None:
        """Totals of all workers: name, window, requests, tokens."""
        for name, window, requests, tokens in totals:
            if name in self._counters:
                self._counters[name].learn(window, requests, tokens)

    def _counter(self, name: str) -> Counter:
        found = self._counters.get(name)
        if found is None:
            found = self._counters[name] = Counter()
        return found

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

    async def _take_place(self, name: str, concurrency: int, wait_ms: float) -> None:
        most = max(1, concurrency // self._workers)
        if self._running.get(name, 0) < most:
            self._running[name] = self._running.get(name, 0) + 1
            return
        if wait_ms > 0:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            queue = self._waiting.setdefault(name, [])
            queue.append(place)
            try:
                await asyncio.wait_for(place, wait_ms / 1000)
                return
            except TimeoutError:
                pass
            finally:
                if place in queue:
                    queue.remove(place)
        raise ApiError(
            429,
            f"{name.replace(':', ' ')} has {concurrency} requests running, as many as it may",
            code="concurrency_limit_exceeded",
            retry_after_s=1,
        )

    def _give_back(self, names: Iterable[str]) -> None:
        for name in names:
            queue = self._waiting.get(name, [])
            while queue:
                place = queue.pop(0)
                if not place.done():
                    # The place goes to who waited longest; the number of running requests stays.
                    place.set_result(None)
                    break
            else:
                self._running[name] -= 1


def _until_free(counter: Counter, kind: int, most: int, now_s: float) -> float:
    """Seconds until the sliding minute has room again if nobody asks in between; at most two minutes."""
    for ahead in range(1, 2 * WINDOW_S):
        later = now_s + ahead
        if int(later // WINDOW_S) == counter.window:
            share = 1 - (later % WINDOW_S) / WINDOW_S
            used = counter.used(kind, now_s) - counter._last[kind] * (1 - (now_s % WINDOW_S) / WINDOW_S)
            used += counter._last[kind] * share
        else:
            used = (counter._now[kind] + counter._ours[kind]) * (1 - (later % WINDOW_S) / WINDOW_S)
        if used + (1 - kind) <= most:
            return float(ahead)
    return 2.0 * WINDOW_S
