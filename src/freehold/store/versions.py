"""Traces of a file: an import leaves exactly what the file holds now, each row in place of its earlier version.

A row has a key that stays the same while its content changes. Earlier versions and rows that are gone from the file are
marked, not deleted: readers do not see them, what was made from them can still be looked up, and a row that comes back
is taken up again. A run that is stopped leaves whole rows; running it again finishes the work.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, delete, or_, select, update

from freehold.late import np
from freehold.store import counting
from freehold.store.database import Database
from freehold.store.tables import to_micros, traces
from freehold.store.traces import TRACE_BATCH, insert_ignoring, one_batch_at_a_time, trace_row
from freehold.types.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt

_LOOKUP = select(traces.c.seq, traces.c.id, traces.c.origin, traces.c.row_key, traces.c.replaced_at)


class FileRow(NamedTuple):
    """One row of a file as it is now. `key` is 32 hex digits and names the row whatever it holds."""

    key: str
    trace: Trace


class BroughtIn(NamedTuple):
    """What an import changed. `replaced` counts rows whose content is another now, `gone` those the file lost."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    gone: int = 0


def bring_in(database: Database, origin: str, rows: Iterable[FileRow], *, at: datetime) -> BroughtIn:
    """Make what the store holds of `origin` (a file, or a folder of them) the `rows`, and say what changed.

    The id of a trace is of its content, so one that another file holds as well is kept once. Raises
    what reading the rows raises; what was read until then is kept, and nothing counts as gone.
    """
    done = _Work(database, origin, to_micros(at))
    stream = iter(rows)
    while batch := list(islice(stream, TRACE_BATCH)):
        with database.writing(durable=False) as connection:
            one_batch_at_a_time(connection)
            done.batch(connection, batch)
    done.retire()
    return BroughtIn(done.new, done.replaced, done.unchanged, done.gone)


class _Work:
    def __init__(self, database: Database, origin: str, at: int) -> None:
        self._database, self._origin, self._at = database, origin, at
        self._seen = array("Q")
        self.new = self.replaced = self.unchanged = self.gone = 0

    def batch(self, connection: Connection, batch: list[FileRow]) -> None:
        """Write one batch of rows, each together with what it replaces."""
        # Two queries, each by an index; that of the keys is of imported traces only, which must be said.
        same = _LOOKUP.where(traces.c.id.in_([row.trace.id for row in batch]))
        by_id: dict[str, Any] = {row.id: row for row in connection.execute(same)}
        held = traces.c.row_key.in_([row.key for row in batch]) & traces.c.origin.is_not(None)
        current = connection.execute(_LOOKUP.where(held, traces.c.replaced_at.is_(None)))
        holders = {row.row_key: row.id for row in current}
        inserted: dict[str, dict[str, Any]] = {}
        retired: list[str] = []
        for key, trace in batch:
            self._seen.append(_number(key))
            known, holder = by_id.get(trace.id), holders.get(key)
            displaces = holder is not None and holder != trace.id
            if displaces and holder is not None:
                retired.append(holder)
            if trace.id in inserted:
                continue
            place = {"origin": trace.source.partition("#")[0], "row_key": key, "replaced_at": None}
            if known is not None and known.replaced_at is None and trace.id not in retired:
                self.unchanged += 1
                if known.origin is not None and known.row_key != key and not self._mine(known.origin):
                    continue  # another file holds the same, and keeps it
                if known.row_key != key:
                    if holders.get(known.row_key) == trace.id:
                        del holders[known.row_key]
                    self._claim(connection, trace.id, place)
            else:
                if known is not None:  # it comes back: as the newest
                    connection.execute(delete(traces).where(traces.c.id == trace.id))
                    if trace.id in retired:
                        retired.remove(trace.id)
                inserted[trace.id] = {**trace_row(trace), **place}
                self.new += not displaces
                self.replaced += displaces
            holders[key] = trace.id
        if retired:
            self._retire(connection, retired)
        if inserted:
            insert_ignoring(connection, list(inserted.values()))
        if retired or inserted:
            counting.raised(connection, counting.TRACES)

    def retire(self) -> None:
        """Mark what the file does not hold any more."""
        seen = np.unique(np.frombuffer(self._seen, dtype=np.uint64)) if self._seen else np.empty(0, np.uint64)
        inside = traces.c.origin.startswith(f"{self._origin}/", autoescape=True)
        of_file = or_(traces.c.origin == self._origin, inside)
        for rows in self._pages(of_file):
            keys = np.fromiter((_number(row.row_key) for row in rows), np.uint64, len(rows))
            lost = [row.id for row, held in zip(rows, _are_among(keys, seen), strict=True) if not held]
            self.gone += self._mark(lost)

    def _pages(self, where: Any) -> Iterator[list[Any]]:
        last = 0
        while True:
            query = _LOOKUP.where(where, traces.c.replaced_at.is_(None), traces.c.seq > last)
            with self._database.reading() as connection:
                rows = list(connection.execute(query.order_by(traces.c.seq).limit(TRACE_BATCH)).all())
            if not rows:
                return
            yield rows
            last = rows[-1].seq

    def _mark(self, ids: list[str]) -> int:
        if not ids:
            return 0
        with self._database.writing() as connection:
            counting.raised(connection, counting.TRACES)
            return self._retire(connection, ids)

    def _retire(self, connection: Connection, ids: list[str]) -> int:
        change = update(traces).where(traces.c.id.in_(ids)).values(replaced_at=self._at)
        return connection.execute(change).rowcount

    def _claim(self, connection: Connection, id: str, place: dict[str, Any]) -> None:
        connection.execute(update(traces).where(traces.c.id == id).values(place))

    def _mine(self, origin: str) -> bool:
        return origin == self._origin or origin.startswith(f"{self._origin}/")


def _are_among(keys: npt.NDArray[np.uint64], seen: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Which keys are among the ascending ones that were `seen`: a look-up each, where `isin` sorts all of them again
    for every page (a quarter of an hour for a million rows)."""
    if not len(seen):
        return np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(seen, keys), len(seen) - 1)
    return np.equal(seen[at], keys)


def _number(key: str) -> int:
    return int(key[:16], 16)
