"""What a rollout has learned so far: windows of users, and the state of its tests.

Everything one look learns is written in one transaction, and only when no other look came in between: a trace is
never counted twice, whichever process is killed when.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select, update

from freehold.store import damage
from freehold.store.damage import or_error, unless_damaged
from freehold.store.database import Database
from freehold.store.tables import rollout_states, rollout_windows

_MOST_NAMES = 400  # SQLite takes no more than some hundred values in one statement everywhere


class WindowRow(NamedTuple):
    """One unit's window of a kind. `seq` is its place in the order of exposure."""

    kind: str
    unit: str
    seq: int
    closed: bool
    body: bytes


class StateRow(NamedTuple):
    """The state of the tests. `version` grows with each look that learned something; 0 before the first."""

    version: int
    body: bytes | None


def state_of(database: Database, rollout: str) -> StateRow:
    """What the last look left. Raises `StoreError` when it is damaged: tests may not begin again unnoticed."""
    query = select(rollout_states).where(rollout_states.c.rollout == rollout)
    with database.reading() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return StateRow(0, None)
    about = ("rollout_states", rollout, row.version)
    return StateRow(row.version, or_error(about[0], rollout, lambda: damage.unseal(row.body, *about)))


def windows_of(database: Database, rollout: str, units: Iterable[str]) -> list[WindowRow]:
    """All windows of these units, in the order of exposure; here and below without damaged ones, which are noted."""
    names = sorted(set(units))
    found: list[WindowRow] = []
    table = rollout_windows
    with database.reading() as connection:
        for start in range(0, len(names), _MOST_NAMES):
            query = select(table).where(
                table.c.rollout == rollout, table.c.unit.in_(names[start : start + _MOST_NAMES])
            )
            found.extend(_windows(connection.execute(query).all()))
    return sorted(found, key=lambda row: row.seq)


def open_windows(database: Database, rollout: str) -> list[WindowRow]:
    """Windows that are not closed yet, in the order of exposure."""
    table = rollout_windows
    query = select(table).where(table.c.rollout == rollout, table.c.closed.is_(False)).order_by(table.c.seq)
    with database.reading() as connection:
        return _windows(connection.execute(query).all())


def closed_windows(database: Database, rollout: str, kind: str) -> list[bytes]:
    """The bodies of closed windows of a kind, in the order of exposure."""
    table = rollout_windows
    query = (
        select(table)
        .where(table.c.rollout == rollout, table.c.kind == kind, table.c.closed.is_(True))
        .order_by(table.c.seq)
    )
    with database.reading() as connection:
        return [row.body for row in _windows(connection.execute(query).all())]


def learn(
    database: Database,
    rollout: str,
    *,
    known_version: int,
    state: bytes,
    windows: Iterable[WindowRow],
) -> bool:
    """Write what a look learned; False, and nothing is written, when another look came first."""
    with database.writing() as connection:
        if not _advance(connection, rollout, known_version, state):
            return False
        for row in windows:
            where = (
                (rollout_windows.c.rollout == rollout)
                & (rollout_windows.c.kind == row.kind)
                & (rollout_windows.c.unit == row.unit)
            )
            about = about_window(rollout, row.kind, row.unit, row.closed)
            body = damage.seal(row.body, *about)
            # A window keeps the place in the order it got first.
            changed = connection.execute(
                update(rollout_windows).where(where).values(closed=row.closed, body=body)
            )
            if changed.rowcount == 0:
                values = {**row._asdict(), "body": body, "rollout": rollout}
                connection.execute(insert(rollout_windows).values(values))
    return True


def _advance(connection: Connection, rollout: str, known_version: int, state: bytes) -> bool:
    table = rollout_states
    if known_version == 0:
        found = connection.execute(select(table.c.version).where(table.c.rollout == rollout)).scalar()
        if found is not None:
            return False
        sealed = damage.seal(state, "rollout_states", rollout, 1)
        connection.execute(insert(table).values(rollout=rollout, version=1, body=sealed))
        return True
    sealed = damage.seal(state, "rollout_states", rollout, known_version + 1)
    changed = connection.execute(
        update(table)
        .where(table.c.rollout == rollout, table.c.version == known_version)
        .values(version=known_version + 1, body=sealed)
    )
    return changed.rowcount > 0


def about_window(rollout: str, kind: str, unit: str, closed: bool) -> tuple[object, ...]:
    """What a window's checksum is taken over besides its body."""
    return ("rollout_windows", rollout, kind, unit, bool(closed))


def _windows(rows: Iterable[Any]) -> list[WindowRow]:
    found = []
    for row in rows:
        about = about_window(row.rollout, row.kind, row.unit, row.closed)
        key = f"{row.rollout}/{row.kind}/{row.unit}"
        body = unless_damaged("rollout_windows", key, partial(damage.unseal, row.body, *about))
        if body is not None:
            found.append(WindowRow(row.kind, row.unit, row.seq, row.closed, body))
    return found
