"""A copy of a store at one moment, taken while the gateway works: a SQLite file, whatever the store is; and back.

So a backup of PostgreSQL can be looked at with every command of freehold, and restored into either.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import msgspec
import psutil
from sqlalchemy import Connection, delete, func, insert, select, text

from freehold import files
from freehold.errors import StorageError, StoreError, UsageError
from freehold.store import blocks, index
from freehold.store.check import StoreCheck, check, pages
from freehold.store.damage import translated, way_back
from freehold.store.database import Database, file_url, frozen_uri, is_frozen, parsed
from freehold.store.tables import metadata, searchable, store_facts, trace_ids
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


_NOT_LOST = (
    "leases",
    "limit_shares",
    "counters",
    "trace_blocks",
    "trace_counts",
    "imported_traces",
)
_SIDE_FILES = ("-wal", "-shm", "-journal")


class Loss(Record, frozen=True, kw_only=True):
    """What a restore takes away: rows of the store that the backup lacks, by table; `damaged_rows` are in the backup
    and will be passed over whenever they are read. `unknown` says why that cannot be told; `until` is the backup's
    newest trace."""

    rows: dict[str, int] = {}
    damaged_rows: int = 0
    until: datetime | None = None
    unknown: str | None = None


class Restored(Record, frozen=True, kw_only=True):
    """A backup that is now the store. `replaced` is where the former store is kept; None where there was none."""

    store: str
    backup: str
    replaced: str | None
    loss: Loss


def loss(url: str, file: Path) -> Loss:
    """What the store has and the backup `file` has not. Raises what `require_backup` raises."""
    found = require_backup(file)
    try:
        live, copy = Database(url, as_is=True), Database(file_url(file), as_is=True)
    except StoreError:
        # there is no store: nothing can be lost
        return Loss(until=found.newest_trace, damaged_rows=found.damaged_rows)
    try:
        return Loss(rows=_lost_rows(live, copy), until=found.newest_trace, damaged_rows=found.damaged_rows)
    except StorageError as error:
        return Loss(until=found.newest_trace, damaged_rows=found.damaged_rows, unknown=error.message)
    finally:
        live.close()
        copy.close()


def _lost_rows(live: Database, copy: Database) -> dict[str, int]:
    lost: dict[str, int] = {}
    with live.reading() as ours, copy.reading() as theirs:
        for table in metadata.sorted_tables:
            if table.name in _NOT_LOST:
                continue
            if table is trace_ids:
                # Places grow with each trace: no list of millions of ids is needed.
                last = theirs.execute(select(func.max(trace_ids.c.place))).scalar() or 0
                count = select(func.count()).select_from(trace_ids).where(trace_ids.c.place > last)
                lost["traces"] = ours.execute(count).scalar_one()
                continue
            key = [column for column in table.columns if column.name in ("kind", "id")]
            key = key if len(key) == 2 else list(table.primary_key)
            here = {tuple(row) for row in ours.execute(select(*key))}
            lost[table.name] = len(here - {tuple(row) for row in theirs.execute(select(*key))})
    return {str(name): count for name, count in lost.items() if count}


def restore(url: str, file: Path, kept: Path, *, tell: Tell = lambda done, total: None) -> Restored:
    """Put the backup `file` in the store's place; the former store is kept as `kept`.

    Raises `StoreError` while another process has the store open, and what `require_backup` raises. Nothing has
    changed then.
    """
    took = loss(url, file)
    database = Database(url, as_is=False) if not url.startswith("sqlite") else None
    if database is None:
        replaced = _replace_file(url, file, kept, tell)
    else:
        try:
            replaced = _replace_rows(database, file, kept, tell)
        finally:
            database.close()
    return Restored(
        store=url if database is None else database.where, backup=str(file), replaced=replaced, loss=took
    )


def _in_use(who: str) -> StoreError:
    return StoreError(
        f"the store is in use by {who}",
        hint="stop what uses it first: freehold down, and what freehold up, serve, watch or console run",
    )


def _replace_file(url: str, file: Path, kept: Path, tell: Tell) -> str | None:
    # Where a link leads to a store on another disk, the file there is replaced.
    store = Path(parsed(url).database or "").resolve()
    replaced = None
    with files.writing(f"{store}: cannot be replaced"):
        store.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(store.with_name(f"{store.name}.restoring"), durable=True) as new:
            new.unlink(missing_ok=True)
            os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            copy_file(file, new, tell)
        ready = store.with_name(f"{store.name}.restoring")
        try:
            _mend_words(ready)
            if store.exists():
                refuse_while_in_use(store)
                replaced = str(kept)
                _keep(store, kept)
            ready.replace(store)
        finally:
            for end in ("", *_SIDE_FILES):
                ready.with_name(f"{ready.name}{end}").unlink(missing_ok=True)
    return replaced


def _mend_words(file: Path) -> None:
    """The index is made again where SQLite's shell made the file, which recovers a store without it."""
    with closing(sqlite3.connect(file)) as raw:
        index.drop_recovered(raw)
    database = Database(file_url(file))
    try:
        with database.writing() as connection:
            if not index.exists(connection):
                blocks.index_again(connection, ids=True)
    finally:
        database.close()


def _keep(store: Path, kept: Path) -> None:
    """Keep the former store as `kept`. The file stays in its place until the new one takes it: one that is stopped in
    between must not leave a project without its store, whose next command would make an empty one."""
    # There are none but of a damaged store. Left in place, another file's log would be taken in by the new one.
    for end in _SIDE_FILES:
        if (part := store.with_name(f"{store.name}{end}")).exists():
            shutil.move(part, kept.with_name(f"{kept.name}{end}"))
    if store.is_dir():
        store.rename(kept)
        return
    try:
        os.link(store, kept)
    except OSError:  # another disk, or one that knows no links
        with files.replacing(kept, durable=True) as copy:
            shutil.copy2(store, copy)


def refuse_while_in_use(store: Path) -> None:
    """Raises `StoreError` while another process has the SQLite file open.

    SQLite leaves the write-ahead log only where no other connection is open. A file too damaged for that question is
    looked for among the open files of all processes that may be seen.
    """
    try:
        with closing(sqlite3.connect(store, timeout=1.0)) as connection:
            mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
            if mode != "delete":
                raise _in_use("another process")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise _in_use("another process") from None
    except sqlite3.DatabaseError:
        pass
    own = {os.getpid()}
    for process in psutil.process_iter(["pid"]):
        try:
            if process.pid not in own and any(
                Path(opened.path) == store.resolve() for opened in process.open_files()
            ):
                raise _in_use(f"process {process.pid} ({process.name()})")
        except (psutil.Error, OSError):
            continue


def _replace_rows(database: Database, file: Path, kept: Path, tell: Tell) -> str:
    """PostgreSQL: the former rows go to a backup file, then all tables are written again in one transaction."""
    with database.reading() as connection:
        others = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        ).scalar_one()
    if others:
        raise _in_use("another connection" if others == 1 else f"{others} other connections")
    backup(database.url, kept, tell=tell)
    with tempfile.TemporaryDirectory(prefix="freehold-restore-") as folder:
        copy = Path(folder) / "store"
        copy_file(file, copy, lambda done, total: None)
        backed_up = Database(file_url(copy), as_is=True)
        try:
            with backed_up.reading() as source, database.writing() as target:
                # The audit record only grows; here it is exchanged for the backup's, and the former one is kept.
                target.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
                for table in reversed(metadata.sorted_tables):
                    target.execute(delete(table))
                copy_all(source, target, tell)
                target.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
        finally:
            backed_up.close()
    return str(kept)
