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

from sqlalchemy import Connection, delete, insert, or_, select, update

from freehold.late import np
from freehold.store import blocks, counting
from freehold.store.database import Database
from freehold.store.tables import imported_traces, to_micros
from freehold.store.traces import TRACE_BATCH
from freehold.types.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt


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
            blocks.one_batch_at_a_time(connection)
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
        keys = blocks.places_of(connection, [blocks.id_key(row.trace.id) for row in batch])
        here = {row.trace.id for row in batch if blocks.id_key(row.trace.id) in keys}
        same = select(imported_traces).where(imported_traces.c.id.in_(here))
        by_id: dict[str, Any] = {row.id: row for row in connection.execute(same)}
        held = imported_traces.c.row_key.in_([row.key for row in batch])
        current = connection.execute(
            select(imported_traces).where(held, imported_traces.c.replaced_at.is_(None))
        )
        holders = {row.row_key: row.id for row in current}
        inserted: dict[str, tuple[Trace, dict[str, Any]]] = {}
        retired: list[str] = []
        again: list[str] = []
        for key, trace in batch:
            self._seen.append(_number(key))
            known, holder = by_id.get(trace.id), holders.get(key)
            displaces = holder is not None and holder != trace.id
            if displaces and holder is not None:
                retired.append(holder)
            if trace.id in inserted:
                continue
            place = {"origin": trace.source.partition("#")[0], "row_key": key}
            replaced = known is not None and known.replaced_at is not None
            if trace.id in here and not replaced and trace.id not in retired:
                self.unchanged += 1
                if known is not None and known.row_key != key and not self._mine(known.origin):
                    continue  # another file holds the same, and keeps it
                if known is None or known.row_key != key:
                    if known is not None and holders.get(known.row_key) == trace.id:
                        del holders[known.row_key]
                    self._claim(connection, trace.id, keys[blocks.id_key(trace.id)], place)
            else:
                if trace.id in here:  # it comes back: as the newest
                    again.append(trace.id)
                    if trace.id in retired:
                        retired.remove(trace.id)
                inserted[trace.id] = trace, place
                self.new += not displaces
                self.replaced += displaces
            holders[key] = trace.id
        if retired:
            self._retire(connection, retired)
        if again:
            blocks.erase(connection, again)
        placed = blocks.add(connection, [trace for trace, _ in inserted.values()])
        if placed:
            rows = [{"id": one.id, "place": at, **inserted[one.id][1]} for at, one in placed]
            connection.execute(insert(imported_traces), rows)
        if retired or inserted:
            counting.raised(connection, counting.TRACES)

    def retire(self) -> None:
        """Mark what the file does not hold any more."""
        seen = np.unique(np.frombuffer(self._seen, dtype=np.uint64)) if self._seen else np.empty(0, np.uint64)
        inside = imported_traces.c.origin.startswith(f"{self._origin}/", autoescape=True)
        of_file = or_(imported_traces.c.origin == self._origin, inside)
        for rows in self._pages(of_file):
            keys = np.fromiter((_number(row.row_key) for row in rows), np.uint64, len(rows))
            lost = [row.id for row, held in zip(rows, _are_among(keys, seen), strict=True) if not held]
            self.gone += self._mark(lost)

    def _pages(self, where: Any) -> Iterator[list[Any]]:
        last = 0
        place = imported_traces.c.place
        while True:
            query = select(imported_traces).where(
                where, imported_traces.c.replaced_at.is_(None), place > last
            )
            with self._database.reading() as connection:
                rows = list(connection.execute(query.order_by(place).limit(TRACE_BATCH)).all())
            if not rows:
                return
            yield rows
            last = rows[-1].place

    def _mark(self, ids: list[str]) -> int:
        if not ids:
            return 0
        with self._database.writing() as connection:
            counting.raised(connection, counting.TRACES)
            return self._retire(connection, ids)

    def _retire(self, connection: Connection, ids: list[str]) -> int:
        change = update(imported_traces).where(imported_traces.c.id.in_(ids)).values(replaced_at=self._at)
        return connection.execute(change).rowcount

    def _claim(self, connection: Connection, id: str, place: int, row: dict[str, Any]) -> None:
        connection.execute(delete(imported_traces).where(imported_traces.c.id == id))
        connection.execute(insert(imported_traces).values(id=id, place=place, **row))

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
