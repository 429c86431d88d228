"""Everything freehold remembers: records, traces, routes and finished steps.

Covered: several threads and processes on one SQLite file (WAL, waits for locks up to ten seconds), several
machines on one PostgreSQL, upgrade of the schema at open.
Not covered: SQLite on a network drive; going back to an older schema.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec
from sqlalchemy import Connection, Select, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert

from freehold.errors import StoreError
from freehold.store import bodies
from freehold.store.database import BUSY_TIMEOUT_MS, Database
from freehold.store.tables import (
    StepState,
    counters,
    from_micros,
    records,
    route_history,
    routes,
    steps,
    to_micros,
    traces,
)
from freehold.types.record import Record
from freehold.types.route import Route, RouteChange
from freehold.types.trace import Trace

R = TypeVar("R", bound=Record)

TRACE_BATCH = 500
_TRACES_LOCK = 0x747261636573  # "traces"


class TraceFilter(TypedDict, total=False):
    """Which traces are wanted: those that meet everything given. Incomplete ones only when asked for.

    `own_only` leaves out what was mirrored.
    """

    route: str | None
    source_prefix: str | None
    model: str | None
    parent_id: str | None
    since: datetime | None
    until: datetime | None
    complete_only: bool
    own_only: bool


def open_store(url: str, *, busy_timeout_ms: int = BUSY_TIMEOUT_MS) -> Store:
    """Open, and where needed create or upgrade, the store at a SQLAlchemy URL.

    Raises `StoreError` or `StorageError` when it is locked, read-only, damaged, on a full disk or of a
    newer schema; `ConfigError` when the URL is none; `MissingExtraError` without the PostgreSQL driver.
    """
    return Store(Database(url, busy_timeout_ms=busy_timeout_ms))


class Store:
    """An open store; a context manager. Safe to share between threads, not between processes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def url(self) -> str:
        return self.database.url

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.database.close()

    # Records

    def put_record(self, kind: str, id: str, value: Record, made_from: Sequence[str] = ()) -> None:
        """Keep `value` in place of what had its kind and id; it becomes the latest of its kind."""
        body = msgspec.json.encode(value)
        with self.database.writing() as connection:
            connection.execute(delete(records).where(records.c.kind == kind, records.c.id == id))
            connection.execute(
                insert(records).values(
                    kind=kind, id=id, body=body, made_from=msgspec.json.encode(list(made_from))
                )
            )

    def get_record(self, kind: str, id: str, type: type[R]) -> R | None:
        """The record of that kind and id, None when there is none."""
        query = select(records.c.body).where(records.c.kind == kind, records.c.id == id)
        return self._first_record(query, kind, type)

    def latest_record(self, kind: str, type: type[R]) -> R | None:
        """The record of that kind that was put last."""
        query = select(records.c.body).where(records.c.kind == kind).order_by(records.c.seq.desc()).limit(1)
        return self._first_record(query, kind, type)

    def list_records(self, kind: str, type: type[R]) -> list[R]:
        """All records of a kind, in the order they were put."""
        query = select(records.c.body).where(records.c.kind == kind).order_by(records.c.seq)
        with self.database.reading() as connection:
            return [_decoded(row.body, type, kind) for row in connection.execute(query)]

    def record_sources(self, kind: str, id: str) -> tuple[str, ...]:
        """The ids a record was made from; empty for an unknown record."""
        query = select(records.c.made_from).where(records.c.kind == kind, records.c.id == id)
        with self.database.reading() as connection:
            body = connection.execute(query).scalar()
        return () if body is None else tuple(msgspec.json.decode(body, type=list[str]))

    def delete_record(self, kind: str, id: str) -> bool:
        """Forget a record; False when there was none."""
        with self.database.writing() as connection:
            result = connection.execute(delete(records).where(records.c.kind == kind, records.c.id == id))
            return result.rowcount > 0

    def _first_record(self, query: Select[Any], kind: str, type: type[R]) -> R | None:
        with self.database.reading() as connection:
            body = connection.execute(query).scalar()
        return None if body is None else _decoded(body, type, kind)

    # Traces

    def add_traces(self, new: Iterable[Trace]) -> int:
        """Keep traces, batch by batch; one whose id is here is left alone. Returns how many were new."""
        added = 0
        stream = iter(new)
        while rows := [_trace_row(trace) for trace in islice(stream, TRACE_BATCH)]:
            with self.database.writing() as connection:
                if connection.dialect.name == "postgresql":
                    # One batch at a time, or who reads on from the last place would miss what was given a
                    # lower place but committed later. SQLite has one writer anyway.
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _TRACES_LOCK})
                added += _insert_ignoring(connection, rows)
        return added

    def traces(self, **wanted: Unpack[TraceFilter]) -> Iterator[Trace]:
        """Traces in the order they arrived, read in batches so that any number fits in memory."""
        query = _filtered(select(traces.c.seq, traces.c.body), wanted)
        last = 0
        while True:
            page = query.where(traces.c.seq > last).order_by(traces.c.seq).limit(TRACE_BATCH)
            with self.database.reading() as connection:
                rows = connection.execute(page).all()
            if not rows:
                return
            for row in rows:
                yield bodies.unpack_trace(row.body)
            last = rows[-1].seq

    def traces_after(
        self, seq: int, *, most: int = TRACE_BATCH, **wanted: Unpack[TraceFilter]
    ) -> list[tuple[int, Trace]]:
        """The next traces after a place in the order of arrival, each with its own place."""
        query = _filtered(select(traces.c.seq, traces.c.body), wanted)
        page = query.where(traces.c.seq > seq).order_by(traces.c.seq).limit(most)
        with self.database.reading() as connection:
            rows = connection.execute(page).all()
        return [(row.seq, bodies.unpack_trace(row.body)) for row in rows]

    def latest_traces(self, most: int, **wanted: Unpack[TraceFilter]) -> list[Trace]:
        """The traces that arrived last, newest first."""
        query = _filtered(select(traces.c.body), wanted).order_by(traces.c.seq.desc()).limit(most)
        with self.database.reading() as connection:
            return [bodies.unpack_trace(row.body) for row in connection.execute(query)]

    def find_traces(self, id_prefix: str, *, most: int = 10) -> list[Trace]:
        """Traces whose id begins so."""
        query = select(traces.c.body).where(traces.c.id.startswith(id_prefix, autoescape=True)).limit(most)
        with self.database.reading() as connection:
            return [bodies.unpack_trace(row.body) for row in connection.execute(query)]

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
            body = connection.execute(select(traces.c.body).where(traces.c.id == id)).scalar()
        return None if body is None else bodies.unpack_trace(body)

    def get_traces(self, ids: Iterable[str]) -> dict[str, Trace]:
        """The traces of these ids that are here."""
        names = iter(dict.fromkeys(ids))
        found: dict[str, Trace] = {}
        with self.database.reading() as connection:
            while some := list(islice(names, TRACE_BATCH)):
                rows = connection.execute(select(traces.c.id, traces.c.body).where(traces.c.id.in_(some)))
                found.update((row.id, bodies.unpack_trace(row.body)) for row in rows)
        return found

    def replace_trace(self, trace: Trace) -> bool:
        """Write a trace anew (a right answer was given later); False when it is not here."""
        row = _trace_row(trace)
        with self.database.writing() as connection:
            return connection.execute(update(traces).where(traces.c.id == trace.id).values(row)).rowcount > 0

    def delete_traces(self, *, before: datetime) -> int:
        """Forget traces older than `before`. Returns how many there were."""
        with self.database.writing() as connection:
            return connection.execute(delete(traces).where(traces.c.at < to_micros(before))).rowcount

    def shrink_traces(self, keep_bytes: int) -> int:
        """Forget the oldest traces until the others take at most `keep_bytes`. Returns how many there were.

        SQLite's file does not become smaller by this; the room is used again.
        """
        newest_first = func.sum(traces.c.size_bytes).over(order_by=traces.c.seq.desc())
        sizes = select(traces.c.seq, newest_first.label("total")).subquery()
        last_to_go = select(func.max(sizes.c.seq)).where(sizes.c.total > keep_bytes)
        if self.traces_bytes() <= keep_bytes:
            return 0
        with self.database.writing() as connection:
            seq = connection.execute(last_to_go).scalar()
            return (
                0 if seq is None else connection.execute(delete(traces).where(traces.c.seq <= seq)).rowcount
            )

    # Routes

    def save_route(
        self,
        route: Route,
        *,
        who: str,
        at: datetime,
        why: str = "",
        verdict_id: str | None = None,
        expected_revision: int | None = None,
    ) -> Route:
        """Keep a route and a line of its history; returns it with its new revision.

        With `expected_revision`, raises `StoreError` when somebody else changed the route in between.
        """
        with self.database.writing() as connection:
            found = connection.execute(select(routes.c.revision).where(routes.c.name == route.name)).scalar()
            if expected_revision is not None and (found or 0) != expected_revision:
                raise StoreError(
                    f"route {route.name} is at revision {found or 0}, not {expected_revision}: "
                    "somebody changed it meanwhile",
                    hint="look at it again, then repeat the change",
                )
            saved = msgspec.structs.replace(route, revision=_next_revision(connection))
            body = msgspec.json.encode(saved)
            connection.execute(delete(routes).where(routes.c.name == route.name))
            connection.execute(insert(routes).values(name=saved.name, revision=saved.revision, body=body))
            _note(connection, saved.name, saved.revision, body, who, at, why, verdict_id)
        return saved

    def delete_route(self, name: str, *, who: str, at: datetime, why: str = "") -> bool:
        """Remove a route; its history stays. False when there was none."""
        with self.database.writing() as connection:
            if connection.execute(delete(routes).where(routes.c.name == name)).rowcount == 0:
                return False
            _note(connection, name, _next_revision(connection), None, who, at, why, None)
        return True

    def routes(self) -> list[Route]:
        """All routes, by name."""
        with self.database.reading() as connection:
            rows = connection.execute(select(routes.c.body).order_by(routes.c.name)).all()
        return [_decoded(row.body, Route, "route") for row in rows]

    def routes_revision(self) -> int:
        """A number that grows with every change of any route: cheap enough to ask several times a second."""
        with self.database.reading() as connection:
            value = connection.execute(select(counters.c.value).where(counters.c.name == "routes")).scalar()
        return int(value or 0)

    def route_history(self, name: str) -> list[RouteChange]:
        """All changes of a route, oldest first."""
        query = select(route_history).where(route_history.c.name == name).order_by(route_history.c.revision)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return [
            RouteChange(
                name=row.name,
                revision=row.revision,
                at=from_micros(row.at),
                who=row.who,
                why=row.why,
                verdict_id=row.verdict_id,
                route=None if row.body is None else _decoded(row.body, Route, "route"),
            )
            for row in rows
        ]

    # Steps

    def get_step(self, name: str) -> StepState | None:
        """How a step ended the last time, None when it never did."""
        with self.database.reading() as connection:
            row = connection.execute(select(steps).where(steps.c.name == name)).one_or_none()
        if row is None:
            return None
        return StepState(
            name=row.name,
            inputs_hash=row.inputs_hash,
            outputs=msgspec.json.decode(row.outputs),
            finished_at=from_micros(row.finished_at),
        )

    def put_step(self, name: str, inputs_hash: str, outputs: dict[str, Any], finished_at: datetime) -> None:
        """A step has finished; the next run with the same `inputs_hash` can skip it."""
        with self.database.writing() as connection:
            connection.execute(delete(steps).where(steps.c.name == name))
            connection.execute(
                insert(steps).values(
                    name=name,
                    inputs_hash=inputs_hash,
                    outputs=msgspec.json.encode(outputs),
                    finished_at=to_micros(finished_at),
                )
            )


