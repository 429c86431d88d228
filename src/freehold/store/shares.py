"""What was billed, and what each of several gateways on one store may use of a limit.

A gateway says what it holds of each limit: the larger of what it may use and what it has used. It is granted no more
than what the others do not hold, in a transaction that no other runs beside. A holding lasts for a while after its
gateway was last heard of: until what that gateway may have used meanwhile is out of the minute, or booked.

A gateway that is alone takes part in nothing: it may use every limit whole, and says so by holding nothing. One that
comes is granted nothing until every other has said what it holds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, bindparam, case, delete, func, insert, select, text, update

from freehold.store.database import Database
from freehold.store.tables import bill_marks, limit_shares, one_at_a_time, spending, to_micros

_NANO = Decimal(10) ** 9
# In one statement: of two gateways that find no row yet, both would insert one.
_ADD_NANO = text(
    "INSERT INTO spending (name, day, nano_usd) VALUES (:name, :day, :nano) "
    "ON CONFLICT (name, day) DO UPDATE SET nano_usd = spending.nano_usd + excluded.nano_usd"
)
# A worker that was killed may leave bills in its spool; after this long its last number is forgotten.
_MARKS_KEPT = timedelta(days=400)


class Spent(NamedTuple):
    """Dollars of one name: on a day, and in that day's month."""

    day_usd: Decimal
    month_usd: Decimal


class BilledCost(NamedTuple):
    """Dollars to book on a day (UTC, ``2026-03-01``) to some names. A worker numbers its bills from 1, in order."""

    worker: str
    number: int
    day: str
    names: Sequence[str]
    usd: Decimal


def book(database: Database, bills: Iterable[BilledCost], *, at: datetime) -> list[BilledCost]:
    """Book each bill once, however often it is sent; all of them or, on an error, none. Returns those that were new.

    Kept in billionths of a dollar, rounded up: a database has no exact decimals everywhere, and a cap must not
    be passed by what was rounded away.
    """
    marks = bill_marks
    new: list[BilledCost] = []
    more: dict[tuple[str, str], int] = {}
    with database.writing() as connection:
        last: dict[str, int] = {}
        known: dict[str, int] = {}
        for bill in bills:
            if bill.worker not in last:
                row = connection.execute(
                    select(marks.c.number).where(marks.c.worker == bill.worker)
                ).one_or_none()
                last[bill.worker] = 0 if row is None else row.number
                if row is not None:
                    known[bill.worker] = row.number
            if bill.number <= last[bill.worker]:
                continue
            last[bill.worker] = bill.number
            new.append(bill)
            nano = int((bill.usd * _NANO).to_integral_value(ROUND_CEILING))
            for name in bill.names:
                more[name, bill.day] = more.get((name, bill.day), 0) + nano
        for (name, day), nano in sorted(more.items()):
            _add_nano(connection, name, day, nano)
        for worker, number in sorted(last.items()):
            if worker in known:
                change = update(marks).where(marks.c.worker == worker)
                connection.execute(change.values(number=number, at=to_micros(at)))
            else:
                connection.execute(insert(marks).values(worker=worker, number=number, at=to_micros(at)))
        if new:
            connection.execute(delete(marks).where(marks.c.at < to_micros(at - _MARKS_KEPT)))
    return new


def _add_nano(connection: Connection, name: str, day: str, nano: int) -> None:
    connection.execute(_ADD_NANO, {"name": name, "day": day, "nano": nano})


def spent(database: Database, day: str, month: str) -> dict[str, Spent]:
    """What each name has spent on a day and in a month (``2026-03``)."""
    with database.reading() as connection:
        known = spent_nano(connection, day, month)
    return {name: in_usd(nano) for name, nano in known.items()}


def in_usd(nano: tuple[int, int]) -> Spent:
    """The day's and the month's nanodollars as dollars."""
    return Spent(Decimal(nano[0]) / _NANO, Decimal(nano[1]) / _NANO)


def spent_nano(connection: Connection, day: str, month: str) -> dict[str, tuple[int, int]]:
    """The same in nanodollars, within a transaction."""
    table = spending
    on_day = case((table.c.day == day, table.c.nano_usd), else_=0)
    # Days are of one length, so their order is that of their digits.
    in_month = table.c.day.between(f"{month}-01", f"{month}-31")
    found = connection.execute(
        select(table.c.name, func.sum(on_day), func.sum(table.c.nano_usd))
        .where(in_month)
        .group_by(table.c.name)
    )
    return {name: (int(of_day), int(of_month)) for name, of_day, of_month in found.all()}


