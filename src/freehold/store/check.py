"""Every table with bodies, row by row: whether a row is what was written, and what is wrong with a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Table, func, select, text, tuple_

from freehold.errors import StorageError
from freehold.store import blocks, damage, tables
from freehold.store.damage import DamagedBody
from freehold.store.database import SCHEMA, Database, of_another, version
from freehold.store.rollouts import about_window
from freehold.store.routes import about_change
from freehold.store.tables import from_micros, metadata, trace_blocks
from freehold.types.record import Record
from freehold.types.route import Route

BATCH = 500


class Sealed(NamedTuple):
    """A table whose rows hold bodies. `about` are, for each body's column, what its checksum is taken over besides the
    body; `type` is what a body must be, where the store knows it."""

    table: Table
    about: Callable[[Any], Mapping[str, tuple[object, ...]]]
    type: Any = Any

    @property
    def name(self) -> str:
        return str(self.table.name)

    def key(self, row: Any) -> str:
        """A row's name, as messages say it."""
        if self.name == "trace_blocks":
            return blocks.name_of(row)
        if self.name == "records":
            return f"{row.kind}/{row.id}"
        return "/".join(str(getattr(row, column.name)) for column in self.table.primary_key)

    def problem(self, row: Any) -> str | None:
        """Why a row is not what was written; None where nothing is wrong with it."""
        try:
            if self.name == "trace_blocks":
                damage.unpack_lines(row.body, row.place)
                return None
            for column, about in self.about(row).items():
                stored = getattr(row, column)
                if stored is not None:
                    damage.read_json(stored, Any if column == "made_from" else self.type, *about)
        except (DamagedBody, msgspec.ValidationError) as error:
            return str(error)
        return None


def _record(row: Any) -> dict[str, tuple[object, ...]]:
    about = ("records", f"{row.kind}/{row.id}")
    return {"body": about, "made_from": (*about, "made_from")}


SEALED = (
    Sealed(tables.records, _record),
    Sealed(tables.trace_blocks, lambda row: {"body": ("trace_blocks", row.place)}),
    Sealed(tables.routes, lambda row: {"body": ("routes", row.name, row.revision)}, Route),
    Sealed(tables.route_history, lambda row: {"body": about_change(row)}, Route),
    Sealed(
        tables.steps,
        lambda row: {"outputs": ("steps", row.name, row.inputs_hash, row.finished_at)},
        dict[str, str],
    ),
    Sealed(tables.rollout_states, lambda row: {"body": ("rollout_states", row.rollout, row.version)}),
    Sealed(
        tables.rollout_windows,
        lambda row: {"body": about_window(row.rollout, row.kind, row.unit, row.closed)},
    ),
)


def pages(
    connection: Connection, table: Table, *, after: tuple[Any, ...] | None = None, most: int = BATCH
) -> Iterator[list[Any]]:
    """The rows of a table by its primary key, a page at a time, from the row after `after` on."""
    key = list(table.primary_key)
    while True:
        query = select(table).order_by(*key).limit(most)
        if after is not None:
            query = query.where(tuple_(*key) > tuple_(*after) if len(key) > 1 else key[0] > after[0])
        rows = list(connection.execute(query).all())
        if not rows:
            return
        yield rows
        after = key_of(table, rows[-1])


def key_of(table: Table, row: Any) -> tuple[Any, ...]:
    """The values of a row's primary key."""
    return tuple(getattr(row, column.name) for column in table.primary_key)


MOST_NAMED = 1_000


class Damaged(Record, frozen=True, kw_only=True):
    """A row that is not what was written."""

    table: str
    key: str
    reason: str


class StoreCheck(Record, frozen=True, kw_only=True):
    """What was found. `damaged` names the first `MOST_NAMED` of `damaged_rows`; `newest_trace` is the time of the
    newest one, `store_schema` the version of its tables, None where it has none that is known."""

    store: str
    store_schema: str | None
    rows: dict[str, int] = {}
    damaged_rows: int = 0
    damaged: tuple[Damaged, ...] = ()
    problems: tuple[str, ...] = ()
    newest_trace: datetime | None = None

    @property
    def healthy(self) -> bool:
        return not self.damaged_rows and not self.problems


