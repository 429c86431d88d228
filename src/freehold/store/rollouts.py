"""What a rollout has learned so far: windows of users, scores of pairs, and the state of its tests.

Everything one look learns is written in one transaction, and only when no other look came in between: a trace is
never counted twice, whichever process is killed when.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

from freehold.store.database import Database
from freehold.store.tables import pair_scores, rollout_states, rollout_windows

_MOST_NAMES = 400  # SQLite takes no more than some hundred values in one statement everywhere


class WindowRow(NamedTuple):
    """One unit's window. `stage` tells windows of the same unit apart; `seq` is its place in the order of exposure."""

    kind: str
    unit: str
    stage: int
    seq: int
    closed: bool
    body: bytes


class StateRow(NamedTuple):
    """The state of the tests. `version` grows with each look that learned something; 0 before the first."""

    version: int
    body: bytes | None


def state_of(database: Database, rollout: str) -> StateRow:
    """What the last look left."""
    query = select(rollout_states).where(rollout_states.c.rollout == rollout)
    with database.reading() as connection:
        row = connection.execute(query).one_or_none()
    return StateRow(0, None) if row is None else StateRow(row.version, row.body)


def windows_of(database: Database, rollout: str, units: Iterable[str]) -> list[WindowRow]:
    """All windows of these units, in the order of exposure."""
    names = sorted(set(units))
    found: list[WindowRow] = []
    table = rollout_windows
    with database.reading() as connection:
        for start in range(0, len(names), _MOST_NAMES):
            query = select(table).where(
                table.c.rollout == rollout, table.c.unit.in_(names[start : start + _MOST_NAMES])
            )
            found.extend(_window(row) for row in connection.execute(query))
    return sorted(found, key=lambda row: row.seq)


def open_windows(database: Database, rollout: str) -> list[WindowRow]:
    """Windows that are not closed yet, in the order of exposure."""
    table = rollout_windows
    query = select(table).where(table.c.rollout == rollout, table.c.closed.is_(False)).order_by(table.c.seq)
    with database.reading() as connection:
        return [_window(row) for row in connection.execute(query)]


def closed_windows(database: Database, rollout: str, kind: str) -> list[bytes]:
    """The bodies of closed windows of a kind, in the order of exposure."""
    table = rollout_windows
    query = (
        select(table.c.body)
        .where(table.c.rollout == rollout, table.c.kind == kind, table.c.closed.is_(True))
        .order_by(table.c.seq)
    )
    with database.reading() as connection:
        return [row.body for row in connection.execute(query)]


def scores_of(database: Database, rollout: str) -> dict[str, bytes]:
    """The scored pairs, by the id of the mirrored trace."""
    query = select(pair_scores).where(pair_scores.c.rollout == rollout)
    with database.reading() as connection:
        return {row.trace_id: row.body for row in connection.execute(query)}


def learn(
    database: Database,
    rollout: str,
    *,
    known_version: int,
    state: bytes,
    windows: Iterable[WindowRow],
    scores: Mapping[str, bytes],
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
                & (rollout_windows.c.stage == row.stage)
            )
            changed = connection.execute(
                update(rollout_windows).where(where).values(closed=row.closed, body=row.body)
            )
            if changed.rowcount == 0:
                connection.execute(insert(rollout_windows).values(rollout=rollout, **row._asdict()))
        for trace_id, body in scores.items():
            connection.execute(
                delete(pair_scores).where(
                    pair_scores.c.rollout == rollout, pair_scores.c.trace_id == trace_id
                )
            )
            connection.execute(insert(pair_scores).values(rollout=rollout, trace_id=trace_id, body=body))
    return True


def _advance(connection: Connection, rollout: str, known_version: int, state: bytes) -> bool:
    table = rollout_states
    if known_version == 0:
        found = connection.execute(select(table.c.version).where(table.c.rollout == rollout)).scalar()
        if found is not None:
            return False
        connection.execute(insert(table).values(rollout=rollout, version=1, body=state))
        return True
    changed = connection.execute(
        update(table)
        .where(table.c.rollout == rollout, table.c.version == known_version)
        .values(version=known_version + 1, body=state)
    )
    return changed.rowcount > 0


def _window(row: object) -> WindowRow:
    return WindowRow(*(getattr(row, name) for name in WindowRow._fields))
