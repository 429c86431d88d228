"""Leases: who of several processes does a thing, and how many of a kind are alive.

No process outlives a power failure, so leases are not synced to the disk.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from freehold.store.database import Database
from freehold.store.tables import from_micros, leases, to_micros


def take(database: Database, name: str, owner: str, *, at: datetime, seconds: float) -> bool:
    """Hold `name` until `seconds` after `at`; False while another owner does. Taking it again prolongs it."""
    until = to_micros(at + timedelta(seconds=seconds))
    with database.writing(durable=False) as connection:
        row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
        if row is None:
            try:
                with connection.begin_nested():
                    connection.execute(insert(leases).values(name=name, owner=owner, until=until))
            except IntegrityError:  # on PostgreSQL two may find it free; the other one was quicker
                return False
            return True
        if row.owner != owner and row.until > to_micros(at):
            return False
        # On PostgreSQL two may find it over: what the other one wrote meanwhile counts.
        free = (leases.c.owner == owner) | (leases.c.until <= to_micros(at))
        change = update(leases).where(leases.c.name == name, free).values(owner=owner, until=until)
        return connection.execute(change).rowcount > 0


def take_from(
    database: Database, name: str, owner: str, former: str, *, at: datetime, seconds: float
) -> bool:
    """Hold what `former` holds, however long it still would; False when another owner was quicker."""
    until = to_micros(at + timedelta(seconds=seconds))
    with database.writing(durable=False) as connection:
        changed = connection.execute(
            update(leases)
            .where(leases.c.name == name, leases.c.owner == former)
            .values(owner=owner, until=until)
        )
        return changed.rowcount > 0


def living(database: Database, prefix: str, *, at: datetime) -> list[tuple[str, str]]:
    """The leases whose names begin so and that are not over, each with its owner."""
    where = (leases.c.name.startswith(prefix, autoescape=True), leases.c.until >= to_micros(at))
    with database.reading() as connection:
        rows = connection.execute(select(leases.c.name, leases.c.owner).where(*where)).all()
    return [(row.name, row.owner) for row in rows]


def give_back(database: Database, name: str, owner: str) -> None:
    """Let another owner hold it at once."""
    with database.writing(durable=False) as connection:
        connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))


def alive(database: Database, kind: str, owner: str, *, at: datetime, seconds: float) -> list[str]:
    """Say that `owner` lives for another `seconds`; the owners of that kind that do, sorted, and it among them."""
    now = to_micros(at)
    prefix = f"{kind}:"
    with database.writing(durable=False) as connection:
        mine = prefix + owner
        connection.execute(
            delete(leases).where(leases.c.name.startswith(prefix, autoescape=True), leases.c.until < now)
        )
        connection.execute(delete(leases).where(leases.c.name == mine))
        until = to_micros(at + timedelta(seconds=seconds))
        connection.execute(insert(leases).values(name=mine, owner=owner, until=until))
        rows = connection.execute(
            select(leases.c.owner).where(leases.c.name.startswith(prefix, autoescape=True))
        ).all()
    return sorted(row.owner for row in rows)


def holder(database: Database, name: str) -> str | None:
    """Who held `name` last; None when it was never held, or was given back."""
    found = held(database, name)
    return None if found is None else found[0]


def held(database: Database, name: str) -> tuple[str, datetime] | None:
    """Who held `name` last, and until when."""
    with database.reading() as connection:
        row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
        return None if row is None else (row.owner, from_micros(row.until))
