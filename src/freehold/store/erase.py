"""Rows leave a store, their bytes its files, and the room they took goes back to the disk.

A SQLite store keeps track of free pages and gives them back in steps, while others write. PostgreSQL gives back room by
itself (autovacuum).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import delete, insert, select

from freehold.store import blocks, damage, index
from freehold.store.check import BATCH, SEALED, key_of, pages
from freehold.store.damage import SEEN, DamagedBody
from freehold.store.database import Database
from freehold.store.tables import records, store_facts
from freehold.store.traces import keep_removed, looked_traces

Mentions = Callable[[bytes], bool]
KEPT_KINDS = ("api_key", "file_route", "forget_receipt", "retention_clock", "look", "look_removal")
"""Records that say nothing of requests. A look holds hashes of questions and of ids of traces: with them would go the
count of looks."""
_DERIVED = ("records", "rollout_windows")
_CHECKPOINT_WITHIN_S = 20.0
_DUE = "scrub_due"
_STEP_PAGES = 2_000
_SLACK_PAGES, _SLACK_SHARE = 256, 0.05
"""Free pages that stay for what is written next: this number, and this share of all."""


def erase_traces(database: Database, ids: Iterable[str], *, dry_run: bool = False) -> int:
    """Delete traces and what was mirrored from them. Returns how many there were; with `dry_run` they stay."""
    names, gone, looked = list(ids), 0, looked_traces(database)
    for start in range(0, len(names), BATCH):
        some = set(names[start : start + BATCH])
        with database.reading() if dry_run else database.writing() as connection:
            mirrors = blocks.mirrored_from(connection, some)
            both = some | {head.id for head in mirrors}
            if dry_run:
                gone += len(blocks.places_of(connection, [blocks.id_key(id) for id in both]))
                continue
            went = blocks.erase(connection, both)
            keep_removed(connection, looked, went)
            gone += len(went)
    return gone


def erase_mentions(
    database: Database,
    mentions: Mentions,
    *,
    steps: Mentions = lambda content: False,
    dry_run: bool = False,
) -> Counter[str]:
    """Delete records and windows that mention a person, and results of steps that `steps` says yes to.

    Returns how many of each, by the kind of record or the table. A damaged row is noted and stays. With `dry_run` all
    stay.
    """
    gone: Counter[str] = Counter()
    for kind in SEALED:
        if kind.name not in _DERIVED:
            continue
        after = None
        while True:
            with database.reading() as connection:
                rows = next(pages(connection, kind.table, after=after), [])
            if not rows:
                break
            after = key_of(kind.table, rows[-1])
            for row in rows:
                if kind.table is records and row.kind in KEPT_KINDS:
                    continue
                try:
                    content = b"\n".join(
                        damage.unseal(getattr(row, column), *about)
                        for column, about in kind.about(row).items()
                    )
                except DamagedBody as error:
                    SEEN.note(kind.name, kind.key(row), str(error))
                    continue
                content += b"\n" + kind.key(row).encode()
                step = kind.table is records and row.kind.startswith("step:")
                if not mentions(content) and not (step and steps(content)):
                    continue
                gone[row.kind.partition(":")[0] if kind.table is records else kind.name] += 1
                if not dry_run:
                    same = [column == getattr(row, column.name) for column in kind.table.primary_key]
                    with database.writing() as connection:
                        connection.execute(delete(kind.table).where(*same))
    return gone


def expect_scrub(database: Database) -> None:
    """Keep that `scrub` is due, before anything is deleted: where it fails, a later run finds no rows to delete, and
    their bytes in the files."""
    with database.writing() as connection:
        connection.execute(delete(store_facts).where(store_facts.c.name == _DUE))
        connection.execute(insert(store_facts).values(name=_DUE, value="1"))


def scrub_is_due(database: Database) -> bool:
    """Whether rows were deleted whose bytes may still be in the files."""
    with database.reading() as connection:
        return connection.execute(select(store_facts).where(store_facts.c.name == _DUE)).first() is not None


def scrub(database: Database) -> bool:
    """Leave nothing of deleted rows in a SQLite store's files: they are written again, and the log is emptied.

    False where a reader held the log for too long; PostgreSQL does this by itself (VACUUM), and says True.
    """
    if not _scrubbed(database):
        return False
    with database.writing() as connection:
        connection.execute(delete(store_facts).where(store_facts.c.name == _DUE))
    return True


def _scrubbed(database: Database) -> bool:
    if database.file is None:
        return True
    with database.raw_sqlite() as raw:
        raw.execute("PRAGMA secure_delete=ON")
        index.drop_deleted(raw)
        raw.execute("VACUUM")
        deadline = time.monotonic() + _CHECKPOINT_WITHIN_S
        while raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
    return True


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
