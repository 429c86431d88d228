"""Rows from before schema 0004 get their checksums, in batches: a running gateway goes on writing in between."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import and_, update

from freehold.store.care.rows import SEALED, key_of, pages
from freehold.store.damage import SEEN, DamagedBody
from freehold.store.database import Database
from freehold.types.record import Record


class SealedRows(Record, frozen=True, kw_only=True):
    """Rows of a store that got a checksum now; 0 where every row had one."""

    rows: int


def seal_old(database: Database, tell: Callable[[int], None] = lambda looked_at: None) -> int:
    """Add checksums to all rows that have none. Returns how many there were; damaged ones are noted and left.

    What is sealed stays sealed when this is stopped in the middle; the next run passes over it. `tell` gets the number
    of rows looked at so far.
    """
    looked_at = sealed = 0
    for kind in SEALED:
        after = None
        while True:
            with database.reading() as connection:
                rows = next(pages(connection, kind.table, after=after), [])
            if not rows:
                break
            after = key_of(kind.table, rows[-1])
            old = [row for row in rows if kind.unsealed(row)]
            if old:
                with database.writing() as connection:
                    for row in old:
                        try:
                            values = kind.sealed(row)
                        except DamagedBody as error:
                            SEEN.note(kind.name, kind.key(row), str(error))
                            continue
                        columns = [*kind.table.primary_key, *(kind.table.c[name] for name in values)]
                        # Only where it is still what was read: a gateway may have written the row in between.
                        same = and_(*(column == getattr(row, column.name) for column in columns))
                        changed = connection.execute(update(kind.table).where(same).values(values))
                        sealed += changed.rowcount
            looked_at += len(rows)
            tell(looked_at)
    return sealed
