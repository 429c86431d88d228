"""What capped keys and routes have spent and reserved, in memory that the processes of a gateway share.

Before an endpoint that charges is asked, an upper estimate of the answer's cost is reserved; afterwards the true cost
takes its place, and stays until the recorder has booked it in the store and said so here. Each name has a small file in
the gateway's run folder: in front what the store says all gateways have spent, which only the recorder writes, then a
cell for each worker with what it has reserved. A reservation is made under the file's lock after adding up all cells,
so two workers never give out the same dollar.

When the store's figures are older than `STALE_S`, because it is locked, full or gone or the recorder is stuck, nothing
that is capped is let through. Of several gateways on one store each may reserve its share of what is left, which the
recorder writes here (`store.shares`). The cells of a worker that was killed stay reserved until its spool is drained;
what no bill accounts for is booked as spent.

Bound: where nothing else is running, one request is let through however little is left, for the cost of an answer is
known only at its end; where there are several gateways, by one of them. So a cap is overrun by at most one answer, and
by what answers cost beyond their estimates.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

from freehold.gateway.limits.shared_page import SharedPage
from freehold.types.route import Limits
from freehold.wire.errors import ApiError

log = logging.getLogger("freehold.gateway")
STALE_S = 1.0
NANO = 10**9
# The words of a name: nanodollars of the day and of its month, the day's number (0 while nothing is known); one more
# than the nanodollars this gateway may reserve (0 while that is not known), whether one request may go beyond, whether
# that was too little. Then cells: a worker, and nanodollars that it has reserved; behind the last one used is a zero.
_DAY, _MONTH, _TODAY, _SHARE, _ALONE, _SHORT = range(6)
_CELLS_AT, _CELLS_END = 8, 8 + 2 * 256
_FREED = -1
_BEAT, _SHARED = range(2)
"""The words of the recorder's last sign: monotonic nanoseconds, whether several gateways share the store."""


class SpendFile(SharedPage):
    """The file of one name."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises `OSError`."""
        digest = hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
        super().__init__(folder / f"spend-{digest}", _CELLS_END + 1)
        self._at: int | None = None

    def spent(self, now: datetime) -> tuple[int, int] | None:
        """Nanodollars today and this month; None while they are not known."""
        day, month, number = self.words[: _TODAY + 1]
        if not number:
            return None
        today = now.date()
        if number != today.toordinal():
            booked = datetime.fromordinal(number)
            day, month = 0, month if (booked.year, booked.month) == (today.year, today.month) else 0
        return day, month

    def publish(self, day: int, month: int, at: datetime) -> None:
        with self.locked():
            self.words[_DAY], self.words[_MONTH] = day, month
            self.words[_TODAY] = at.date().toordinal()

    def share(self) -> int | None:
        """What this gateway may reserve where several share; None while that is not known."""
        return self.words[_SHARE] - 1 if self.words[_SHARE] else None

    def set_share(self, nano: int | None, *, alone: bool) -> None:
        """By the recorder."""
        with self.locked():
            self.words[_SHARE] = 0 if nano is None else nano + 1
            self.words[_ALONE], self.words[_SHORT] = alone, False

    def is_told(self, nano: int | None, *, alone: bool) -> bool:
        """Whether `set_share` would change nothing."""
        return (self.share(), self.may_go_alone, self.is_short) == (nano, alone, False)

    def note_short(self) -> None:
        """A request was refused that all of what is left might have had room for."""
        self.words[_SHORT] = True

    @property
    def is_short(self) -> bool:
        return bool(self.words[_SHORT])

    @property
    def may_go_alone(self) -> bool:
        """Whether one request may be let in beyond the share while nothing is running."""
        return bool(self.words[_ALONE])

    def reserved(self) -> int:
        """Nanodollars reserved by all workers of the gateway."""
        words, at, total = self.words, _CELLS_AT, 0
        while words[at]:
            total += words[at + 1]
            at += 2
        return total

    def change(self, worker: int, nano: int) -> None:
        """Add to this worker's cell. Only its first use needs the lock."""
        if self._at is None:
            self._at = self._own_cell(worker)
        self.words[self._at + 1] = max(0, self.words[self._at + 1] + nano)
        self.words[self._at] = worker

    def take(self, worker: int) -> int:
        """Free the cell of a worker that is gone; returns what it had reserved."""
        with self.locked():
            for at in range(_CELLS_AT, _CELLS_END, 2):
                if self.words[at] == worker:
                    nano, self.words[at + 1] = self.words[at + 1], 0
                    self.words[at] = _FREED
                    return nano
        return 0

    def _own_cell(self, worker: int) -> int:
        for at in range(_CELLS_AT, _CELLS_END, 2):
            if self.words[at] in (0, _FREED, worker):
                return at
        raise TimeoutError


