"""Traces: added in batches, read in the order they arrived, forgotten by age or size."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Literal, NamedTuple, TypedDict, Unpack

from sqlalchemy import Connection, Select, and_, delete, func, not_, select, text, update

from freehold.store import audit, bodies, counting
from freehold.store.damage import DamagedBody, or_error, unless_damaged
from freehold.store.database import Database
from freehold.store.looked import keep_removed, looked_traces
from freehold.store.search import indexing
from freehold.store.tables import RECORDED, one_at_a_time, searchable, to_micros, traces
from freehold.types.trace import Trace

TRACE_BATCH = 500
_SELECT = select(traces.c.seq, traces.c.id, traces.c.body)
_TRACES_LOCK = 0x747261636573  # "traces"


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
    """The traces of a database. A damaged one is left out of several and noted; alone it is a `StoreError`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add_traces(self, new: Iterable[Trace]) -> int:
        """Keep traces, batch by batch; one whose id is known is left alone. Returns how many were new."""
        added = 0
        stream = iter(new)
        while rows := [trace_row(trace) for trace in islice(stream, TRACE_BATCH)]:
            # A power failure may take the last seconds of traces; a sync for each batch would cost all others.
            with self.database.writing(durable=False) as connection:
                one_batch_at_a_time(connection)
                added += insert_ignoring(connection, rows)
        return added

    def try_to_add(self) -> None:
        """Raise what a trace with nothing in it raises now; nothing is kept."""
        at = datetime.now(UTC)
        plain = Trace(
            id=f"trial-{secrets.token_hex(16)}", at=at, source="", model="", request={}, response=None
        )
        with self.database.writing(durable=False) as connection, connection.begin_nested() as trial:
            one_batch_at_a_time(connection)
            insert_ignoring(connection, [trace_row(plain)])
            trial.rollback()

    def traces(self, **wanted: Unpack[TraceFilter]) -> Iterator[Trace]:
        """Traces in the order they arrived, read in batches so that any number fits in memory."""
        query = _filtered(_SELECT, wanted)
        last = 0
        while True:
            page = query.where(traces.c.seq > last).order_by(traces.c.seq).limit(TRACE_BATCH)
            with self.database.reading() as connection:
                rows = connection.execute(page).all()
            if not rows:
                return
            yield from _readable(rows)
            last = rows[-1].seq

    def traces_after(
        self, seq: int, *, most: int = TRACE_BATCH, **wanted: Unpack[TraceFilter]
    ) -> list[tuple[int, Trace]]:
        """The next traces after a place in the order of arrival, each with its own place."""
        query = _filtered(_SELECT, wanted)
        found: list[tuple[int, Trace]] = []
        while True:
            page = query.where(traces.c.seq > seq).order_by(traces.c.seq).limit(most - len(found))
            with self.database.reading() as connection:
                rows = connection.execute(page).all()
            found.extend((row.seq, trace) for row in rows for trace in _readable([row]))
            # A page of damaged rows only is not the end.
            if not rows or len(found) == most:
                return found
            seq = rows[-1].seq

    def latest_traces(self, most: int, **wanted: Unpack[TraceFilter]) -> list[Trace]:
        """The traces that arrived last, newest first."""
        query = _filtered(_SELECT, wanted).order_by(traces.c.seq.desc()).limit(most)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return list(_readable(rows))

    def trace_names(self, column: Literal["route", "model"]) -> list[str]:
        """The routes, or the models asked for, that traces here name. Reads all of them."""
        with self.database.reading() as connection:
            found = connection.execute(select(traces.c[column]).distinct()).scalars()
            return sorted(name for name in found if name)

    def find_traces(self, id_prefix: str, *, most: int = 10) -> list[Trace]:
        """Traces whose id begins with `id_prefix`."""
        query = _SELECT.where(traces.c.id.startswith(id_prefix, autoescape=True)).limit(most)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return list(_readable(rows))

    def traces_bytes(self) -> int:
        """Bytes all traces take, compressed."""
        with self.database.reading() as connection:
            return int(connection.execute(select(func.sum(traces.c.size_bytes))).scalar() or 0)

    def count_traces(self, **wanted: Unpack[TraceFilter]) -> int:
        """How many traces `traces` would yield."""
        query = _filtered(select(func.count()).select_from(traces), wanted)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def get_trace(self, id: str) -> Trace | None:
        """The trace of that id, None when there is none."""
        with self.database.reading() as connection:
            row = connection.execute(_SELECT.where(traces.c.id == id)).one_or_none()
        return None if row is None else or_error("traces", id, lambda: _unpacked(row))

    def get_traces(self, ids: Iterable[str]) -> dict[str, Trace]:
        """The traces of these ids that are here."""
        names = iter(dict.fromkeys(ids))
        found: dict[str, Trace] = {}
        with self.database.reading() as connection:
            while some := list(islice(names, TRACE_BATCH)):
                rows = connection.execute(_SELECT.where(traces.c.id.in_(some))).all()
                found.update((trace.id, trace) for trace in _readable(rows))
        return found

    def replace_trace(self, trace: Trace) -> bool:
        """Write a trace again (a right answer was given later); False when it is not here."""
        row = trace_row(trace)
        with self.database.writing() as connection:
            indexing.alone(connection)
            change = update(traces).where(traces.c.id == trace.id).values(row).returning(traces.c.seq)
            seq = connection.execute(change).scalar()
            if seq is not None:
                counting.raised(connection, counting.TRACES)
                indexing.reindex(connection, seq, trace)
            return seq is not None

    def traces_state(self) -> tuple[int, int, int]:
        """Numbers that change whenever a trace comes, goes or is written again: how many there are, the place of the
        newest, and how many changes there were."""
        with self.database.reading() as connection:
            count, place = connection.execute(select(func.count(), func.max(traces.c.seq))).one()
            return int(count), int(place or 0), counting.current(connection, counting.TRACES)

    def newest_trace(self) -> NewestTrace:
        """The place of the trace that arrived last, and the latest date of what a gateway recorded."""
        recorded = select(traces.c.at).where(text(RECORDED)).order_by(traces.c.at.desc()).limit(1)
        with self.database.reading() as connection:
            place = connection.execute(select(func.max(traces.c.seq))).scalar()
            return NewestTrace(int(place or 0), connection.execute(recorded).scalar())

    def backdated_traces(self, *, after: int, before: datetime) -> int:
        """How many traces a gateway recorded after the place `after` that are dated earlier than `before`."""
        found = and_(traces.c.seq > after, traces.c.at < to_micros(before), traces.c.source == "gateway")
        with self.database.reading() as connection:
            return int(connection.execute(select(func.count()).where(found)).scalar() or 0)

    def delete_traces(
        self,
        *,
        before: datetime,
        sparing: Iterable[tuple[int, int | None]] = (),
        at: datetime | None = None,
    ) -> int:
        """Forget traces older than `before`, but not those whose places are in `sparing` (first, last or None for no
        end). Returns how many there were. `at` is the time that the audit record keeps; None is now."""
        where = [traces.c.at < to_micros(before)]
        for first, last in sparing:
            spared = traces.c.seq >= first
            where.append(not_(spared if last is None else and_(spared, traces.c.seq <= last)))
        looked = looked_traces(self.database)
        with self.database.writing() as connection:
            keep_removed(connection, looked, *where)
            gone = connection.execute(delete(traces).where(*where)).rowcount
            if gone:
                audit.tally(
                    connection, "traces.expire", "traces", gone, at=at or datetime.now(UTC), why="age"
                )
            return gone

    def shrink_traces(self, keep_bytes: int) -> int:
        """Forget the oldest traces until the others take at most `keep_bytes`. Returns how many there were.

        SQLite's file does not become smaller by this: `give_back` of `store.care.erase` does that.
        """
        newest_first = func.sum(traces.c.size_bytes).over(order_by=traces.c.seq.desc())
        sizes = select(traces.c.seq, newest_first.label("total")).subquery()
        last_to_go = select(func.max(sizes.c.seq)).where(sizes.c.total > keep_bytes)
        if self.traces_bytes() <= keep_bytes:
            return 0
        looked = looked_traces(self.database)
        with self.database.writing() as connection:
            seq = connection.execute(last_to_go).scalar()
            if seq is None:
                return 0
            keep_removed(connection, looked, traces.c.seq <= seq)
            gone = connection.execute(delete(traces).where(traces.c.seq <= seq)).rowcount
            audit.tally(connection, "traces.shrink", "traces", gone, at=datetime.now(UTC), why="size")
            return gone


