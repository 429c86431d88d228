"""Room that deleted rows leave in a SQLite file goes back to the disk.

A store keeps track of free pages and gives them back in steps, while others write. PostgreSQL gives back room by itself
(autovacuum).
"""

from __future__ import annotations

from typing import Any

from freehold.store.database import Database

_STEP_PAGES = 2_000
_SLACK_PAGES, _SLACK_SHARE = 256, 0.05
"""Free pages that stay for what is written next: this number, and this share of all."""


def give_back(database: Database) -> int:
    """Give free pages back to the disk, but for a little, and empty the log where no reader holds it.

    Returns the bytes the file lost; 0 where there is little to give back. Others write between the steps. Raises
    `StorageError`.
    """
    if database.file is None:
        return 0
    with database.raw_sqlite() as raw:
        size = _number(raw, "page_size")
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


def _number(raw: Any, pragma: str) -> int:
    return int(raw.execute(f"PRAGMA {pragma}").fetchone()[0])
