"""Use of keys and routes that all gateways on one store share: per minute in requests and tokens, per day in money."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from sqlalchemy import Connection, case, delete, func, insert, select, text, update

from freehold.store.database import Database
from freehold.store.tables import bill_marks, spending, to_micros, usage_windows

_NANO = Decimal(10) ** 9
# In one statement: of two gateways that find no row yet, both would insert one.
_ADD_USE = text(
    'INSERT INTO usage_windows (name, "window", requests, tokens) VALUES (:name, :window, :requests, :tokens) '
    'ON CONFLICT (name, "window") DO UPDATE SET requests = usage_windows.requests + excluded.requests, '
    "tokens = usage_windows.tokens + excluded.tokens"
)
_ADD_NANO = text(
    "INSERT INTO spending (name, day, nano_usd) VALUES (:name, :day, :nano) "
    "ON CONFLICT (name, day) DO UPDATE SET nano_usd = spending.nano_usd + excluded.nano_usd"
)
# A worker that was killed may leave bills in its spool; after this long its last number is forgotten.
_MARKS_KEPT = timedelta(days=400)


class Use(NamedTuple):
    """Requests and tokens."""

    requests: int
    tokens: int


def add_use(database: Database, window: int, more: Mapping[str, Use]) -> dict[tuple[str, int], Use]:
    """Add to a window, forget windows before the last, and return what all have used in these two."""
    table = usage_windows
    # Of the last two minutes: nothing that is worth a sync.
    with database.writing(durable=False) as connection:
        connection.execute(delete(table).where(table.c.window < window - 1))
        # In the order of names: two gateways that count at once wait for each other, and not both.
        for name, use in sorted(more.items()):
            connection.execute(
                _ADD_USE,
                {"name": name, "window": window, "requests": use.requests, "tokens": use.tokens},
            )
        rows = connection.execute(select(table).where(table.c.window >= window - 1)).all()
    return {(row.name, row.window): Use(row.requests, row.tokens) for row in rows}


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
