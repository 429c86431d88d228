"""Old traces are forgotten, by a clock that is believed only when it agrees with what else is known.

The retention clock goes on by the monotonic clock from the last moment that was believed, which is kept in the store.
The system's clock sets it right within `TOLERANCE`. A larger lead is a step, or time in which nothing ran: it counts
after `CONFIRM` of running time in which it never was smaller. What is recorded while the clock is set back has a wrong
date, so it is kept for the whole time from when the clock was right again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar, NamedTuple

import msgspec

from freehold.store import Store
from freehold.store.erase import give_back
from freehold.store.tables import from_micros, to_micros
from freehold.types.record import Record, StoredRecord

log = logging.getLogger("freehold.gateway.recorder")

SECOND = 1_000_000
TOLERANCE = 3_600 * SECOND
CONFIRM = 24 * 3_600 * SECOND
MOST_DAYS = 36_500.0
"""More days than this are this many: a date must come out."""
LARGE_SHARE, LARGE_COUNT = 0.1, 100
"""From this share and this many traces at once on, a deletion is a warning in the log."""


class Undated(Record, frozen=True, kw_only=True):
    """Places of traces whose dates are wrong. `last` is None while the clock is still back; `until` is in microseconds
    of the retention clock."""

    first: int
    last: int | None = None
    until: int | None = None


class RetentionClock(StoredRecord, frozen=True, kw_only=True):
    """What retention believes, in microseconds since 1970. `lead` is the smallest lead of the system's clock during
    `steady` microseconds of running; `place` is that of the newest trace at the last sweep."""

    kind: ClassVar[str] = "retention_clock"
    unaudited: ClassVar[str | None] = "it goes on by itself; what is deleted by it has its entry"

    id: str = "traces"
    believed: int
    lead: int | None = None
    steady: int = 0
    place: int = 0
    undated: tuple[Undated, ...] = ()


class Moment(NamedTuple):
    """One sweep: the system's clock, the running time since the last sweep, and the newest trace's place."""

    wall: int
    running: int
    place: int


def advance(clock: RetentionClock, now: Moment, keep: int) -> tuple[RetentionClock, str | None]:
    """The clock at the next sweep, and what the log should say. `keep` is how long traces are kept."""
    expected = clock.believed + now.running
    lead = now.wall - expected
    undated = tuple(u for u in clock.undated if u.until is None or u.until > expected)
    if abs(lead) <= TOLERANCE:
        said = None if clock.lead is None else "the clock agrees again with the time that has passed"
        believed = _right_again(undated, now.place, now.wall + keep)
        return RetentionClock(believed=now.wall, place=now.place, undated=believed), said
    hours = f"{abs(lead) / TOLERANCE:,.0f} hours"
    steady = clock.steady + now.running if clock.lead is not None else 0
    if lead > 0:
        smallest = lead if clock.lead is None or clock.lead < 0 else min(lead, clock.lead)
        if steady >= CONFIRM:
            closed = _right_again(undated, now.place, now.wall + keep)
            after = RetentionClock(believed=expected + smallest, place=now.place, undated=closed)
            return after, f"the clock has been {hours} ahead for a day of running: it is believed now"
        said = f"the clock is {hours} ahead of the time that has passed: it is not believed before a day of running"
    else:
        smallest = lead
        if steady >= CONFIRM:
            settled = tuple(u for u in undated if u.last is not None)
            after = RetentionClock(believed=now.wall, place=now.place, undated=settled)
            return after, f"the clock has been {hours} back for a day of running: it is believed now"
        if not any(u.last is None for u in undated):
            undated = (*undated, Undated(first=clock.place + 1))
        said = f"the clock was set back by {hours}: what is recorded until it is right is kept for the whole time"
    after = RetentionClock(believed=expected, lead=smallest, steady=steady, place=now.place, undated=undated)
    return after, said if clock.lead is None else None


def _right_again(undated: tuple[Undated, ...], place: int, until: int) -> tuple[Undated, ...]:
    return tuple(
        msgspec.structs.replace(u, last=place, until=until) if u.last is None else u for u in undated
    )


class Retention:
    """Applies the configured age and size to a store; None where one does not matter. `now` and `monotonic` are the
    system's clocks."""

    def __init__(
        self,
        days: float | None,
        keep_bytes: int | None,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now, self._monotonic = now, monotonic
        self._swept: float | None = None
        self.keep(days, keep_bytes)

    def keep(self, days: float | None, keep_bytes: int | None) -> None:
        """Apply another age and size from now on."""
        self._days = None if days is None else min(max(days, 0.0), MOST_DAYS)
        self._keep_bytes = keep_bytes

    def sweep(self, store: Store) -> None:
        """Delete what is too old or too much. Raises `StorageError`."""
        if self._days is not None:
            self._by_age(store, timedelta(days=self._days))
        if self._keep_bytes is not None:
            gone = store.shrink_traces(self._keep_bytes)
            if gone:
                log.info("%d traces were beyond the size to keep and are forgotten", gone)
        freed = give_back(store.database)
        if freed:
            log.info("the store's file is smaller by %.1f MiB", freed / (1 << 20))

    def _with_backdated(
        self, store: Store, clock: RetentionClock, moment: Moment, keep: timedelta
    ) -> RetentionClock:
        """With what came since the last sweep and is dated long before it: the clock was back in between, unseen."""
        earliest = from_micros(clock.believed - TOLERANCE)
        found = store.backdated_traces(after=clock.place, before=earliest)
        if not found or any(undated.last is None for undated in clock.undated):
            return clock
        log.warning(
            "%d traces are dated before they can have been recorded: they are kept for the whole time", found
        )
        until = clock.believed + moment.running + keep // timedelta(microseconds=1)
        spared = Undated(first=clock.place + 1, last=moment.place, until=until)
        return msgspec.structs.replace(clock, undated=(*clock.undated, spared))

    def _by_age(self, store: Store, keep: timedelta) -> None:
        wall, running = self._now(), self._monotonic()
        newest = store.newest_trace()
        moment = Moment(
            wall=to_micros(wall),
            running=0 if self._swept is None else round((running - self._swept) * SECOND),
            place=newest.place,
        )
        clock = store.get(RetentionClock, "traces")
        if clock is None:
            # The newest trace is the only witness there is; where there is none, nothing can be deleted wrongly.
            witness = moment.wall if newest.at is None else min(moment.wall, newest.at)
            clock = RetentionClock(believed=witness, place=newest.place)
        else:
            clock = self._with_backdated(store, clock, moment, keep)
        clock, said = advance(clock, moment, keep // timedelta(microseconds=1))
        store.put(clock)
        self._swept = running
        if said is not None:
            log.warning("%s", said)
        before = from_micros(min(clock.believed, moment.wall)) - keep
        sparing = [(undated.first, undated.last) for undated in clock.undated]
        gone = store.delete_traces(before=before, sparing=sparing, at=wall)
        if gone:
            total = gone + store.count_traces(complete_only=False, replaced=True)
            large = gone >= LARGE_COUNT and gone > LARGE_SHARE * total
            log.log(
                logging.WARNING if large else logging.INFO,
                "%d of %d traces were older than %s UTC and are forgotten",
                gone,
                total,
                f"{before:%Y-%m-%d %H:%M}",
            )
