"""Use of keys and routes, counted in windows of a minute that all gateways on one store share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from freehold.store.database import Database
from freehold.store.tables import usage_windows


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