def check(url: str, *, tell: Callable[[int, int | None], None] = lambda done, total: None) -> StoreCheck:
    """Check a store and change nothing in it. `tell` gets rows done and in all.

    Raises `StoreError` where there is none, `StorageError` when it does not answer.
    """
    database = Database(url, as_is=True)
    try:
        return _check(database, tell)
    finally:
        database.close()


def _check(database: Database, tell: Callable[[int, int | None], None]) -> StoreCheck:
    problems: list[str] = []
    try:
        with database.reading() as connection:
            found = version(connection)
    except StorageError as error:
        if error.retryable:
            raise
        return StoreCheck(store=database.where, store_schema=None, problems=(error.message,))
    problems.extend(_integrity(database))
    if found != SCHEMA:
        problems.append("it has no tables" if found is None else f"it {of_another(found)}")
        return StoreCheck(store=database.where, store_schema=found, problems=tuple(problems))
    rows: dict[str, int] = {}
    for table in metadata.sorted_tables:
        try:
            with database.reading() as connection:
                rows[str(table.name)] = connection.execute(
                    select(func.count()).select_from(table)
                ).scalar_one()
                if table is trace_blocks:
                    rows["traces"] = int(connection.execute(select(func.sum(table.c.traces))).scalar() or 0)
        except StorageError as error:
            problems.append(f"{table.name} cannot be counted: {error.message}")
    reader = _Rows(database, sum(rows.get(kind.name, 0) for kind in SEALED), tell)
    for kind in SEALED:
        problems.extend(reader.read(kind))
    return StoreCheck(
        store=database.where,
        store_schema=found,
        rows=rows,
        damaged_rows=reader.damaged_rows,
        damaged=tuple(reader.damaged),
        problems=tuple(problems),
        newest_trace=_newest_trace(database),
    )


class _Rows:
    """Reads all rows of tables with bodies, and counts what is wrong with them."""

    def __init__(self, database: Database, total: int, tell: Callable[[int, int | None], None]) -> None:
        self._database, self._total, self._tell = database, total, tell
        self.done = self.damaged_rows = 0
        self.damaged: list[Damaged] = []

    def read(self, kind: Sealed) -> Iterator[str]:
        """Yields why a table could not be read to its end."""
        after = None
        while True:
            try:
                with self._database.reading() as connection:
                    rows = next(pages(connection, kind.table, after=after), [])
            except StorageError as error:
                yield f"{kind.name} cannot be read beyond {after or 'its beginning'}: {error.message}"
                return
            if not rows:
                return
            after = key_of(kind.table, rows[-1])
            for row in rows:
                if (reason := kind.problem(row)) is not None:
                    self.damaged_rows += 1
                    if len(self.damaged) < MOST_NAMED:
                        self.damaged.append(Damaged(table=kind.name, key=kind.key(row), reason=reason))
            self.done += len(rows)
            self._tell(self.done, self._total)


def _integrity(database: Database) -> list[str]:
    """What the database itself says. PostgreSQL says something only where the server has the amcheck extension."""
    try:
        with database.reading() as connection:
            if database.dialect == "sqlite":
                lines = connection.exec_driver_sql("PRAGMA integrity_check(100)").scalars().all()
                return [] if list(lines) == ["ok"] else [f"SQLite: {line}" for line in lines]
            if connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'amcheck'")).scalar():
                connection.execute(
                    text(
                        "SELECT bt_index_check(c.oid) FROM pg_class c JOIN pg_am a ON a.oid = c.relam "
                        "WHERE c.relkind = 'i' AND a.amname = 'btree' "
                        "AND c.relnamespace = current_schema()::regnamespace"
                    )
                ).all()
    except StorageError as error:
        return [error.message]
    return []


def _newest_trace(database: Database) -> datetime | None:
    try:
        with database.reading() as connection:
            at = connection.execute(select(func.max(trace_blocks.c.at_max))).scalar()
    except StorageError:
        return None
    try:
        return None if at is None else from_micros(int(at))
    except (OverflowError, ValueError, OSError):
        return None