def one_batch_at_a_time(connection: Connection) -> None:
    """Or a reader that goes on from the last place would miss what was given a lower place but committed later."""
    one_at_a_time(connection, _TRACES_LOCK)


def _readable(rows: Iterable[Any]) -> Iterator[Trace]:
    for row in rows:
        trace = unless_damaged("traces", row.id, partial(_unpacked, row))
        if trace is not None:
            yield trace


def _unpacked(row: Any) -> Trace:
    trace = bodies.unpack_trace(row.body)
    if trace.id != row.id:
        raise DamagedBody(f"its body is that of {trace.id}")
    return trace


def trace_row(trace: Trace) -> dict[str, Any]:
    """The columns of a trace, besides those that only an import writes."""
    body = bodies.pack_trace(trace)
    return {
        "id": trace.id,
        "at": to_micros(trace.at),
        "source": searchable(trace.source),
        "model": searchable(trace.model),
        "route": searchable(trace.route),
        "completeness": trace.completeness,
        "parent_id": searchable(trace.parent_id),
        "body": body,
        "size_bytes": len(body),
    }


def insert_ignoring(connection: Connection, rows: list[dict[str, Any]]) -> int:
    """Insert rows that all have the same columns, but none whose id is there. Returns how many were inserted."""
    if connection.dialect.name == "sqlite":
        # Not through SQLAlchemy's handling of each parameter: a gateway writes thousands of rows a second.
        marks = ", ".join("?" * len(rows[0]))
        sql = f"INSERT INTO {traces.name} ({', '.join(rows[0])}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 (names of columns, never of input)
        return connection.exec_driver_sql(sql, [tuple(row.values()) for row in rows]).rowcount
    # PostgreSQL's driver does not count the rows of a batch; what was inserted is asked back instead.
    from sqlalchemy.dialects.postgresql import insert  # late: no gateway on SQLite needs it

    new = insert(traces).on_conflict_do_nothing().returning(traces.c.id)
    return len(connection.execute(new, rows).all())


def _filtered(query: Select[Any], wanted: TraceFilter) -> Select[Any]:
    for name in ("route", "model", "parent_id"):
        if (value := wanted.get(name)) is not None:
            query = query.where(traces.c[name] == searchable(value))
    if (prefix := wanted.get("source_prefix")) is not None:
        query = query.where(traces.c.source.startswith(prefix, autoescape=True))
    if (since := wanted.get("since")) is not None:
        query = query.where(traces.c.at >= to_micros(since))
    if (until := wanted.get("until")) is not None:
        query = query.where(traces.c.at < to_micros(until))
    if not wanted.get("replaced", False):
        query = query.where(traces.c.replaced_at.is_(None))
    if wanted.get("own_only", False):
        query = query.where(traces.c.parent_id.is_(None))
    if wanted.get("complete_only", True):
        query = query.where(traces.c.completeness == "complete")
    return query
