"""Blocks of traces: a row each, traces in the order they arrived as lines of JSON, one place a line.

Up to `MOST` traces share a row, a compressed body and an entry of the index of words. Those that came last stay in an
open block until a batch fills it. A trace that goes leaves an empty line, so that all others keep their places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain, islice
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from freehold.store import damage, database, index
from freehold.store.damage import DamagedBody, unless_damaged
from freehold.store.index import add_counts, term_of, terms_of
from freehold.store.tables import (
    OPEN,
    imported_traces,
    insert_many,
    one_at_a_time,
    to_micros,
    trace_blocks,
    trace_ids,
)
from freehold.types.trace import Completeness, Trace

MOST, MOST_BYTES = 16, 4 << 20
"""Traces, and bytes of JSON, from which on a block takes no more."""
READ_AT_ONCE = 32
_TRACES_LOCK = 0x747261636573  # "traces"
_UUID7 = re.compile(r"0[0-9a-f]{7}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_UUID_BEGIN = re.compile(r"0[0-9a-f]{,7}(-[0-9a-f]{,4}){,3}(-[0-9a-f]{,12})?")
_SELECT = select(trace_blocks.c.place, trace_blocks.c.traces, trace_blocks.c.body)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Trace).decode


class TraceHead(msgspec.Struct, gc=False):
    """A trace without its content: what most questions are about, in a tenth of the time."""

    id: str
    at: datetime
    source: str
    model: str
    completeness: Completeness = "complete"
    route: str | None = None
    endpoint: str | None = None
    arm: str = "incumbent"
    parent_id: str | None = None
    conversation_id: str | None = None
    api_key: str | None = None
    total_ms: float | None = None


_decode_head = msgspec.json.Decoder(TraceHead).decode


class Line(NamedTuple):
    """A stored trace, still packed. None where it is damaged, which is noted."""

    place: int
    json: bytes

    def trace(self) -> Trace | None:
        return unless_damaged("traces", self.place, lambda: _whole(_decode, self.json))

    def head(self) -> TraceHead | None:
        return unless_damaged("traces", self.place, lambda: _whole(_decode_head, self.json))


def _whole(decode: Any, json: bytes) -> Any:
    try:
        return decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedBody(f"it is not a trace ({error})") from None


def id_key(id: str) -> bytes:
    """An id as `trace_ids` has it, in the order of ids: those that freehold gives (UUIDv7) as 16 bytes, the first of
    which is lower than a tilde."""
    return bytes.fromhex(id.replace("-", "")) if _UUID7.fullmatch(id) else b"~" + id.encode(errors="replace")


def key_ranges(id_prefix: str) -> list[tuple[bytes, bytes]]:
    """From which key to which the ids are that begin so."""
    other = b"~" + id_prefix.encode(errors="replace")
    ranges = [(other, other + b"\xff" * 8)]
    if not id_prefix or _UUID_BEGIN.fullmatch(id_prefix):
        digits = id_prefix.replace("-", "")
        ranges.append((bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))))
    return ranges


def one_batch_at_a_time(connection: Connection) -> None:
    """Or a reader that goes on from the last place would miss what was given a lower place but committed later."""
    one_at_a_time(connection, _TRACES_LOCK)


def add(connection: Connection, new: Iterable[Trace]) -> list[tuple[int, Trace]]:
    """Keep traces whose ids are not known, and count them. Returns those, with their places."""
    one_batch_at_a_time(connection)
    by_key = {id_key(trace.id): trace for trace in new}
    known = places_of(connection, by_key)
    kept = {key: trace for key, trace in by_key.items() if key not in known}
    if not kept:
        return []
    first = database.raise_counter(connection, database.PLACES, by=len(kept)) - len(kept) + 1
    placed = list(enumerate(kept.values(), first))
    insert_many(connection, trace_ids, list(zip(kept, range(first, first + len(kept)), strict=True)))
    lines = {line.place: _Stored(line.json) for line in _take_open(connection)}
    lines.update((place, _Stored(_encode(trace), trace)) for place, trace in placed)
    _write(connection, lines)
    add_counts(connection, kept.values())
    return placed


class _Stored(NamedTuple):
    """A trace to be written, and taken apart where it is new."""

    json: bytes
    trace: Trace | None = None

    def head(self) -> Trace | TraceHead:
        return self.trace or _decode_head(self.json)

    def terms(self) -> Iterator[str]:
        return terms_of(self.trace or _decode(self.json))


def _take_open(connection: Connection) -> list[Line]:
    """Take the open blocks out: they are written again with what comes. One that is damaged is closed as it is."""
    rows = connection.execute(_SELECT.where(text(OPEN)).order_by(trace_blocks.c.place)).all()
    if not rows:
        return []
    read = {row.place: lines_of(row) for row in rows}
    taken = [place for place, lines in read.items() if lines]
    connection.execute(delete(trace_blocks).where(trace_blocks.c.place.in_(taken)))
    connection.execute(update(trace_blocks).where(text(OPEN)).values(closed=True))
    return [line for lines in read.values() for line in lines]


def _write(connection: Connection, lines: Mapping[int, _Stored], *, closed: bool = False) -> None:
    """Write traces by their places as blocks: all but the last are closed, and that one where it is full."""
    rows: list[tuple[Any, ...]] = []
    terms: list[tuple[int, set[str]]] = []
    groups = list(_groups(sorted(lines.items())))
    for group in groups:
        full = group[-1][0] - group[0][0] + 1 >= MOST or sum(len(one.json) for _, one in group) >= MOST_BYTES
        is_closed = closed or full or group is not groups[-1]
        rows.append(_row(group, closed=is_closed))
        if is_closed:
            terms.append((group[0][0], set(chain.from_iterable(one.terms() for _, one in group))))
    insert_many(connection, trace_blocks, rows)
    index.insert(connection, terms)


def _groups(lines: list[tuple[int, _Stored]]) -> Iterator[list[tuple[int, _Stored]]]:
    group: list[tuple[int, _Stored]] = []
    size = 0
    for place, one in lines:
        if group and (place - group[0][0] >= MOST or size >= MOST_BYTES):
            yield group
            group, size = [], 0
        group.append((place, one))
        size += len(one.json)
    if group:
        yield group


def _row(group: list[tuple[int, _Stored]], *, closed: bool) -> tuple[Any, ...]:
    """The columns of a block, in the order of the table."""
    heads = [one.head() for _, one in group]
    times = [to_micros(head.at) for head in heads]
    recorded = [at for head, at in zip(heads, times, strict=True) if head.source == "gateway"]
    first, by_place = group[0][0], {place: one.json for place, one in group}
    body = damage.pack_lines([by_place.get(one, b"") for one in range(first, group[-1][0] + 1)], first)
    complete = sum(head.completeness == "complete" for head in heads)
    facts = (min(times), max(times), max(recorded, default=None), len(body))
    return first, len(group), complete, closed, *facts, body


def rewrite(connection: Connection, rows: Iterable[Any], changed: Mapping[int, bytes]) -> list[str]:
    """Write traces of some blocks again by their places, an empty line for one that goes. Returns the ids of those that
    went. A block none of which is left goes with its row; one that is damaged stays as it is."""
    gone: list[TraceHead] = []
    emptied: list[int] = []
    for row in rows:
        before = lines_of(row)
        if all(line.place not in changed for line in before):
            continue
        lines = {line.place: changed.get(line.place, line.json) for line in before}
        heads = (line.head() for line in before if not lines[line.place])
        gone += [head for head in heads if head is not None]
        if left := {place: _Stored(json) for place, json in lines.items() if json}:
            remove_blocks(connection, [row.place])
            _write(connection, left, closed=row.closed)
        else:
            emptied.append(row.place)
    remove_blocks(connection, emptied)
    forget_ids(connection, gone)
    return [head.id for head in gone]


def erase(connection: Connection, ids: Collection[str]) -> list[str]:
    """Delete the traces with these ids. Returns the ids of those that were there."""
    one_batch_at_a_time(connection)
    keys = [id_key(id) for id in ids]
    gone = dict.fromkeys(places_of(connection, keys).values(), b"")
    return rewrite(connection, rows_of(connection, keys), gone)


def forget(
    connection: Connection, rows: Iterable[Any], goes: Callable[[int, int], bool]
) -> tuple[list[str], int]:
    """Delete the traces that go, by their places and dates. Returns their ids, and how many went in damaged blocks."""
    changed: dict[int, bytes] = {}
    damaged = 0
    for row in rows:
        lines = lines_of(row)
        heads = ((line.place, line.head()) for line in lines)
        changed |= {place: b"" for place, head in heads if head and goes(place, to_micros(head.at))}
        if not lines and goes(row.place, row.at_max) and goes(row.place + MOST - 1, row.at_max):
            remove_blocks(connection, [row.place])
            after = select(func.min(trace_blocks.c.place)).where(trace_blocks.c.place > row.place)
            end = min(row.place + MOST, connection.execute(after).scalar() or row.place + MOST)
            stale = trace_ids.c.place.between(row.place, end - 1)
            connection.execute(delete(trace_ids).where(stale))
            damaged += row.traces
    return rewrite(connection, rows, changed), damaged


def remove_blocks(connection: Connection, places: Collection[int]) -> None:
    """Delete blocks by the places of their first traces; ids are the caller's to forget."""
    if places:
        connection.execute(delete(trace_blocks).where(trace_blocks.c.place.in_(places)))
        index.remove(connection, places)


