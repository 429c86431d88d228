"""Records by kind and key, and what finished steps left.

A path that leads into the store's own folder is kept from there on, so that a project can be copied to another place.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select

from freehold.errors import RevisionError, StoreError
from freehold.store import audit, damage
from freehold.store.damage import or_error, unless_damaged
from freehold.store.database import KEYS, Database, raise_counter
from freehold.store.tables import from_micros, one_at_a_time, records, steps, to_micros
from freehold.types.audit import Change
from freehold.types.record import Record, StoredRecord
from freehold.types.route import ApiKey, LabelLimits

_ONCE_LOCK = 0x7265636F726473  # "records"
_WRITE_LOCK = 0x7265636F << 32  # "reco"; below it is which record

R = TypeVar("R", bound=Record)
S = TypeVar("S", bound=StoredRecord)


_HERE = b'"\\u0000/'
"""How a path of the store's own folder begins in what is kept."""


class RawRecord(NamedTuple):
    """A stored record as JSON, and the ids it was made from."""

    kind: str
    key: str
    body: bytes
    made_from: tuple[str, ...]


class KeptRecord(NamedTuple):
    """A record to be kept, the ids it was made from, and its entry of the audit record."""

    record: StoredRecord
    made_from: tuple[str, ...] = ()
    change: Change | None = None