ShareKind = Literal["requests", "tokens", "nano_usd"]
Key = tuple[str, ShareKind]
Caps = tuple[int | None, int | None]
_ADVISORY_LOCK = 0x66685F7368617265  # "fh_share"
_PRESENT = ("", "present")
_UPSERT = """
    INSERT INTO limit_shares (name, kind, owner, held, used, short, alone, until)
    VALUES (:name, :kind, :owner, :held, :used, :short, :alone, :until)
    ON CONFLICT (name, kind, owner) DO UPDATE SET
        held = excluded.held, used = excluded.used, short = excluded.short,
        alone = excluded.alone, until = excluded.until
"""
_NO_CAPS: Caps = (None, None)
_NOTHING = (0, 0)
_READ_ALL_EVERY_S = 60.0
_LEAST = 4  # of an even share, one part in four stays with a gateway that is asked for nothing


class Wanted(NamedTuple):
    """What a gateway says of one limit. `held` is what it may use by now (None: it was not told yet), `used` what it
    has used of that, `short` whether it had to refuse what the whole limit might have had room for, `alone` whether it
    may let in what is more than its share while nothing else is running."""

    name: str
    kind: ShareKind
    limit: int
    held: int | None
    used: int
    short: bool
    alone: bool = False


class Holding(NamedTuple):
    """What another gateway holds of a limit."""

    held: int
    used: int = 0
    short: bool = False
    alone: bool = False


class Granted(NamedTuple):
    """What a gateway may use, by name and kind, and the names under which it may let in more than that while nothing
    is running: one gateway at a time, and none while another has something running. `spent` are the nanodollars of the
    day and the month by name, as the store had them at that moment; empty where no caps were asked for."""

    shares: dict[tuple[str, ShareKind], int]
    alone: frozenset[str]
    spent: Mapping[str, tuple[int, int]] = {}


