"""The index of words and tags: which blocks of traces may hold what is looked for, by the place of their first trace.

On SQLite an FTS5 table without content (https://www.sqlite.org/fts5.html, section 4.4.3), whose rows can be deleted
from SQLite 3.43 on; with an older one there is no index, and all blocks are read. On PostgreSQL a `tsvector` with GIN.
Neither keeps positions: a block that is found is read, and each of its traces compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, text

LONGEST = 256
"""Longer words are not in the index: PostgreSQL takes no lexeme of 2 KB."""
AT_ONCE = 1_000
_FTS5 = """
    CREATE VIRTUAL TABLE trace_words USING fts5(
        words, content='', contentless_delete=1, detail=none, tokenize="ascii tokenchars '='")
"""
_POSTGRESQL = (
    "CREATE TABLE trace_words (place bigint PRIMARY KEY, words tsvector NOT NULL)",
    "CREATE INDEX trace_words_words ON trace_words USING gin (words)",
)
_BY_LIST = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL jit = off"
"""PostgreSQL takes any word for a share of all blocks, and would read all of them."""


def make(connection: Connection) -> None:
    """Begin an index that has nothing in it, where there can be one."""
    connection.exec_driver_sql("DROP TABLE IF EXISTS trace_words")
    if _is_postgresql(connection):
        for statement in _POSTGRESQL:
            connection.exec_driver_sql(statement)
    elif _can_delete(connection):
        connection.exec_driver_sql(_FTS5)


def exists(connection: Connection) -> bool:
    """Whether there is an index."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'trace_words'"
    return _is_postgresql(connection) or connection.exec_driver_sql(query).first() is not None


def insert(connection: Connection, blocks: Iterable[tuple[int, set[str]]]) -> None:
    """Take in the terms of blocks, each with its place."""
    rows = list(blocks)
    if not rows or not exists(connection):
        return
    if _is_postgresql(connection):
        statement = text("INSERT INTO trace_words VALUES (:place, array_to_tsvector(CAST(:words AS text[])))")
        values = [
            {"place": place, "words": [one for one in terms if len(one) <= LONGEST]} for place, terms in rows
        ]
        connection.execute(statement, values)
        return
    connection.exec_driver_sql(
        "INSERT INTO trace_words (rowid, words) VALUES (?, ?)",
        [(place, " ".join(terms)) for place, terms in rows],
    )


def remove(connection: Connection, places: Iterable[int]) -> None:
    """Leave out what is known of the blocks at these places."""
    rows = [{"place": place} for place in places]
    if rows and exists(connection):
        column = "place" if _is_postgresql(connection) else "rowid"
        connection.execute(text(f"DELETE FROM trace_words WHERE {column} = :place"), rows)  # noqa: S608 (a name)


def find(
    connection: Connection, terms: Iterable[str], first: int, last: int, *, newest_first: bool
) -> Iterator[int]:
    """The places from `first` to `last` of blocks that have all the terms, in order; with a star one begins a word."""
    postgresql = _is_postgresql(connection)
    column = "place" if postgresql else "rowid"
    has = "words @@ CAST(:terms AS tsquery)" if postgresql else "trace_words MATCH :terms"
    statement = text(
        f"SELECT {column} FROM trace_words WHERE {has} AND {column} BETWEEN :first AND :last "  # noqa: S608 (names)
        f"ORDER BY {column} {'DESC' if newest_first else ''} LIMIT {AT_ONCE}"
    )
    if postgresql:
        connection.exec_driver_sql(_BY_LIST)
        match = " & ".join(f"'{one.rstrip('*')}'{':*' if one.endswith('*') else ''}" for one in terms)
    else:
        match = " AND ".join(f'"{one.rstrip("*")}"{" *" if one.endswith("*") else ""}' for one in terms)
    while True:
        values = {"terms": match, "first": first, "last": last}
        places = list(connection.execute(statement, values).scalars())
        yield from places
        if len(places) < AT_ONCE:
            return
        first, last = (first, places[-1] - 1) if newest_first else (places[-1] + 1, last)


def drop_deleted(raw: Any) -> None:
    """Leave nothing of deleted words, on a connection of SQLite's driver: deleting marks them until they are merged."""
    if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'trace_words'").fetchone() is not None:
        raw.execute("INSERT INTO trace_words(trace_words) VALUES('optimize')")


def drop_recovered(raw: Any) -> None:
    """What SQLite's shell recovers of a store has the tables below the index, but not the index."""
    if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'trace_words'").fetchone() is None:
        for part in ("data", "idx", "content", "docsize", "config"):
            raw.execute(f"DROP TABLE IF EXISTS trace_words_{part}")


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _can_delete(connection: Connection) -> bool:
    """Whether this SQLite can keep words so that they can be forgotten."""
    version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    modules = connection.exec_driver_sql("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").first()
    return modules is not None and tuple(map(int, version.split(".")[:2])) >= (3, 43)
