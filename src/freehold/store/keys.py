"""The keys as a store has them, with what tells this store and its state from others.

A store bears a random identity, given to it when it is made, and counts every change of a key. A reader that has seen
both once can tell later whether a store is the same one, and whether it is an older copy.
"""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from sqlalchemy import delete, insert, select

from freehold.store import audit, counting
from freehold.store.damage import unless_damaged
from freehold.store.database import Database
from freehold.store.records import about_record, decoded
from freehold.store.tables import records, store_facts
from freehold.types.record import Record, StoredRecord
from freehold.types.route import ApiKey, LabelLimits, Limits

S = TypeVar("S", bound=StoredRecord)
_NOTHING = Limits(requests_per_minute=0)
"""Where it cannot be read what the keys of a label may use."""
_ID, _FORGOTTEN = "id", "keys_forgotten_at"


class StoredKeys(Record, frozen=True, kw_only=True):
    """All keys at one moment. `changes` counts the changes of keys so far; `forgotten` says that the last of them was
    to forget every key on purpose."""

    store_id: str
    changes: int
    keys: tuple[ApiKey, ...] = ()
    labels: tuple[LabelLimits, ...] = ()
    damaged: int = 0
    """Keys that cannot be read: they let no client in, and are required all the same."""
    forgotten: bool = False


def stored_keys(database: Database) -> StoredKeys:
    """Keys, identity and count as of one moment."""
    query = select(records.c.kind, records.c.id, records.c.body).order_by(records.c.seq)
    query = query.where(records.c.kind.in_((ApiKey.kind, LabelLimits.kind)))
    with database.reading() as connection:
        facts = {row.name: row.value for row in connection.execute(select(store_facts)).all()}
        changes = counting.current(connection, counting.KEYS)
        found = connection.execute(query).all()
    rows = [row for row in found if row.kind == ApiKey.kind]
    keys = tuple(key for row in rows if (key := _readable(row.id, row.body, ApiKey)) is not None)
    labels = tuple(
        _readable(row.id, row.body, LabelLimits) or LabelLimits(label=row.id, limits=_NOTHING)
        for row in found
        if row.kind == LabelLimits.kind
    )
    forgotten = not rows and facts.get(_FORGOTTEN) == str(changes)
    return StoredKeys(
        store_id=facts.get(_ID, ""),
        changes=changes,
        keys=keys,
        labels=labels,
        damaged=len(rows) - len(keys),
        forgotten=forgotten,
    )


def _readable(name: str, body: bytes, type: type[S]) -> S | None:
    about = about_record(type.kind, name)
    return unless_damaged(*about, lambda: decoded(body, type, type.kind, *about))


def forget_keys(database: Database, *, who: str, at: datetime) -> int:
    """Forget every key, and keep that this was meant. Returns how many there were."""
    with database.writing() as connection:
        count = connection.execute(delete(records).where(records.c.kind == ApiKey.kind)).rowcount
        changes = counting.raised(connection, counting.KEYS)
        connection.execute(delete(store_facts).where(store_facts.c.name == _FORGOTTEN))
        connection.execute(insert(store_facts).values(name=_FORGOTTEN, value=str(changes)))
        audit.append(connection, "keys.forget", "all", who=who, at=at, detail={"keys": count})
    return count
