"""Counts that only grow, each raised inside the transaction of the change it counts."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from freehold.store.tables import counters

ROUTES, KEYS, TRACES, PLACES = "routes", "keys", "traces", "trace_places"
"""`TRACES` counts changes of traces that were there: additions are told by their places, of which `PLACES` counts all
that were ever given."""


def raised(connection: Connection, name: str, by: int = 1) -> int:
    """Raise a count; returns what it is now."""
    changed = connection.execute(
        update(counters).where(counters.c.name == name).values(value=counters.c.value + by)
    )
    if changed.rowcount == 0:
        connection.execute(insert(counters).values(name=name, value=by))
    return current(connection, name)


def current(connection: Connection, name: str) -> int:
    """What a count is; 0 where nothing was ever counted."""
    return int(connection.execute(select(counters.c.value).where(counters.c.name == name)).scalar() or 0)
