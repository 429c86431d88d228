"""Traces: added in batches, read in the order they arrived, forgotten by age or size."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import accumulate, islice
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

import msgspec
from sqlalchemy import Connection, func, select

from freehold.errors import StoreError
from freehold.store import audit, blocks, counting
from freehold.store.blocks import Line, Sought, TraceHead
from freehold.store.damage import CHECK_HINT
from freehold.store.database import Database
from freehold.store.looked import keep_removed, looked_traces
from freehold.store.tables import to_micros, trace_blocks, trace_ids
from freehold.store.terms import term_of
from freehold.types.audit import Change
from freehold.types.trace import Trace

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
                counting.raised(connection, counting.TRACES)
            return bool(places)

    def traces_state(self) -> tuple[int, int, int]:
        """Numbers that change whenever a trace comes, goes or is written again: how many there are, how many ever came,
        and how many changes there were."""
        with self.database.reading() as connection:
            count = connection.execute(select(func.sum(trace_blocks.c.traces))).scalar() or 0
            names = (counting.PLACES, counting.TRACES)
            places, changes = (counting.current(connection, name) for name in names)
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