def forget_ids(connection: Connection, gone: Collection[TraceHead]) -> None:
    """Forget where traces were that are gone."""
    if gone:
        named = delete(trace_ids).where(trace_ids.c.id == bindparam("key"))
        connection.execute(named, [{"key": id_key(head.id)} for head in gone])
    if imported := [{"name": head.id} for head in gone if head.source != "gateway"]:
        connection.execute(delete(imported_traces).where(imported_traces.c.id == bindparam("name")), imported)


def index_again(connection: Connection, *, ids: bool = False) -> None:
    """Make the index of words again, of a store that was copied without it; and the `ids`, of one that was recovered
    without some blocks, whose traces may then be imported again."""
    index.make(connection)
    if ids:
        connection.execute(delete(trace_ids))
    last = 0
    query = _SELECT.add_columns(trace_blocks.c.closed).order_by(trace_blocks.c.place).limit(READ_AT_ONCE)
    while rows := connection.execute(query.where(trace_blocks.c.place > last)).all():
        terms: list[tuple[int, set[str]]] = []
        for row in rows:
            found = [(line.place, trace) for line in lines_of(row) if (trace := line.trace())]
            if ids and found:
                insert_many(connection, trace_ids, [(id_key(trace.id), place) for place, trace in found])
            if row.closed:
                terms.append((row.place, set(chain.from_iterable(terms_of(trace) for _, trace in found))))
        index.insert(connection, terms)
        last = rows[-1].place
    if ids:
        lost = imported_traces.c.place.not_in(select(trace_ids.c.place))
        connection.execute(delete(imported_traces).where(lost))


