"""One database: connections, transactions, and the pragmas that let several processes share a SQLite file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
    update,
)
from sqlalchemy.exc import ArgumentError

from freehold import files
from freehold.errors import ConfigError, MissingExtraError, StoreError
from freehold.store import index
from freehold.store.damage import translated
from freehold.store.tables import OPEN, counters, metadata, one_at_a_time, store_facts
from freehold.types.record import content_id
from freehold.visible import without_password

DATABASE_FILE = "freehold.sqlite3"


def default_url(state: Path) -> str:
    """The URL of the SQLite file in a project's state folder."""
    return file_url(state / DATABASE_FILE)


def file_url(file: Path) -> str:
    """The URL of a SQLite file, whatever its path has in it: a question mark would end it, and ``%20`` be a space."""
    return "sqlite:///" + str(file).replace("%", "%25").replace("?", "%3F")


def parsed(url: str) -> URL:
    """A URL with the driver freehold uses filled in.

    Raises `ConfigError` for something that is not a database URL, or a database freehold does not support.
    """
    try:
        result = make_url(url)
    except ArgumentError:
        raise ConfigError(
            f"{without_password(url)!r} is not a database URL",
            hint="write sqlite:///path/to/freehold.sqlite3 or postgresql://user@host/name",
        ) from None
    match result.get_backend_name():
        case "sqlite":
            if result.host or result.username or result.port:
                raise ConfigError(
                    f"{without_password(url)!r} names no file",
                    hint="write three slashes before a path, sqlite:///path/to/freehold.sqlite3, and four where it "
                    "begins at the root",
                )
            path = files.path_in_url(url.partition(":///")[2].partition("?")[0])
            return result.set(drivername="sqlite", database=path or None)
        case "postgresql" | "postgres":
            return result.set(drivername="postgresql+psycopg")
        case other:
            raise ConfigError(
                f"freehold does not store in {other}", hint="write a sqlite:/// or a postgresql:// URL"
            )


def store_file(url: str) -> Path | None:
    """The file of an SQLite store; None for other databases and for one in memory. Raises `ConfigError`."""
    where = parsed(url)
    return Path(where.database) if where.get_backend_name() == "sqlite" and where.database else None


SCHEMA = content_id([[str(one) for one in (t.name, *t.columns.keys())] for t in metadata.sorted_tables])[:8]
"""It follows from the tables' names and columns, so that no change of them can forget it."""
_OF_ANOTHER = "unknown"
_ADVISORY_LOCK = 0x66726565686F6C64  # "freehold"
# Indexes of a part are written out: SQLAlchemy's would load both dialects to begin with, in every process of a gateway.
_INDEXES = (
    f"CREATE INDEX trace_blocks_open ON trace_blocks (place) WHERE {OPEN}",
    "CREATE INDEX imported_traces_replaced ON imported_traces (place) WHERE replaced_at IS NOT NULL",
)
_SQLITE = (
    *_INDEXES,
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit record only grows'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit "
    "BEGIN SELECT RAISE(ABORT, 'the audit record only grows'); END",
    # INSERT OR REPLACE removes a row without asking the trigger on DELETE.
    "CREATE TRIGGER audit_only_at_the_end BEFORE INSERT ON audit "
    "WHEN NEW.number <= (SELECT coalesce(max(number), 0) FROM audit) "
    "BEGIN SELECT RAISE(ABORT, 'the audit record only grows'); END",
)
_POSTGRESQL = (
    *_INDEXES,
    "CREATE FUNCTION freehold_audit_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'the audit record only grows'; END $$",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit "
    "FOR EACH ROW EXECUTE FUNCTION freehold_audit_refuse()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit "
    "FOR EACH STATEMENT EXECUTE FUNCTION freehold_audit_refuse()",
)


def prepare(connection: Connection, where: str) -> None:
    """Make the tables where there are none, inside the caller's transaction, which must hold the write lock on SQLite.

    Raises `StoreError` for a store of another version.
    """
    one_at_a_time(connection, _ADVISORY_LOCK)
    found = version(connection)
    if found == SCHEMA:
        return
    if found is not None:
        raise StoreError(f"the store at {where} {of_another(found)}", hint=BEGIN_AGAIN)
    metadata.create_all(connection)
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL:
        connection.exec_driver_sql(statement)
    index.make(connection)
    facts = {"id": secrets.token_hex(16), "schema": SCHEMA}
    connection.execute(insert(store_facts), [{"name": name, "value": value} for name, value in facts.items()])


BEGIN_AGAIN = (
    "freehold traces export, by the freehold that made it, writes its traces to a file; move the store away (or name "
    "another: FREEHOLD_DATABASE_URL), and freehold import reads the file and your logs into a new one"
)


def of_another(found: str) -> str:
    """What is said of a store that is not of `SCHEMA`."""
    return f"is of another version of freehold: its schema is {found}, this one's is {SCHEMA}"


def version(connection: Connection) -> str | None:
    """The schema's number, None for an empty database."""
    if not inspect(connection).has_table("store_facts"):
        return None
    query = select(store_facts.c.value).where(store_facts.c.name == "schema")
    return connection.execute(query).scalar() or _OF_ANOTHER


ROUTES, KEYS, TRACES, PLACES = "routes", "keys", "traces", "trace_places"
"""`TRACES` counts changes of traces that were there: additions are told by their places, of which `PLACES` counts all
that were ever given."""


def raise_counter(connection: Connection, name: str, by: int = 1) -> int:
    """Raise a count; returns what it is now."""
    changed = connection.execute(
        update(counters).where(counters.c.name == name).values(value=counters.c.value + by)
    )
    if changed.rowcount == 0:
        connection.execute(insert(counters).values(name=name, value=by))
    return counter_value(connection, name)


def counter_value(connection: Connection, name: str) -> int:
    """What a count is; 0 where nothing was ever counted."""
    return int(connection.execute(select(counters.c.value).where(counters.c.name == name)).scalar() or 0)


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
                prepare(connection, self.where)
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
