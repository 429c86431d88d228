"""Which traces that leave the store an evaluation had looked at: so that what was forgotten is told apart, at the next
look, from what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection

from freehold.store.database import Database
from freehold.store.records import KeptRecord, RecordStore, keep_within
from freehold.types.evaluated import ItemLook, LookRemoval
from freehold.types.identity import ID_BYTES, trace_key
from freehold.types.record import event_id


def looked_traces(database: Database) -> frozenset[bytes]:
    """Ids of the traces that looks were at."""
    packed = b"".join(look.traces for look in RecordStore(database).records(ItemLook))
    return frozenset(packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES))


def keep_removed(connection: Connection, looked: frozenset[bytes], ids: Iterable[str]) -> None:
    """Keep which of the traces that are deleted, by their ids, are among those `looked` at."""
    if not looked:
        return
    gone = {trace_key(id) for id in ids} & looked
    if gone:
        at = datetime.now(UTC)
        id = event_id(int(at.timestamp() * 1000))
        keep_within(connection, KeptRecord(LookRemoval(id=id, at=at, traces=b"".join(sorted(gone)))))