class SpendLedger:
    """All names. A `worker` reserves, and says later what it came to; the recorder writes what the store says."""

    def __init__(self, folder: Path, worker: str = "") -> None:
        self._folder = folder
        self._worker = ledger_id(worker)
        self._files: dict[str, SpendFile] = {}
        self._published: dict[str, tuple[int, int, str]] = {}
        self._beat: SharedPage | None = None
        self._warned = False

    def file(self, name: str) -> SpendFile:
        """That of a name. Raises `OSError`."""
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = SpendFile(self._folder, name)
        return file

    # By a worker

    def reserve(self, capped: Sequence[tuple[str, Limits]], nano: int) -> None:
        """For all names or for none. Raises `ApiError`: 429 where a cap is reached, 503 where that is unknown."""
        now = datetime.now(UTC)
        reserved: list[str] = []
        try:
            shared = self._is_shared()
            for name, limits in capped:
                file = self.file(name)
                with file.locked():
                    _check(name, limits, file, nano, now, shared=shared)
                    file.change(self._worker, nano)
                reserved.append(name)
        except (TimeoutError, OSError) as error:
            self.change(reserved, -nano)
            if not self._warned:
                log.warning("what was spent is not known (%s): requests under a spend cap are refused", error)
                self._warned = True
            raise ApiError(
                503,
                "what this key or route has spent is not known at the moment; its spend cap lets nothing through",
                code="spend_unknown",
                retry_after_s=1,
            ) from None
        except ApiError:
            self.change(reserved, -nano)
            raise
        if self._warned:
            log.info("what was spent is known again")
            self._warned = False

    def change(self, names: Iterable[str], nano: int) -> None:
        """Reserve more, or less, without asking."""
        for name in names:
            self.file(name).change(self._worker, nano)

    def _is_shared(self) -> bool:
        """Whether gateways share the store. Raises `TimeoutError` when the recorder's word is too old."""
        at, shared = self._opened_beat().words
        age_s = (time.monotonic_ns() - at) / 1e9
        if not at or age_s > STALE_S:
            raise TimeoutError(
                f"the store was last heard of {age_s:.1f} s ago" if at else "nothing heard yet"
            )
        return bool(shared)

    def _opened_beat(self) -> SharedPage:
        if self._beat is None:
            self._beat = SharedPage(self._folder / "spend-beat", 2)
        return self._beat

    # By the recorder

    def publish(self, names: Iterable[str], spent: Mapping[str, tuple[int, int]], *, at: datetime) -> None:
        """The nanodollars that each of `names` has spent on the day and in the month of `at`. Raises `OSError`."""
        today = at.strftime("%Y-%m-%d")
        for name in names:
            row = (*spent.get(name, (0, 0)), today)
            if self._published.get(name) != row:
                self.file(name).publish(row[0], row[1], at)
                self._published[name] = row

    def beat(self, *, shared: bool = False) -> None:
        """The figures are those of now, and the store can be written to."""
        words = self._opened_beat().words
        words[_SHARED] = shared
        words[_BEAT] = time.monotonic_ns()

    def take(self, worker: str) -> dict[str, int]:
        """Free the cells of a worker that is gone; returns the nanodollars it had reserved, by name."""
        taken = {name: file.take(ledger_id(worker)) for name, file in self._files.items()}
        return {name: nano for name, nano in taken.items() if nano}


def nano_of(usd: Decimal) -> int:
    """Billionths of a dollar, rounded up."""
    return int((usd * NANO).to_integral_value(ROUND_CEILING))


def ledger_id(worker: str) -> int:
    """A worker's number in the cells, above 0."""
    return int.from_bytes(hashlib.blake2b(worker.encode(), digest_size=7).digest(), "little") or 1


def _check(name: str, limits: Limits, file: SpendFile, nano: int, now: datetime, *, shared: bool) -> None:
    spent = file.spent(now)
    if spent is None:
        raise TimeoutError(f"nothing heard of {name} yet")
    reserved = file.reserved()
    may_reserve = (file.share() or 0) if shared else None
    may_go_alone = not reserved and (not shared or file.may_go_alone)
    for cap, used, what, ends in (
        (limits.usd_per_day, spent[0], "a day", _next_day),
        (limits.usd_per_month, spent[1], "a month", _next_month),
    ):
        if cap is None:
            continue
        left = nano_of(cap) - used
        room = left if may_reserve is None else min(left, may_reserve)
        if left > 0 and (reserved + nano <= room or may_go_alone):
            continue
        if shared:
            file.note_short()
        shown = f"{name.replace(':', ' ')} may spend {cap} USD {what} (UTC)"
        if left <= 0:
            shown = f"{shown}, and has spent {Decimal(used) / NANO:.6f}"
            wait_s = (ends(now) - now).total_seconds()
        else:
            shown, wait_s = f"{shown}; what is left may be used up by the requests that are running", 1.0
        raise ApiError(429, shown, code="spend_cap_reached", type="insufficient_quota", retry_after_s=wait_s)


def _next_day(now: datetime) -> datetime:
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)


def _next_month(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
