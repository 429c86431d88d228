"""Traces: added in batches, read in the order they arrived, forgotten by age or size.

A row has a key that stays the same while its content changes. Earlier versions and rows that are gone from the file are
marked, not deleted: readers do not see them, what was made from them can still be looked up, and a row that comes back
is taken up again. A run that is stopped leaves whole rows; running it again finishes the work.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, Unpack

import msgspec
from sqlalchemy import Connection, delete, func, insert, or_, select, update

from freehold.errors import StoreError
from freehold.late import np
from freehold.store import audit, blocks
from freehold.store.blocks import Line, Sought, TraceHead
from freehold.store.damage import CHECK_HINT
from freehold.store.database import PLACES, TRACES, Database, counter_value, raise_counter
from freehold.store.index import term_of
from freehold.store.records import KeptRecord, RecordStore, keep_within
from freehold.store.tables import imported_traces, to_micros, trace_blocks, trace_ids
from freehold.types.audit import Change
from freehold.types.evaluated import ItemLook, LookRemoval
from freehold.types.identity import ID_BYTES, trace_key
from freehold.types.record import event_id
from freehold.types.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt


def looked_traces(database: Database) -> frozenset[bytes]:
    """Ids of the traces that looks were at."""
    packed = b"".join(look.traces for look in RecordStore(database).records(ItemLook))
    return frozenset(packed[at : at + ID_BYTES] for at in range(0, len(packed), ID_BYTES))


def keep_removed(connection: Connection, looked: frozenset[bytes], ids: Iterable[str]) -> None:
    """Keep which of the traces that are deleted, by their ids, are among those `looked` at."""
    if not looked:
        return
    gone = {trace_key(id) for id in ids} & looked
    if gone:
        at = datetime.now(UTC)
        id = event_id(int(at.timestamp() * 1000))
        keep_within(connection, KeptRecord(LookRemoval(id=id, at=at, traces=b"".join(sorted(gone)))))


TRACE_BATCH = 512
FORGOTTEN_AT_ONCE = 256


class TraceFilter(TypedDict, total=False):
    """Which traces are wanted: those that meet everything given. Incomplete ones only when asked for.

    `own_only` leaves out what was mirrored. What a later import replaced is left out unless `replaced`.
    """

    route: str | None
    source_prefix: str | None
    model: str | None
    parent_id: str | None
    since: datetime | None
    until: datetime | None
    complete_only: bool
    own_only: bool
    replaced: bool


class SpreadTraces(NamedTuple):
    """Some traces; `of` is how many there are, `days` the time between the first and the last of all."""

    traces: list[Trace]
    of: int
    days: float


class NewestTrace(NamedTuple):
    """`place` is 0 where there is no trace; `at` is in microseconds, None where no gateway recorded one."""

    place: int
    at: int | None


class TraceStore:
    """The traces of a database. Damaged ones are left out of several and noted; alone one is a `StoreError`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add_traces(self, new: Iterable[Trace]) -> int:
        """Keep traces, batch by batch; one whose id is known is left alone. Returns how many were new."""
        added = 0
        stream = iter(new)
        while batch := list(islice(stream, TRACE_BATCH)):
            # A power failure may take the last seconds of traces; a sync for each batch would cost all others.
            with self.database.writing(durable=False) as connection:
                added += len(blocks.add(connection, batch))
        return added

    def try_to_add(self) -> None:
        """Raise what a trace with nothing in it raises now; nothing is kept."""
        at = datetime.now(UTC)
        plain = Trace(id=f"trial-{at.timestamp()}", at=at, source="", model="", request={}, response=None)
        with self.database.writing(durable=False) as connection, connection.begin_nested() as trial:
            blocks.add(connection, [plain])
            trial.rollback()

    def traces(self, **wanted: Unpack[TraceFilter]) -> Iterator[Trace]:
        """Traces in the order they arrived, read in batches so that any number fits in memory."""
        last = 0
        while found := self.traces_after(last, **wanted):
            yield from (trace for _, trace in found)
            last = found[-1][0]

    def spread_traces(self, most: int) -> SpreadTraces:
        """About `most` complete traces, evenly spread over the order of arrival; all where there are no more."""
        rows = trace_blocks.c
        with self.database.reading() as connection:
            facts = select(func.sum(rows.complete), func.min(rows.at_min), func.max(rows.at_max))
            count, first, last = connection.execute(facts).one()
            every = -(-(count or 0) // most) or 1
            some = select(trace_blocks).where(rows.place // blocks.MOST % every == 0).order_by(rows.place)
            gone = blocks.replaced_places(connection)
            lines = (line for row in connection.execute(some) for line in blocks.lines_of(row))
            read = (line.trace() for line in lines if line.place not in gone)
            traces = [one for one in read if one is not None and one.completeness == "complete"]
        days = ((last or 0) - (first or 0)) / 86_400_000_000
        return SpreadTraces(traces, len(traces) if every == 1 else int(count), days)

    def traces_after(
        self, seq: int, *, most: int = TRACE_BATCH, **wanted: Unpack[TraceFilter]
    ) -> list[tuple[int, Trace]]:
        """The next traces after a place in the order of arrival, each with its own place."""
        return self._some(most, wanted, after=seq)

    def latest_traces(self, most: int, **wanted: Unpack[TraceFilter]) -> list[Trace]:
        """The traces that arrived last, newest first."""
        return [trace for _, trace in self._some(most, wanted, newest_first=True)]

    def _some(self, most: int, wanted: TraceFilter, **how: Any) -> list[tuple[int, Trace]]:
        with closing(self._lines(wanted, **how)) as lines:
            found = ((line.place, trace) for line, _ in lines if (trace := line.trace()))
            return list(islice(found, most))

    def _lines(
        self, wanted: TraceFilter, *, after: int = 0, newest_first: bool = False
    ) -> Generator[tuple[Line, TraceHead]]:
        """What is wanted, still packed, in one transaction."""
        with self.database.reading() as connection:
            replaced = frozenset() if wanted.get("replaced", False) else blocks.replaced_places(connection)
            found = blocks.read(connection, _wanted_blocks(wanted), after=after, newest_first=newest_first)
            for line in (line for lines in found for line in lines if line.place not in replaced):
                head = line.head()
                if head is not None and _is_wanted(head, wanted):
                    yield line, head

    def traces_near(self, tag: str) -> list[Trace]:
        """All traces with a tag (``u`` and a user, ``c`` and a conversation, ``p`` and what was mirrored), and others
        that share a block with one."""
        with self.database.reading() as connection:
            found = (
                line.trace() for lines in blocks.read(connection, Sought((term_of(tag),))) for line in lines
            )
            return [trace for trace in found if trace is not None]

    def trace_names(self, column: Literal["route", "model"]) -> list[str]:
        """The routes, or the models asked for, that traces here name. Reads all of them."""
        every = self._lines({"complete_only": False, "replaced": True})
        return sorted(name for name in {getattr(head, column) for _, head in every} if name)

    def find_traces(self, id_prefix: str, *, most: int = 10) -> list[Trace]:
        """Traces whose id begins with `id_prefix`."""
        with self.database.reading() as connection:
            keys: list[bytes] = []
            for first, last in blocks.key_ranges(id_prefix):
                found = select(trace_ids.c.id).where(trace_ids.c.id.between(first, last)).limit(most)
                keys += connection.execute(found).scalars()
            return [one for one in _traces_of(connection, keys) if one.id.startswith(id_prefix)][:most]

    def traces_bytes(self) -> int:
        """Bytes all traces take, compressed."""
        return self._sum("size_bytes")

    def count_traces(self, **wanted: Unpack[TraceFilter]) -> int:
        """How many traces `traces` would yield."""
        if all(not value for name, value in wanted.items() if name not in ("complete_only", "replaced")):
            with self.database.reading() as connection:
                replaced = not wanted.get("replaced", False) and blocks.replaced_places(connection)
            if not replaced:
                return self._sum("complete" if wanted.get("complete_only", True) else "traces")
        return sum(1 for _ in self._lines(wanted))

    def _sum(self, column: str) -> int:
        with self.database.reading() as connection:
            return int(connection.execute(select(func.sum(trace_blocks.c[column]))).scalar() or 0)

    def get_trace(self, id: str) -> Trace | None:
        """The trace of that id, None when there is none."""
        key = blocks.id_key(id)
        with self.database.reading() as connection:
            found = _traces_of(connection, [key])
            if not found and blocks.places_of(connection, [key]):
                raise StoreError(f"the trace {id} in the store is damaged", hint=CHECK_HINT)
        return found[0] if found else None

    def get_traces(self, ids: Iterable[str]) -> dict[str, Trace]:
        """The traces of these ids that are here."""
        names = iter(dict.fromkeys(ids))
        found: dict[str, Trace] = {}
        with self.database.reading() as connection:
            while some := [blocks.id_key(id) for id in islice(names, TRACE_BATCH)]:
                found.update((one.id, one) for one in _traces_of(connection, some))
        return found

    def replace_trace(self, trace: Trace) -> bool:
        """Write a trace again (a right answer was given later); False when it is not here."""
        key = blocks.id_key(trace.id)
        with self.database.writing() as connection:
            blocks.one_batch_at_a_time(connection)
            places = blocks.places_of(connection, [key])
            if places:
                changed = {places[key]: msgspec.json.encode(trace)}
                blocks.rewrite(connection, blocks.rows_of(connection, [key]), changed)
                raise_counter(connection, TRACES)
            return bool(places)

    def traces_state(self) -> tuple[int, int, int]:
        """Numbers that change whenever a trace comes, goes or is written again: how many there are, how many ever came,
        and how many changes there were."""
        with self.database.reading() as connection:
            count = connection.execute(select(func.sum(trace_blocks.c.traces))).scalar() or 0
            names = (PLACES, TRACES)
            places, changes = (counter_value(connection, name) for name in names)
            return int(count), places, changes

    def newest_trace(self) -> NewestTrace:
        """The place of the trace that arrived last, and the latest date of what a gateway recorded."""
        with self.database.reading() as connection:
            newest = next(blocks.read(connection, Sought(), newest_first=True), [])
            recorded = connection.execute(select(func.max(trace_blocks.c.recorded_at))).scalar()
            return NewestTrace(newest[0].place if newest else 0, recorded)

    def backdated_traces(self, *, after: int, before: datetime) -> int:
        """How many traces a gateway recorded after the place `after` that are dated earlier than `before`."""
        with self.database.reading() as connection:
            found = blocks.read(connection, Sought(until=to_micros(before)), after=after)
            heads = (line.head() for lines in found for line in lines)
            oldest = to_micros(before)
            return sum(1 for one in heads if one and to_micros(one.at) < oldest and one.source == "gateway")

    def delete_traces(
        self,
        *,
        before: datetime,
        sparing: Iterable[tuple[int, int | None]] = (),
        at: datetime | None = None,
    ) -> int:
        """Forget traces older than `before`, but not those whose places are in `sparing` (first, last or None for no
        end). Returns how many there were. `at` is the time that the audit record keeps; None is now."""
        oldest = to_micros(before)
        spared = [(first, 1 << 62 if last is None else last) for first, last in sparing]

        def goes(place: int, at: int) -> bool:
            return at < oldest and not any(first <= place <= last for first, last in spared)

        wanted = trace_blocks.c.at_min < oldest
        return self._forget(wanted, goes, Change(action="traces.expire", why="age", at=at))

    def shrink_traces(self, keep_bytes: int) -> int:
        """Forget the oldest blocks of traces until the others take at most `keep_bytes`. Returns how many traces there
        were. SQLite's file does not become smaller by this: `give_back` of `store.care.erase` does that."""
        if self.traces_bytes() <= keep_bytes:
            return 0
        with self.database.reading() as connection:
            sizes = select(trace_blocks.c.place, trace_blocks.c.size_bytes).order_by(
                trace_blocks.c.place.desc()
            )
            rows = connection.execute(sizes).all()
        totals = accumulate(row.size_bytes for row in rows)
        last = next((row.place for row, total in zip(rows, totals, strict=True) if total > keep_bytes), 0)
        wanted = trace_blocks.c.place <= last
        return self._forget(wanted, lambda place, at: True, Change(action="traces.shrink", why="size"))

    def _forget(self, wanted: Any, goes: Callable[[int, int], bool], change: Change) -> int:
        """Forget the traces that go, by their places and dates, of the blocks that are wanted: some blocks in one
        transaction, so that others may write in between. One that is damaged goes when all of it would."""
        with self.database.reading() as connection:
            places = connection.execute(select(trace_blocks.c.place).where(wanted)).scalars().all()
        looked, count = looked_traces(self.database) if places else frozenset(), 0
        for start in range(0, len(places), FORGOTTEN_AT_ONCE):
            with self.database.writing() as connection:
                blocks.one_batch_at_a_time(connection)
                some = places[start : start + FORGOTTEN_AT_ONCE]
                rows = connection.execute(select(trace_blocks).where(trace_blocks.c.place.in_(some))).all()
                gone, damaged = blocks.forget(connection, rows, goes)
                keep_removed(connection, looked, gone)
                if more := len(gone) + damaged:
                    at = change.at or datetime.now(UTC)
                    audit.tally(connection, change.action or "", "traces", more, at=at, why=change.why)
                count += more
        return count


def _traces_of(connection: Connection, keys: Collection[bytes]) -> list[Trace]:
    """The traces with these keys of ids."""
    places = set(blocks.places_of(connection, keys).values())
    rows = blocks.rows_of(connection, keys) if places else []
    lines = (line for row in rows for line in blocks.lines_of(row) if line.place in places)
    return [trace for line in lines if (trace := line.trace())]


def _wanted_blocks(wanted: TraceFilter) -> Sought:
    named = (("r", wanted.get("route")), ("m", wanted.get("model")), ("p", wanted.get("parent_id")))
    since, until = wanted.get("since"), wanted.get("until")
    return Sought(
        terms=tuple(term_of(kind + value) for kind, value in named if value is not None),
        since=None if since is None else to_micros(since),
        until=None if until is None else to_micros(until),
    )


def _is_wanted(head: TraceHead, wanted: TraceFilter) -> bool:
    since, until = wanted.get("since"), wanted.get("until")
    return (
        all(wanted.get(name) in (None, getattr(head, name)) for name in ("route", "model", "parent_id"))
        and head.source.startswith(wanted.get("source_prefix") or "")
        and (since is None or to_micros(head.at) >= to_micros(since))
        and (until is None or to_micros(head.at) < to_micros(until))
        and not (wanted.get("own_only", False) and head.parent_id is not None)
        and not (wanted.get("complete_only", True) and head.completeness != "complete")
    )


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
            raise_counter(connection, TRACES)

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
            raise_counter(connection, TRACES)
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
