"""One database: connections, transactions, and the pragmas that let several processes share a SQLite file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event

from freehold import files
from freehold.errors import MissingExtraError, StoreError
from freehold.store import schema
from freehold.store.faults import translated
from freehold.store.urls import parsed

BUSY_TIMEOUT_MS = 10_000


class Database:
    """A connection pool with two kinds of transaction: `reading` and `writing`.

    Safe to use from several threads and, each with a `Database` of its own, from several processes.
    """

    def __init__(self, url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS, as_is: bool = False) -> None:
        """`as_is` opens what is there to look at it: nothing is made or written."""
        where = parsed(url)
        self.url = url
        self.where = where.database or ":memory:"
        if where.get_backend_name() == "postgresql":
            self.where = where.set(drivername="postgresql").render_as_string(hide_password=True)
        self._file = Path(self.where) if where.get_backend_name() == "sqlite" and where.database else None
        self.folder = None if self._file is None else self._file.absolute().parent
        """Where it lies; None of a server's, and of one in memory."""
        if not as_is:
            self._prepare_folder()
        elif self._file is not None and not self._file.exists():
            raise StoreError(
                f"there is no store at {self.where}", hint="freehold up or freehold import makes one"
            )
        elif is_frozen(self._file):
            where = where.set(database=frozen_uri(self._file), query={"immutable": "1", "uri": "true"})
        try:
            self._engine = create_engine(where, pool_pre_ping=where.get_backend_name() != "sqlite")
        except ImportError:
            raise MissingExtraError("PostgreSQL", "postgres") from None
        if where.get_backend_name() == "sqlite":
            _prepare_sqlite(self._engine, busy_timeout_ms, as_is=as_is)
        if as_is:
            return
        try:
            with self.writing() as connection:
                schema.prepare(connection, self.where)
        except BaseException:
            self.close()
            raise
        self._inode = self._inode_now()

    def was_replaced(self) -> bool:
        """Whether the path now leads to another file than the one that is open, or to none: what is written here would
        be seen by no other process."""
        return self._file is not None and self._inode_now() != self._inode

    def _inode_now(self) -> tuple[int, int] | None:
        if self._file is None:
            return None
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @property
    def file(self) -> Path | None:
        """The SQLite file itself, where a link leads to it: SQLite keeps its log next to that. None for a store in
        memory and for PostgreSQL."""
        return None if self._file is None else self._file.resolve()

    @property
    def dialect(self) -> str:
        return self._engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one state and changes nothing."""
        with translated(self.where), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, *, durable: bool = True) -> Iterator[Connection]:
        """A transaction that commits at the end, or leaves nothing behind.

        A `durable` one is on the disk when it has committed, so that a power failure cannot take back a key that was
        revoked or money that was booked. Others may be lost with the last seconds before one. PostgreSQL syncs each.
        """
        with translated(self.where), self._engine.connect() as connection:
            connection = connection.execution_options(freehold_writes=True, freehold_durable=durable)
            with connection.begin():
                yield connection

    @contextmanager
    def raw_sqlite(self) -> Iterator[Any]:
        """The driver's own connection to a SQLite file, outside any transaction: for what cannot be done in one."""
        with self.reading() as connection:
            raw = connection.connection.driver_connection
            assert raw is not None
            connection.rollback()
            yield raw

    def watch(self) -> ChangeWatch:
        """A watch that can be asked again and again whether there is news. Close it before the database."""
        return ChangeWatch(self._engine, self.where)

    def close(self) -> None:
        self._engine.dispose()

    def _prepare_folder(self) -> None:
        if self._file is None:
            return
        with files.writing(
            f"cannot make the folder {self._file.parent}", hint="choose another place: FREEHOLD_STATE=…"
        ):
            self._file.parent.mkdir(parents=True, exist_ok=True)
        if not self._file.exists():
            # It holds prompts: only the owner may read them.
            with files.writing(f"cannot make {self._file}", hint="choose another place: FREEHOLD_STATE=…"):
                self._file.touch(mode=0o600)


def is_frozen(file: Path | None) -> bool:
    """Whether a SQLite file lies where nothing can be written and no process has it open. Only as what cannot change
    can it be read there: SQLite makes files next to a store in its mode (https://www.sqlite.org/wal.html, section 5).
    """
    if file is None or not file.is_file():
        return False
    real = file.resolve()
    return not os.access(real.parent, os.W_OK) and not real.with_name(f"{real.name}-wal").exists()


def frozen_uri(file: Path | None) -> str:
    """What SQLite is given for such a file, before its parameters (https://www.sqlite.org/uri.html)."""
    return f"file:{quote(str(file))}"


class ChangeWatch:
    """Whether anything was written since it was last asked, by any process.

    SQLite counts the commits of others for each connection, which takes some ten microseconds to read; PostgreSQL
    has no such count, so there the answer is always yes. Use it from one thread.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        self._where = where
        self._seen: int | None = None
        with translated(where):
            self._connection = engine.raw_connection() if engine.dialect.name == "sqlite" else None

    def has_news(self) -> bool:
        """True the first time. Raises `StorageError`."""
        if self._connection is None:
            return True
        with translated(self._where):
            cursor = self._connection.cursor()
            now = cursor.execute("PRAGMA data_version").fetchone()[0]
            cursor.close()
        before, self._seen = self._seen, now
        return bool(now != before)

    def forget(self) -> None:
        """What was seen was not taken in: say yes the next time."""
        self._seen = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _prepare_sqlite(engine: Engine, busy_timeout_ms: int, *, as_is: bool) -> None:
    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        # BEGIN is sent explicitly: the driver's own would take the write lock only at the first write,
        # and a read transaction that turns into a writing one fails at once instead of waiting.
        connection.isolation_level = None
        connection.text_factory = _text
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={busy_timeout_ms}")
        if as_is:
            cursor.execute("PRAGMA query_only=ON")
        else:
            if cursor.execute("PRAGMA page_count").fetchone()[0] == 0:
                # So that the file shrinks when traces leave it. Said of a file that is not new, it would be a write.
                cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("PRAGMA journal_mode=WAL")
            # Deleted rows hold customers' words: their bytes are overwritten, however SQLite was compiled.
            cursor.execute("PRAGMA secure_delete=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        writes = options.get("freehold_writes", False)
        if writes:
            # Before BEGIN: within a transaction it cannot be changed.
            level = "FULL" if options.get("freehold_durable", True) else "NORMAL"
            connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _text(value: bytes) -> str:
    """Text that is damaged is still a row: by itself the driver would fail the whole query."""
    return value.decode(errors="replace")
