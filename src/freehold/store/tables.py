"""The tables of a store.

Bodies are JSON; those of traces are compressed, a block of them together. Columns next to a body exist to be
searched. Times are UTC, stored as microseconds since 1970: SQLite has no type for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# SQLite counts rows by itself only in a column of type INTEGER.
_Sequence = BigInteger().with_variant(Integer(), "sqlite")

OPEN = "NOT closed"
"""Blocks that take more. As a condition it is written out: SQLite takes an index of a part only where it sees by the
text that the part is meant (https://www.sqlite.org/partialindex.html, section 3)."""

records = Table(
    "records",
    metadata,
    Column("seq", _Sequence, Identity(), primary_key=True),
    Column("kind", String, nullable=False),
    Column("id", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("made_from", LargeBinary, nullable=False),
    UniqueConstraint("kind", "id", name="records_kind_id"),
    sqlite_autoincrement=True,
)

trace_blocks = Table(
    "trace_blocks",
    metadata,
    Column("place", _Sequence, primary_key=True, autoincrement=False),
    Column("traces", Integer, nullable=False),
    Column("complete", Integer, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("at_min", BigInteger, nullable=False),
    Column("at_max", BigInteger, nullable=False),
    Column("recorded_at", BigInteger),
    Column("size_bytes", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    # All but the body and `closed`: what is asked of all blocks is answered without their pages.
    Index("trace_blocks_facts", "at_min", "at_max", "recorded_at", "traces", "complete", "size_bytes"),
)
"""Traces in the order they arrived, up to `blocks.MOST` in a row. `place` is that of its first line: the place of a
trace follows from its line, and that of one which is gone is an empty line. `recorded_at` is the latest date of what a
gateway recorded. A block that is not `closed` takes more, and is not in the index of words yet.

The index is not among these tables: `trace_words` is an FTS5 table on SQLite, a `tsvector` with GIN on PostgreSQL.
"""

trace_ids = Table(
    "trace_ids",
    metadata,
    Column("id", LargeBinary, primary_key=True),
    Column("place", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Where each trace is, by its id as `blocks.id_key` packs it."""

imported_traces = Table(
    "imported_traces",
    metadata,
    Column("id", String, primary_key=True),
    Column("place", BigInteger, nullable=False),
    Column("origin", String, nullable=False),
    Column("row_key", String, nullable=False),
    Column("replaced_at", BigInteger),
    Index("imported_traces_origin", "origin", "place"),
    Index("imported_traces_row_key", "row_key"),
)
"""Of which row of which file a trace was imported, and when another one took its place."""

trace_counts = Table(
    "trace_counts",
    metadata,
    Column("width_s", Integer, primary_key=True, autoincrement=False),
    Column("begins_s", BigInteger, primary_key=True, autoincrement=False),
    Column("route", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("endpoint", String, primary_key=True),
    Column("outcome", String, primary_key=True),
    Column("time_class", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    sqlite_with_rowid=False,  # or SQLite keeps the key twice
)
"""How many requests there were in each stretch of `width_s` seconds. They stay when traces are forgotten."""

routes = Table(
    "routes",
    metadata,
    Column("name", String, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

route_history = Table(
    "route_history",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("why", String, nullable=False),
    Column("verdict_id", String),
    Column("body", LargeBinary),
    Index("route_history_name", "name", "revision"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", BigInteger, nullable=False),
)

steps = Table(
    "steps",
    metadata,
    Column("name", String, primary_key=True),
    Column("inputs_hash", String, nullable=False),
    Column("outputs", LargeBinary, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
)

spending = Table(
    "spending",
    metadata,
    Column("name", String, primary_key=True),
    Column("day", String, primary_key=True),
    Column("nano_usd", BigInteger, nullable=False),
)

bill_marks = Table(
    "bill_marks",
    metadata,
    Column("worker", String, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

limit_shares = Table(
    "limit_shares",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("owner", String, primary_key=True),
    Column("held", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("short", Boolean, nullable=False),
    Column("alone", Boolean, nullable=False),
    Column("until", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("until", BigInteger, nullable=False),
)

rollout_states = Table(
    "rollout_states",
    metadata,
    Column("rollout", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

rollout_windows = Table(
    "rollout_windows",
    metadata,
    Column("rollout", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("unit", String, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("rollout_windows_open", "rollout", "closed", "seq"),
)


store_facts = Table(
    "store_facts",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("source", String, nullable=False),
    Column("action", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("why", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("previous", String, nullable=False),
    Column("hash", String, nullable=False),
    Index("audit_at", "at"),
)


def insert_many(
    connection: Connection, table: Table, rows: Sequence[Sequence[Any]], conflict: str = ""
) -> None:
    """Insert rows, each with all columns in their order. On SQLite not through SQLAlchemy's handling of each value: a
    gateway writes thousands of rows a second."""
    names = list(table.columns.keys())
    sqlite = connection.dialect.name == "sqlite"
    marks = ", ".join("?" if sqlite else f":{name}" for name in names)
    sql = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks}) {conflict}"  # noqa: S608 (names)
    if sqlite:
        connection.exec_driver_sql(sql, list(map(tuple, rows)))
    else:
        connection.execute(text(sql), [dict(zip(names, row, strict=True)) for row in rows])


_MOST = (1 << 63) - 1


def searchable(value: Any) -> Any:
    """A value as a column next to a body holds it: PostgreSQL takes no NUL, no column a number of more than 64 bits,
    and the body has both (https://www.postgresql.org/docs/current/datatype-character.html)."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, int) and not -_MOST <= value <= _MOST:
        return _MOST if value > 0 else -_MOST
    return value


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_micros(at: datetime) -> int:
    """Microseconds since 1970; a time without a zone is taken as UTC."""
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """The UTC time that `to_micros` was given."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


def one_at_a_time(connection: Connection, lock: int) -> None:
    """Wait until no other transaction of the store holds the lock of that number, and hold it until this one ends.
    SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})
