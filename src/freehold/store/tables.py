"""The tables of a store.

Bodies are JSON; a trace's body is JSON compressed with zstandard. Columns next to a body exist to be
searched. Times are UTC, stored as microseconds since 1970: SQLite has no type for them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import UserDefinedType

metadata = MetaData()


class _SearchWords(UserDefinedType[str]):
    """PostgreSQL's TSVECTOR, written and read by SQL alone. SQLAlchemy's own would bring all of that dialect."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "TSVECTOR"


# SQLite counts rows by itself only in a column of type INTEGER.
_Sequence = BigInteger().with_variant(Integer(), "sqlite")

RECORDED = "source = 'gateway'"
"""What a gateway recorded. As a condition it is written out: SQLite takes an index of a part only where it sees by the
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

traces = Table(
    "traces",
    metadata,
    Column("seq", _Sequence, Identity(), primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False),
    Column("source", String, nullable=False),
    Column("model", String, nullable=False),
    Column("route", String),
    Column("completeness", String, nullable=False),
    Column("parent_id", String),
    Column("body", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger),
    Column("origin", String),
    Column("row_key", String),
    Column("replaced_at", BigInteger),
    Index("traces_at", "at"),
    Index("traces_route", "route", "seq"),
    Index("traces_parent", "parent_id"),
    sqlite_autoincrement=True,
)

trace_facets = Table(
    "trace_facets",
    metadata,
    Column(
        "seq", _Sequence, ForeignKey("traces.seq", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    Column("at", BigInteger, nullable=False),
    Column("endpoint", String),
    Column("arm", String, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error", Boolean, nullable=False),
    Column("fallback", String),
    Column("user_name", String),
    Column("api_key", String),
    Column("conversation_id", String),
    Column("upstream_id", String),
    Column("ttft_ms", Float),
    Column("total_ms", Float),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("words", Text().with_variant(_SearchWords(), "postgresql")),
    Index("trace_facets_at", "at", "seq"),
)
"""What a search reads of a trace instead of its body, up to the place that the counter `traces_indexed` says.

Words and tags are in `words` on PostgreSQL, in the FTS5 table `trace_words` next to it on SQLite, which the first batch
makes. Rows leave with their trace, by a trigger and a foreign key.
"""

trace_counts = Table(
    "trace_counts",
    metadata,
    Column("width_s", Integer, primary_key=True, autoincrement=False),
    Column("begins_s", BigInteger, primary_key=True, autoincrement=False),
    Column("route", String, primary_key=True),
    Column("arm", String, primary_key=True),
    Column("outcome", String, primary_key=True),
    Column("time_class", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("fallbacks", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
)
"""How many requests there were in each stretch of `width_s` seconds. They stay when traces are forgotten."""

answered_counts = Table(
    "answered_counts",
    metadata,
    Column("width_s", Integer, primary_key=True, autoincrement=False),
    Column("begins_s", BigInteger, primary_key=True, autoincrement=False),
    Column("endpoint", String, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
)
"""What each endpoint answered of the requests that were sent to the candidate's side, in each stretch of time."""

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

usage_windows = Table(
    "usage_windows",
    metadata,
    Column("name", String, primary_key=True),
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
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
