"""A copy of a store at one moment, taken while the gateway works: a SQLite file, whatever the store is.

So a backup of PostgreSQL can be looked at with every command of freehold, and restored into either.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text

from freehold import files
from freehold.errors import StoreError, UsageError
from freehold.store import blocks
from freehold.store.care.check import StoreCheck, check
from freehold.store.care.rows import pages
from freehold.store.damage import way_back
from freehold.store.database import Database, frozen_uri, is_frozen
from freehold.store.faults import translated
from freehold.store.tables import metadata, searchable, store_facts
from freehold.store.urls import file_url
from freehold.types.record import Record

Tell = Callable[[int, int | None], None]
_STEP_PAGES = 1_000


class Backup(Record, frozen=True, kw_only=True):
    """A backup that was written and read again. `check` is what was found in the copy."""

    file: str
    size_bytes: int
    check: StoreCheck


def backup(url: str, target: Path, *, tell: Tell = lambda done, total: None) -> Backup:
    """Write a copy of the store to the file `target`, which appears whole or not at all; then check the copy.

    Writers are not held up. Raises `UsageError` where the file exists, `StorageError` when it cannot be written or the
    store cannot be read.
    """
    if target.exists():
        raise UsageError(f"{target} exists", hint="give another name: a backup is never written over")
    database = Database(url, as_is=True)
    try:
        with (
            files.writing(f"{target}: cannot be written"),
            files.replacing(target, durable=True) as partial,
        ):
            partial.unlink(missing_ok=True)
            os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            if database.file is not None:
                copy_file(database.file, partial, tell)
            else:
                _copy_rows(database, partial, tell)
            found = msgspec.structs.replace(check(file_url(partial)), store=str(target))
            for left in (partial.with_name(f"{partial.name}{end}") for end in ("-wal", "-shm")):
                left.unlink(missing_ok=True)
    finally:
        database.close()
    return Backup(file=str(target), size_bytes=target.stat().st_size, check=found)


def copy_file(source: Path, target: Path, tell: Tell) -> None:
    """Copy a SQLite file through SQLite: one moment of it, with what is still in its log."""
    with (
        translated(str(source)),
        closing(_opened(source)) as live,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        live.execute("PRAGMA busy_timeout=10000")
        live.execute("PRAGMA query_only=ON")
        # In a transaction the source stays at its moment; without one each write elsewhere would start the copy again.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(
            copy, pages=_STEP_PAGES, progress=lambda _, left, total: tell(total - left, total), sleep=0.05
        )
        live.execute("COMMIT")
        copy.execute("PRAGMA journal_mode=DELETE")


def _opened(source: Path) -> sqlite3.Connection:
    if is_frozen(source):
        return sqlite3.connect(f"{frozen_uri(source)}?immutable=1", uri=True, isolation_level=None)
    return sqlite3.connect(source, isolation_level=None)


def _copy_rows(database: Database, target: Path, tell: Tell) -> None:
    """Copy row by row, all from one snapshot."""
    copy = Database(file_url(target))
    try:
        with database.reading() as source:
            source.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            with copy.writing() as connection:
                copy_all(source, connection, tell)
        with copy.raw_sqlite() as raw:
            raw.execute("PRAGMA journal_mode=DELETE")
    finally:
        copy.close()


def copy_all(source: Connection, target: Connection, tell: Tell) -> int:
    """Copy the rows of all tables into empty ones. Returns how many there were."""
    done = 0
    for table in metadata.sorted_tables:
        if table is store_facts:
            target.execute(delete(table))  # which store it is comes from the source
        for rows in pages(source, table):
            target.execute(
                insert(table),
                [{name: searchable(value) for name, value in row._mapping.items()} for row in rows],
            )
            done += len(rows)
            tell(done, None)
        if target.dialect.name == "postgresql" and "seq" in table.c and table.c.seq.primary_key:
            # Rows came with their places; the next one must get a later place.
            target.execute(
                select(
                    func.setval(
                        func.pg_get_serial_sequence(table.name, "seq"),
                        func.coalesce(select(func.max(table.c.seq)).scalar_subquery(), 1),
                    )
                )
            )
    blocks.index_again(target)  # each database keeps words in its own way
    return done


def require_backup(file: Path) -> StoreCheck:
    """The check of a backup that is to be restored. Raises `StoreError` for a file that is none or cannot be
    read whole, `UsageError` for one that is not there."""
    if not file.is_file():
        raise UsageError(f"{file}: no such file", hint="freehold store backup writes one")
    found = check(file_url(file))
    if found.problems:
        raise StoreError(f"{file} cannot be restored: {found.problems[0]}", hint=way_back(str(file)))
    return found