class RecordStore:
    """The records of a database. A record's class says its kind, so that a kind is never read as another class."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def put(
        self,
        record: S,
        *,
        made_from: Sequence[str] = (),
        change: Change | None = None,
        if_was: Callable[[S | None], bool] | None = None,
    ) -> None:
        """Keep `record` in place of what had its kind and key; it becomes the latest of its kind. With it goes an entry
        of the audit record, unless its kind needs none.

        With `if_was` only where that is true of what it takes the place of (None: nothing), which no other changes
        until the transaction ends. Raises `RevisionError` else: a key that was revoked meanwhile must not come back.
        """
        with self.database.writing() as connection:
            if if_was is not None:
                _alone(connection, record.kind, record.key)
                if not if_was(self._stored(connection, type(record), record.key)):
                    raise RevisionError(
                        f"the {record.kind.replace('_', ' ')} {record.key} was changed meanwhile",
                        hint="look at it again, then repeat the change",
                    )
            keep_within(connection, KeptRecord(record, tuple(made_from), change))

    def put_once(self, record: StoredRecord, *, made_from: Sequence[str] = ()) -> bool:
        """Keep `record` unless one of its kind and key is there, which then keeps its place. Whether it was kept.

        A record kept later sees those kept before: one at a time.
        """
        with self.database.writing() as connection:
            one_at_a_time(connection, _ONCE_LOCK)
            where = (records.c.kind == record.kind, records.c.id == record.key)
            if connection.execute(select(records.c.seq).where(*where)).first() is not None:
                return False
            keep_within(connection, KeptRecord(record, tuple(made_from)))
            return True

    def get(self, type: type[S], key: str) -> S | None:
        """The record with that key, None when there is none."""
        where = (records.c.kind == type.kind, records.c.id == key)
        return self._first(select(records.c.id, records.c.body).where(*where), type.kind, type)

    def latest(self, type: type[S]) -> S | None:
        """The record that was put last."""
        query = select(records.c.id, records.c.body).where(records.c.kind == type.kind)
        return self._first(query.order_by(records.c.seq.desc()).limit(1), type.kind, type)

    def records(self, type: type[S]) -> list[S]:
        """All records of a class, in the order they were put. Damaged ones are left out and noted."""
        query = select(records.c.id, records.c.body).where(records.c.kind == type.kind)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(records.c.seq)).all()
        return [
            record
            for row in rows
            if (
                record := unless_damaged(
                    *about_record(type.kind, row.id), partial(self._read, row, type, type.kind)
                )
            )
            is not None
        ]

    def of_id(self, key: str, *, without: Sequence[str] = ()) -> list[RawRecord]:
        """The records of that key, whatever their kind, the latest first; damaged ones are left out and noted.
        `without` names kinds that are not wanted."""
        query = select(records).where(records.c.id == key, records.c.kind.not_in(list(without)))
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(records.c.seq.desc())).all()
        found = (unless_damaged(*about_record(row.kind, row.id), partial(self._raw, row)) for row in rows)
        return [record for record in found if record is not None]

    def count_records(self, type: type[StoredRecord]) -> int:
        """How many records of a class are kept, damaged ones among them."""
        query = select(func.count()).select_from(records).where(records.c.kind == type.kind)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def sources(self, type: type[StoredRecord], key: str) -> tuple[str, ...]:
        """The ids a record was made from; empty for an unknown record."""
        query = select(records.c.made_from).where(records.c.kind == type.kind, records.c.id == key)
        with self.database.reading() as connection:
            body = connection.execute(query).scalar()
        if body is None:
            return ()
        about = about_record(type.kind, key)
        return tuple(or_error(*about, lambda: damage.read_json(body, list[str], *about, "made_from")))

    def delete(self, type: type[StoredRecord], key: str, *, change: Change | None = None) -> bool:
        """Forget a record; False when there was none."""
        with self.database.writing() as connection:
            result = connection.execute(
                delete(records).where(records.c.kind == type.kind, records.c.id == key)
            )
            if result.rowcount > 0:
                _count_change(connection, type.kind)
                if type.unaudited is None:
                    audit.append_change(connection, f"{type.kind}.delete", key, change)
            return result.rowcount > 0

    def step_result(self, name: str, inputs_hash: str, type: type[R]) -> R | None:
        """What a step left the last time; None when it had other inputs then, or never finished."""
        with self.database.reading() as connection:
            last = connection.execute(select(steps.c.inputs_hash).where(steps.c.name == name)).scalar()
        if last != inputs_hash:
            return None
        kind = f"step:{name}"
        query = select(records.c.id, records.c.body).where(
            records.c.kind == kind, records.c.id == inputs_hash
        )
        with self.database.reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        # A damaged result is made again by running the step.
        return unless_damaged(*about_record(kind, inputs_hash), partial(self._read, row, type, kind))

    def step_finished_at(self, name: str) -> datetime | None:
        """When a step was run last; None where it never finished."""
        with self.database.reading() as connection:
            micros = connection.execute(select(steps.c.finished_at).where(steps.c.name == name)).scalar()
        return None if micros is None else from_micros(micros)

    def finish_step(self, name: str, inputs_hash: str, result: Record, finished_at: datetime) -> None:
        """A step has finished; the next run with the same `inputs_hash` can take its result."""
        with self.database.writing() as connection:
            _write(connection, f"step:{name}", inputs_hash, result, ())
            _alone(connection, "steps", name)
            connection.execute(delete(steps).where(steps.c.name == name))
            micros = to_micros(finished_at)
            outputs = msgspec.json.encode({"record": inputs_hash})
            connection.execute(
                insert(steps).values(
                    name=name,
                    inputs_hash=inputs_hash,
                    outputs=damage.seal(outputs, "steps", name, inputs_hash, micros),
                    finished_at=micros,
                )
            )

    def _stored(self, connection: Connection, type: type[S], key: str) -> S | None:
        """What is stored; the caller is `_alone`."""
        where = (records.c.kind == type.kind, records.c.id == key)
        query = select(records.c.id, records.c.body).where(*where).with_for_update()
        row = connection.execute(query).one_or_none()
        return None if row is None else self._read(row, type, type.kind)

    def _first(self, query: Select[Any], kind: str, type: type[R]) -> R | None:
        with self.database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        return or_error(*about_record(kind, row.id), partial(self._read, row, type, kind))

    def _read(self, row: Any, type: type[R], kind: str) -> R:
        return decoded(row.body, type, kind, *about_record(kind, row.id), folder=self.database.folder)

    def _raw(self, row: Any) -> RawRecord:
        about = about_record(row.kind, row.id)
        body = _at(damage.unseal(row.body, *about), self.database.folder)
        made_from = damage.read_json(row.made_from, list[str], *about, "made_from")
        return RawRecord(row.kind, row.id, body, tuple(made_from))


def _alone(connection: Connection, kind: str, key: str) -> None:
    """Until the transaction ends no other writes this record, which need not be there: a row is written again by
    deleting it, and of two that do so the second would find nothing to delete."""
    one_at_a_time(connection, _WRITE_LOCK | zlib.crc32(f"{kind}/{key}".encode()))


def about_record(kind: str, key: str) -> tuple[str, str]:
    return "records", f"{kind}/{key}"


def decoded(body: bytes, type: type[R], kind: str, *about: object, folder: Path | None = None) -> R:
    """A stored body, of a store in `folder`. Raises `StoreError` when it is of another shape, `DamagedBody` when it is
    not what was written."""
    try:
        return damage.decode(_at(damage.unseal(body, *about), folder), type)
    except msgspec.ValidationError as error:
        raise StoreError(
            f"a stored {kind} is not what this version of freehold reads: {error}",
            hint="run the step that makes it again",
        ) from None


def _start(folder: Path) -> bytes:
    """A path in this folder, as JSON begins it."""
    return msgspec.json.encode(f"{folder}/")[:-1]


def _at(content: bytes, folder: Path | None) -> bytes:
    """A stored content with the paths of the folder where the store lies now."""
    return content if folder is None else content.replace(_HERE, _start(folder))


def _from(content: bytes, connection: Connection) -> bytes:
    """A content to be stored, with paths from the store's folder on."""
    url = connection.engine.url
    if url.get_backend_name() != "sqlite" or not url.database:
        return content
    return content.replace(_start(Path(url.database).absolute().parent), _HERE)


def keep_within(connection: Connection, kept: KeptRecord) -> None:
    """`RecordStore.put` in a transaction that does more."""
    record = kept.record
    _write(connection, record.kind, record.key, record, kept.made_from)
    _count_change(connection, record.kind)
    if record.unaudited is None:
        audit.append_change(connection, f"{record.kind}.save", record.key, kept.change)


def _write(connection: Connection, kind: str, key: str, value: Record, made_from: Sequence[str]) -> None:
    about = about_record(kind, key)
    _alone(connection, kind, key)
    connection.execute(delete(records).where(records.c.kind == kind, records.c.id == key))
    connection.execute(
        insert(records).values(
            kind=kind,
            id=key,
            body=damage.seal(_from(msgspec.json.encode(value), connection), *about),
            made_from=damage.seal(msgspec.json.encode(list(made_from)), *about, "made_from"),
        )
    )


def _count_change(connection: Connection, kind: str) -> None:
    """Count changes of keys and of what labels share, so that an older copy of a store is told from a newer one."""
    if kind in (ApiKey.kind, LabelLimits.kind):
        raise_counter(connection, KEYS)