def name_of(row: Any) -> str:
    """A block in messages: the place of its first trace, and how many are lost with it."""
    return f"{row.place} ({row.traces} traces)"


def lines_of(row: Any) -> list[Line]:
    """The traces of a row with a `place` and a `body`; none where it is damaged, which is noted."""
    lines = unless_damaged("trace_blocks", name_of(row), lambda: damage.unpack_lines(row.body, row.place))
    return [Line(place, json) for place, json in enumerate(lines or (), row.place) if json]


def places_of(connection: Connection, keys: Collection[bytes]) -> dict[bytes, int]:
    """Where the traces with these keys of ids are, of those that are here."""
    found = select(trace_ids).where(trace_ids.c.id.in_(list(keys)))
    return {row.id: row.place for row in connection.execute(found)}


def rows_of(connection: Connection, keys: Collection[bytes]) -> list[Any]:
    """The rows of the blocks that hold the traces with these keys of ids."""
    holds = (trace_blocks.c.place <= trace_ids.c.place) & (trace_blocks.c.place > trace_ids.c.place - MOST)
    held = select(func.max(trace_blocks.c.place)).select_from(trace_ids).join(trace_blocks, holds)
    held = held.where(trace_ids.c.id.in_(list(keys))).group_by(trace_ids.c.id)
    rows = select(trace_blocks).where(trace_blocks.c.place.in_(held)).order_by(trace_blocks.c.place)
    return list(connection.execute(rows))


