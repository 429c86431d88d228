"""The tables of a new store, and the number by which a store of another version of freehold is known and refused."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, insert, inspect, select

from freehold.errors import StoreError
from freehold.store import words
from freehold.store.tables import OPEN, metadata, one_at_a_time, store_facts
from freehold.types.record import content_id

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
    words.make(connection)
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
