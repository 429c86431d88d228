"""What can be read of a damaged store, in a new one; the rest is listed.

First table by table, then row by row where a page of rows cannot be read, and at last, for SQLite, from the pages of
the file themselves. Only rows whose checksum is right are taken, or which are of before checksums and can be read.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sqlalchemy import BigInteger, Boolean, Integer, LargeBinary, Table, and_, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from freehold import files
from freehold.errors import StorageError, UsageError
from freehold.store.care.check import Damaged
from freehold.store.care.rows import BATCH, SEALED, key_of, pages
from freehold.store.care.walk import Cell, PagesOfFile
from freehold.store.counting import KEYS, ROUTES
from freehold.store.database import Database
from freehold.store.search.indexing import ANSWERS_COUNTED, COUNTED
from freehold.store.tables import SEEDED, audit, metadata
from freehold.store.urls import file_url
from freehold.types.record import Record

Tell = Callable[[int, int | None], None]
_KINDS = {kind.name: kind for kind in SEALED}
# Of minutes, of processes that live; made again.
_NOT_KEPT = ("leases", "limit_shares", "usage_windows", "trace_facets")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Salvage(Record, frozen=True, kw_only=True):
    """A new store with what could be read. `rows` by table; `from_pages` of them came from the file's pages alone;
    `damaged` are those that are lost, as far as they have a name, `broken` the tables that could not be read to their
    end."""

    file: str
    rows: dict[str, int]
    from_pages: int = 0
    damaged: tuple[Damaged, ...] = ()
    broken: tuple[str, ...] = ()


def salvage(url: str, target: Path, *, tell: Tell = lambda done, total: None) -> Salvage:
    """Write what can be read of a store to a new SQLite store `target`. The damaged store is not touched.

    Raises `UsageError` where `target` exists, `StorageError` when it cannot be written.
    """
    if target.exists():
        raise UsageError(f"{target} exists", hint="give another name: --to FILE")
    with files.writing(f"{target}: cannot be written"):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="salvage-") as folder:
            source, file = _source(url, Path(folder))
            saver = _Saver(Database(file_url(Path(folder) / "new")), tell)
            try:
                if source is not None:
                    try:
                        for table in metadata.sorted_tables:
                            saver.table(source, table)
                    finally:
                        source.close()
                if file is not None and (source is None or saver.broken or saver.damaged):
                    saver.pages(file)
                lost = tuple(saver.lost())
                _settle(saver.database)
            finally:
                saver.database.close()
            (Path(folder) / "new").rename(target)
    return Salvage(
        file=str(target),
        rows=dict(saver.rows),
        from_pages=saver.from_pages,
        damaged=lost,
        broken=tuple(saver.broken),
    )


def _source(url: str, folder: Path) -> tuple[Database | None, Path | None]:
    """The store opened to be read, and for SQLite its file: a copy, because its log has to be taken in first."""
    live = Database(url, as_is=True)
    if live.file is None:
        return live, None
    live.close()
    copy = folder / "copy"
    for end in ("", "-wal"):
        if (part := live.file.with_name(f"{live.file.name}{end}")).exists():
            shutil.copyfile(part, copy.with_name(f"{copy.name}{end}"))
    try:
        # Bringing it forward takes the log in as well.
        return Database(file_url(copy)), copy
    except StorageError:
        return None, copy


class _Saver:
    """Writes rows to the new store and keeps count."""

    def __init__(self, database: Database, tell: Tell) -> None:
        self.database, self._tell = database, tell
        self.rows: Counter[str] = Counter()
        self.damaged: dict[tuple[str, str], Damaged] = {}
        self.broken: list[str] = []
        self.from_pages = 0
        with database.writing() as connection:
            # Whose store it is, and what was counted, is the damaged store's to say.
            for name in SEEDED:
                connection.execute(delete(metadata.tables[name]))

    def table(self, source: Database, table: Table) -> None:
        """Take all rows of a table that can be read in the order of its key."""
        if table.name in _NOT_KEPT:
            return
        after: tuple[Any, ...] | None = None
        while True:
            try:
                with source.reading() as connection:
                    rows = next(pages(connection, table, after=after), [])
            except StorageError as error:
                try:
                    rows, last = self._one_by_one(source, table, after)
                except StorageError:
                    self.broken.append(f"{table.name}: {error.message}")
                    return
            else:
                last = key_of(table, rows[-1]) if rows else None
            if last is None:
                return
            after = last
            self._keep(table, rows)

    def _one_by_one(
        self, source: Database, table: Table, after: tuple[Any, ...] | None
    ) -> tuple[list[Any], tuple[Any, ...] | None]:
        key = list(table.primary_key)
        with source.reading() as connection:
            keys = next(_keys(connection, table, after), [])
        found = []
        for one in keys:
            same = and_(*(column == value for column, value in zip(key, one, strict=True)))
            try:
                with source.reading() as connection:
                    found.append(connection.execute(select(table).where(same)).one())
            except StorageError as error:
                self._lose(table.name, "/".join(map(str, one)), error.message)
        return found, tuple(keys[-1]) if keys else None

    def _keep(self, table: Table, rows: list[Any]) -> int:
        whole = []
        kind = _KINDS.get(table.name)
        for row in rows:
            reason = None if kind is None else kind.problem(row)
            if reason is None:
                whole.append({column.name: getattr(row, column.name) for column in table.columns})
            elif kind is not None:
                self._lose(table.name, kind.key(row), reason)
        kept = 0
        with self.database.writing() as connection:
            if table.name == audit.name:
                # It only grows, from number to number.
                last = connection.execute(select(func.coalesce(func.max(audit.c.number), 0))).scalar_one()
                whole = sorted((one for one in whole if one["number"] > last), key=lambda one: one["number"])
            for values in whole:
                kept += connection.execute(insert(table).values(values).on_conflict_do_nothing()).rowcount
        self.rows[str(table.name)] += kept
        self._tell(self.rows.total(), None)
        return kept

    def _lose(self, table: str, key: str, reason: str) -> None:
        table = str(table)  # SQLAlchemy's name of a table is a string of its own kind
        self.damaged[table, key] = Damaged(table=table, key=key, reason=reason)

    def pages(self, file: Path) -> None:
        """Take rows that no tree leads to any more."""
        batch: dict[str, list[Any]] = {}
        for cell in PagesOfFile(file).cells():
            found = _of_table(cell)
            if found is None:
                continue
            name, row = found
            batch.setdefault(name, []).append(row)
            if len(batch[name]) >= BATCH and name != audit.name:
                self.from_pages += self._keep(metadata.tables[name], batch.pop(name))
        for name, rows in batch.items():
            self.from_pages += self._keep(metadata.tables[name], rows)

    def lost(self) -> Iterator[Damaged]:
        """The damaged rows that were not had from the pages either."""
        with self.database.reading() as connection:
            for (name, key), damaged in self.damaged.items():
                kind = _KINDS[name]
                column = kind.table.c.id if name == "traces" else None
                if column is None or connection.execute(select(column).where(column == key)).first() is None:
                    yield damaged


def _keys(connection: Any, table: Table, after: tuple[Any, ...] | None) -> Iterator[list[Any]]:
    from sqlalchemy import tuple_

    key = list(table.primary_key)
    query = select(*key).order_by(*key).limit(BATCH)
    if after is not None:
        query = query.where(tuple_(*key) > tuple_(*after) if len(key) > 1 else key[0] > after[0])
    yield list(connection.execute(query).all())


def _of_table(cell: Cell) -> tuple[str, Any] | None:
    """The table whose columns a row's values fit, and the row; None for indexes, the schema and what is damaged."""
    for table in metadata.sorted_tables:
        if table.name in _NOT_KEPT:
            continue
        row = _fitted(table, cell)
        if row is None:
            continue
        kind = _KINDS.get(table.name)
        if kind is not None:
            if kind.problem(row) is None:
                return table.name, row
        elif table.name != "spending" or _DAY.fullmatch(row.day):
            if table.name == "counters" and row.name not in (ROUTES, KEYS, COUNTED, ANSWERS_COUNTED):
                continue  # SQLite's own count of places has the same shape
            return table.name, row
    return None


