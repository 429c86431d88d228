"""Room that deleted rows leave in a SQLite file goes back to the disk.

A store that this freehold made keeps track of free pages and gives them back in steps, while others write. One from
before that has to be written again once (`compact`). PostgreSQL gives back room by itself (autovacuum).
"""

from __future__ import annotations

from typing import Any

from freehold.errors import StoreError
from freehold.store.database import Database
from freehold.types.record import Record

_STEP_PAGES = 2_000
_SLACK_PAGES, _SLACK_SHARE = 256, 0.05
"""Free pages that stay for what is written next: this number, and this share of all."""
_INCREMENTAL = 2


class Compacted(Record, frozen=True, kw_only=True):
    """The bytes of a store's file before and after."""

    before_bytes: int
    after_bytes: int


def give_back(database: Database) -> int:
    """Give free pages back to the disk, but for a little, and empty the log where no reader holds it.

    Returns the bytes the file lost; 0 where there is little to give back, or where it is of a time before this could be
    done. Others write between the steps. Raises `StorageError`.
    """
    if database.file is None:
        return 0
    with database.raw_sqlite() as raw:
        size = _number(raw, "page_size")
        if _number(raw, "auto_vacuum") != _INCREMENTAL:
            return 0
        pages, free = _number(raw, "page_count"), _number(raw, "freelist_count")
        surplus = free - _SLACK_PAGES - int(_SLACK_SHARE * (pages - free))
        if surplus < _SLACK_PAGES:
            return 0
        for done in range(0, surplus, _STEP_PAGES):
            # As a script, which runs it to its end: `execute` would stop after the first page.
            raw.executescript(f"PRAGMA incremental_vacuum({min(_STEP_PAGES, surplus - done)})")
        after = _number(raw, "page_count")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return max(0, pages - after) * size


def compact(database: Database) -> Compacted:
    """Write a SQLite store's file again, without gaps, so that it shrinks by itself from then on.

    Needs as much room again while it runs, and others wait. Raises `StoreError` for PostgreSQL, `StorageError` when
    another process holds the store for longer than the time to wait.
    """
    if database.file is None:
        raise StoreError(
            f"the store at {database.where} is not a SQLite file",
            hint="PostgreSQL gives back room by itself; its command is VACUUM FULL",
        )
    before = _bytes(database)
    with database.raw_sqlite() as raw:
        raw.execute(f"PRAGMA auto_vacuum={_INCREMENTAL}")
        raw.execute("VACUUM")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return Compacted(before_bytes=before, after_bytes=_bytes(database))


def _bytes(database: Database) -> int:
    assert database.file is not None
    log = database.file.with_name(f"{database.file.name}-wal")
    return sum(one.stat().st_size for one in (database.file, log) if one.exists())


def _number(raw: Any, pragma: str) -> int:
    return int(raw.execute(f"PRAGMA {pragma}").fetchone()[0])