def _decoded(body: bytes, type: type[R], kind: str) -> R:
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.DecodeError as error:
        raise StoreError(
            f"a stored {kind} is not what this version of freehold reads: {error}",
            hint="run the step that makes it again",
        ) from None


def _trace_row(trace: Trace) -> dict[str, Any]:
    body = bodies.pack_trace(trace)
    return {
        "id": trace.id,
        "at": to_micros(trace.at),
        "source": trace.source,
        "model": trace.model,
        "route": trace.route,
        "completeness": trace.completeness,
        "parent_id": trace.parent_id,
        "body": body,
        "size_bytes": len(body),
    }


def _insert_ignoring(connection: Connection, rows: list[dict[str, Any]]) -> int:
    if connection.dialect.name == "sqlite":
        # Not through SQLAlchemy's handling of each parameter: a gateway writes thousands of rows a second.
        marks = ", ".join("?" * len(rows[0]))
        sql = f"INSERT INTO {traces.name} ({', '.join(rows[0])}) VALUES ({marks}) ON CONFLICT DO NOTHING"
        return connection.exec_driver_sql(sql, [tuple(row.values()) for row in rows]).rowcount
    # PostgreSQL's driver does not count the rows of a batch; what was inserted is asked back instead.
    new = postgresql_insert(traces).on_conflict_do_nothing().returning(traces.c.id)
    return len(connection.execute(new, rows).all())