def _fitted(table: Table, cell: Cell) -> SimpleNamespace | None:
    columns = list(table.columns)
    short = len(columns) - len(cell.values)
    # A row of before a migration that added columns lacks them.
    if short < 0 or any(not column.nullable for column in columns[len(cell.values) :]):
        return None
    values = [*cell.values, *[None] * short]
    row = {}
    for column, value in zip(columns, values, strict=True):
        if column.name == "seq" and column.primary_key:
            value = cell.rowid
        if value is None:
            if not column.nullable:
                return None
        elif isinstance(column.type, LargeBinary):
            if not isinstance(value, bytes):
                return None
        elif isinstance(column.type, BigInteger | Boolean | Integer):
            if not isinstance(value, int):
                return None
        elif not isinstance(value, str):
            return None
        row[column.name] = value
    return SimpleNamespace(**row)


def _settle(database: Database) -> None:
    """The counter of route changes must not fall behind them, and the file must be whole without a log."""
    from freehold.store.tables import counters, route_history

    with database.writing() as connection:
        newest = connection.execute(select(func.max(route_history.c.revision))).scalar() or 0
        counted = (
            connection.execute(select(counters.c.value).where(counters.c.name == "routes")).scalar() or 0
        )
        if newest > counted:
            connection.execute(delete(counters).where(counters.c.name == "routes"))
            connection.execute(insert(counters).values(name="routes", value=newest))
    with database.reading() as connection:
        raw = connection.connection.driver_connection
        connection.rollback()
        assert raw is not None
        raw.execute("PRAGMA journal_mode=DELETE")