def granted(wanted: Wanted, others: Sequence[Holding]) -> int:
    """What a gateway may use from now on. All holdings together never exceed the limit if none did before."""
    free = max(0, wanted.limit - sum(other.held for other in others))
    even = wanted.limit // (len(others) + 1)
    crowded = sum(other.short for other in others)
    if wanted.short:
        aim = wanted.limit // (crowded + 1) if crowded else wanted.limit
    elif crowded:
        aim = min(max(wanted.used, even // _LEAST), even)
    else:
        aim = max(even, wanted.held or 0)
    return min(aim, free)


class ShareRounds:
    """The rounds of one gateway. It remembers what it said, and what it read of the others, and reads again what
    changed: a thousand limits are three thousand rows of each gateway, of which most stay as they are.

    That is exact because a gateway's rows are its own to change, and each of its rounds ends later than the one before:
    rows with a later `until` than was read are those that are new. Where it ends earlier (a clock was set), and once a
    minute in any case, all is read. A limit that another gateway has given up is held for up to that minute more.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._forget()

    def _forget(self) -> None:
        self._said: dict[Key, tuple[int, int, bool, bool]] | None = None
        self._until = 0
        self._read: dict[str, int] = {}
        self._holdings: dict[Key, dict[str, Holding]] = {}
        self._answers: dict[Key, tuple[Wanted, int, int, bool]] = {}
        self._beside: tuple[bool, int] = (True, 0)
        self._read_all_s = 0.0

    def exchange(
        self,
        database: Database,
        others: Collection[str],
        wants: Sequence[Wanted],
        *,
        at: datetime,
        seconds: float,
        caps: Mapping[str, Caps] | None = None,
    ) -> Granted | None:
        """Say what is held and be told what may be used; None where no other gateway is there.

        `others` are gateways that live. A holding counts until `seconds` after it was last said. The limit of what
        may be spent is what `caps`, nanodollars a day and a month by name, leave at this moment.
        """
        try:
            with database.writing(durable=False) as connection:
                return self._round(connection, others, wants, caps or {}, at, seconds)
        except BaseException:
            self._forget()  # what was said may not have been written
            raise

    def _round(
        self,
        connection: Connection,
        others: Collection[str],
        wants: Sequence[Wanted],
        caps: Mapping[str, Caps],
        at: datetime,
        seconds: float,
    ) -> Granted | None:
        one_at_a_time(connection, _ADVISORY_LOCK)
        present = self._look(connection, to_micros(at))
        if not others and not present:
            connection.execute(delete(limit_shares).where(limit_shares.c.owner == self._owner))
            self._forget()
            return None
        # One that is there and has said nothing may hold all of it.
        silent = any(other not in present for other in others)
        if self._beside != (silent, len(present)):
            self._answers.clear()
            self._beside = (silent, len(present))
        day = at.strftime("%Y-%m-%d")
        spent = spent_nano(connection, day, day[:7]) if caps else {}
        may_use: dict[Key, int] = {}
        alone: set[str] = set()
        mine: dict[Key, tuple[int, int, bool, bool]] = {}
        changed: list[Key] = []
        said = self._said or {}
        for wanted in wants:
            key = (wanted.name, wanted.kind)
            limit = wanted.limit
            if wanted.kind == "nano_usd":
                limit = _left(caps.get(wanted.name, _NO_CAPS), spent.get(wanted.name, _NOTHING))
            answer = self._answers.get(key)
            if answer is None or answer[1] != limit or answer[0] != wanted:
                answer = self._answers[key] = self._answer(key, wanted, limit)
            share, is_alone = answer[2], answer[3]
            may_use[key] = share
            if is_alone:
                alone.add(wanted.name)
            # What it may use until it has read this counts as well.
            held = max(share, wanted.used, limit if wanted.held is None else wanted.held)
            row = mine[key] = (held, wanted.used, wanted.short, wanted.alone or is_alone)
            if said.get(key) != row:
                changed.append(key)
        self._say(connection, mine, changed, to_micros(at + timedelta(seconds=seconds)), seconds)
        return Granted(may_use, frozenset(alone), spent)

    def _answer(self, key: Key, wanted: Wanted, limit: int) -> tuple[Wanted, int, int, bool]:
        """What may be used of one limit, beside what it follows from: as long as that stays, it does."""
        silent, present = self._beside
        holdings = list(self._holdings.get(key, {}).values())
        absent = [Holding(0)] * max(
            0, present - len(holdings)
        )  # they take part and were not asked for this name
        share = 0 if silent else granted(wanted._replace(limit=limit), [*holdings, *absent])
        is_alone = wanted.short and not silent and not any(one.used or one.alone for one in holdings)
        return wanted, limit, share, is_alone

    def _look(self, connection: Connection, now: int) -> Collection[str]:
        """Read what the others hold, as far as it changed. Returns those that take part; what is over is removed."""
        table = limit_shares
        there = select(table.c.owner, table.c.until).where(table.c.name == "")
        found = {row.owner: row.until for row in connection.execute(there)}
        gone = {owner for owner, until in found.items() if until < now}
        if gone:
            connection.execute(delete(table).where(table.c.owner.in_(gone)))
        present = {owner: until for owner, until in found.items() if owner not in gone}
        if self._said is None or time.monotonic() - self._read_all_s > _READ_ALL_EVERY_S:
            self._forget()
            self._read_all_s = time.monotonic()
        if self._said is None or present.get(self._owner) != self._until:
            self._until = present.get(self._owner, 0)
            rows = self._rows(connection, self._owner, 0)
            self._said = {
                (name, kind): (held, used, short, is_alone)
                for name, kind, held, used, short, is_alone in rows
            }
        present.pop(self._owner, None)
        for owner in [*self._read]:
            if owner not in present or present[owner] < self._read[owner]:
                self._drop(owner)
        for owner, until in present.items():
            since = self._read.get(owner)
            if since != until:
                for name, kind, *values in self._rows(connection, owner, since or 0):
                    self._holdings.setdefault((name, kind), {})[owner] = Holding(*values)
                    self._answers.pop((name, kind), None)
                self._read[owner] = until
        return present

    def _drop(self, owner: str) -> None:
        del self._read[owner]
        for holdings in self._holdings.values():
            holdings.pop(owner, None)
        self._answers.clear()

    @staticmethod
    def _rows(connection: Connection, owner: str, since: int) -> Sequence[Any]:
        """What a gateway said of limits after a moment."""
        columns = (limit_shares.c[name] for name in ("name", "kind", "held", "used", "short", "alone"))
        which = (limit_shares.c.owner == owner) & (limit_shares.c.name != "") & (limit_shares.c.until > since)
        return connection.execute(select(*columns).where(which)).all()

    def _say(
        self,
        connection: Connection,
        mine: dict[Key, tuple[int, int, bool, bool]],
        changed: Sequence[Key],
        until: int,
        seconds: float,
    ) -> None:
        """Write what this gateway holds: what changed, and that it is there, which is how long all of it counts."""
        table = limit_shares
        if self._until - until > 2 * seconds * 1e6:
            changed = [
                *mine
            ]  # the clock went back: with an end that far away it would be held long after this gateway
        else:
            until = max(until, self._until + 1)
        if gone := [key for key in self._said or () if key not in mine]:
            which = (table.c.name == bindparam("gone_name")) & (table.c.kind == bindparam("gone_kind"))
            rows = [{"gone_name": name, "gone_kind": kind} for name, kind in gone]
            connection.execute(delete(table).where(table.c.owner == self._owner, which), rows)
            for key in gone:
                self._answers.pop(key, None)
        columns = [column.name for column in table.columns]
        new: list[tuple[Any, ...]] = [(*key, self._owner, *mine[key], until) for key in changed]
        new.append((*_PRESENT, self._owner, 0, 0, False, False, until))
        connection.execute(text(_UPSERT), [dict(zip(columns, row, strict=True)) for row in new])
        self._said, self._until = mine, until


def _left(caps: Caps, spent: tuple[int, int]) -> int:
    """Nanodollars that a day's and a month's cap leave; 0 where there is none to share."""
    of_day, of_month = caps
    if of_day is None:
        return 0 if of_month is None else max(0, of_month - spent[1])
    left = of_day - spent[0]
    return max(0, left if of_month is None else min(left, of_month - spent[1]))
