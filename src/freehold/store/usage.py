"""Use of keys and routes that all gateways on one store share: per minute in requests and tokens, per day in money."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import NamedTuple

from sqlalchemy import delete, func, insert, select, update

from freehold.store.database import Database
from freehold.store.tables import spending, usage_windows

_NANO = Decimal(10) ** 9


class Use(NamedTuple):
    """Requests and tokens."""

    requests: int
    tokens: int


def add_use(database: Database, window: int, more: Mapping[str, Use]) -> dict[tuple[str, int], Use]:
    """Add to a window, forget windows before the last, and return what all have used in these two."""
    table = usage_windows
    with database.writing() as connection:
        connection.execute(delete(table).where(table.c.window < window - 1))
        for name, use in more.items():
            changed = connection.execute(
                update(table)
                .where(table.c.name == name, table.c.window == window)
                .values(requests=table.c.requests + use.requests, tokens=table.c.tokens + use.tokens)
            )
            if changed.rowcount == 0:
                connection.execute(
                    insert(table).values(name=name, window=window, requests=use.requests, tokens=use.tokens)
                )
        rows = connection.execute(select(table).where(table.c.window >= window - 1)).all()
    return {(row.name, row.window): Use(row.requests, row.tokens) for row in rows}


class Spent(NamedTuple):
    """Dollars of one name: on a day, and in that day's month."""

    day_usd: Decimal
    month_usd: Decimal


def add_spending(database: Database, day: str, more: Mapping[str, Decimal]) -> dict[str, Spent]:
    """Add dollars to a day (UTC, ``2026-03-01``); returns what each name has spent on it and in its month.

    Kept in billionths of a dollar, rounded up: a database has no exact decimals everywhere, and a cap must not
    be passed by what was rounded away.
    """
    table, month = spending, day[:7]
    with database.writing() as connection:
        for name, dollars in more.items():
            nano = int((dollars * _NANO).to_integral_value(ROUND_CEILING))
            changed = connection.execute(
                update(table)
                .where(table.c.name == name, table.c.day == day)
                .values(nano_usd=table.c.nano_usd + nano)
            )
            if changed.rowcount == 0:
                connection.execute(insert(table).values(name=name, day=day, nano_usd=nano))
    return spent(database, day, month)


def spent(database: Database, day: str, month: str) -> dict[str, Spent]:
    """What each name has spent on a day and in a month (``2026-03``)."""
    table = spending
    with database.reading() as connection:
        months = connection.execute(
            select(table.c.name, func.sum(table.c.nano_usd).label("nano"))
            .where(table.c.day.startswith(f"{month}-"))
            .group_by(table.c.name)
        ).all()
        days = connection.execute(select(table.c.name, table.c.nano_usd).where(table.c.day == day)).all()
    on_day = {row.name: Decimal(row.nano_usd) / _NANO for row in days}
    return {
        row.name: Spent(on_day.get(row.name, Decimal(0)), Decimal(int(row.nano)) / _NANO) for row in months
    }