def _filtered(query: Select[Any], wanted: TraceFilter) -> Select[Any]:
    for name in ("route", "model", "parent_id"):
        if (value := wanted.get(name)) is not None:
            query = query.where(traces.c[name] == value)
    if (prefix := wanted.get("source_prefix")) is not None:
        query = query.where(traces.c.source.startswith(prefix, autoescape=True))
    if (since := wanted.get("since")) is not None:
        query = query.where(traces.c.at >= to_micros(since))
    if (until := wanted.get("until")) is not None:
        query = query.where(traces.c.at < to_micros(until))
    if wanted.get("own_only", False):
        query = query.where(traces.c.parent_id.is_(None))
    if wanted.get("complete_only", True):
        query = query.where(traces.c.completeness == "complete")
    return query


def _next_revision(connection: Connection) -> int:
    changed = connection.execute(
        update(counters).where(counters.c.name == "routes").values(value=counters.c.value + 1)
    )
    if changed.rowcount == 0:
        connection.execute(insert(counters).values(name="routes", value=1))
    return int(connection.execute(select(counters.c.value).where(counters.c.name == "routes")).scalar_one())


def _note(
    connection: Connection,
    name: str,
    revision: int,
    body: bytes | None,
    who: str,
    at: datetime,
    why: str,
    verdict_id: str | None,
) -> None:
    connection.execute(
        insert(route_history).values(
            revision=revision,
            name=name,
            at=to_micros(at),
            who=who,
            why=why,
            verdict_id=verdict_id,
            body=body,
        )
    )
