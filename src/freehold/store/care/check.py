"""Is a store what was written? The database's own check, and every checksum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from sqlalchemy import func, select, text

from freehold.errors import StorageError
from freehold.store import schema
from freehold.store.care.rows import SEALED, Sealed, key_of, pages
from freehold.store.database import Database
from freehold.store.tables import from_micros, metadata, trace_blocks
from freehold.types.record import Record

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
            found = schema.version(connection)
    except StorageError as error:
        if error.retryable:
            raise
        return StoreCheck(store=database.where, store_schema=None, problems=(error.message,))
    problems.extend(_integrity(database))
    if found != schema.SCHEMA:
        problems.append("it has no tables" if found is None else f"it {schema.of_another(found)}")
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