class Sought(NamedTuple):
    """Which blocks are read: those that may have all `terms`, and may have a trace of the time, in microseconds."""

    terms: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


def read(
    connection: Connection,
    wanted: Sought,
    *,
    after: int = 0,
    before: int = 1 << 62,
    newest_first: bool = False,
) -> Iterator[list[Line]]:
    """The traces of blocks that are wanted, a block at a time, that have places after and before those given."""
    places = _places(connection, wanted, max(0, after + 1 - MOST), before - 1, newest_first)
    while some := list(islice(places, READ_AT_ONCE)):
        query = _SELECT.where(trace_blocks.c.place.in_(some))
        order = trace_blocks.c.place.desc() if newest_first else trace_blocks.c.place
        for row in connection.execute(query.order_by(order)).all():
            lines = [line for line in lines_of(row) if after < line.place < before]
            yield lines[::-1] if newest_first else lines


def _places(
    connection: Connection, wanted: Sought, first: int, last: int, newest_first: bool
) -> Iterator[int]:
    """The places of blocks that are wanted, in order. Those that are open are the last, and in no index."""
    time: list[Any] = []
    if wanted.since is not None:
        time.append(trace_blocks.c.at_max >= wanted.since)
    if wanted.until is not None:
        time.append(trace_blocks.c.at_min < wanted.until)
    if time:
        bounds = select(func.min(trace_blocks.c.place), func.max(trace_blocks.c.place)).where(*time)
        low, high = connection.execute(bounds).one()
        if low is None:
            return
        first, last = max(first, low), min(last, high)
    if not wanted.terms or not index.exists(connection):
        yield from _all(connection, time, first, last, newest_first)
        return
    still_open = list(_all(connection, [text(OPEN)], first, last, newest_first))
    found = index.find(connection, wanted.terms, first, last, newest_first=newest_first)
    yield from chain(still_open, found) if newest_first else chain(found, still_open)


def _all(
    connection: Connection, where: list[Any], first: int, last: int, newest_first: bool
) -> Iterator[int]:
    order = trace_blocks.c.place.desc() if newest_first else trace_blocks.c.place
    while True:
        query = select(trace_blocks.c.place).where(*where, trace_blocks.c.place.between(first, last))
        places = connection.execute(query.order_by(order).limit(index.AT_ONCE)).scalars().all()
        yield from places
        if len(places) < index.AT_ONCE:
            return
        first, last = (first, places[-1] - 1) if newest_first else (places[-1] + 1, last)


def mirrored_from(connection: Connection, ids: Collection[str]) -> list[TraceHead]:
    """The traces that were mirrored from these."""
    found = (
        line
        for id in ids
        for lines in read(connection, Sought((term_of(f"p{id}"),)))
        for line in lines
        if b'"parent_id":"' in line.json
    )
    return [head for line in found if (head := line.head()) and head.parent_id in ids]


def replaced_places(connection: Connection) -> frozenset[int]:
    """Where the traces are that a later import replaced."""
    found = select(imported_traces.c.place).where(imported_traces.c.replaced_at.is_not(None))
    return frozenset(connection.execute(found).scalars())
