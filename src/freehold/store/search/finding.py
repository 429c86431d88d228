"""Search: newest arrivals first, a page at a time, each page by the place where the one before it ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, func, select, text
from sqlalchemy.sql.elements import TextClause

from freehold.errors import StorageError, StoreError
from freehold.store.database import Database
from freehold.store.search import indexing
from freehold.store.search.terms import Phrase, phrases_of, wanted_tags
from freehold.store.tables import from_micros, to_micros, trace_facets
from freehold.types.trace_search import TracePage, TraceQuery, TraceSummary

log = logging.getLogger(__name__)

INDEX_WITHIN_S = 0.1
"""How long a search may take in traces that are not in the index yet, before it looks."""
READ_WITHIN_S, READ_MOST = 0.1, 5_000
"""How long a page reads traces, and how many, for what the index has no list of."""
_READ_AT_ONCE = 25
WALKED, WALKED_MOST = 2_000, 128_000
"""How many of the newest traces PostgreSQL walks for a page at first, and at most, before it takes the words' lists."""
WALK_WITHIN_S = 0.1
_WALKS_GROW = 4
_BY_LIST = """
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL jit = off; SET LOCAL work_mem = '32MB'
"""
"""PostgreSQL takes any phrase and any beginning for a share of all traces, and reads all of them then."""
_Bounds = tuple[int, int]


class _Wanted(NamedTuple):
    """What an index is asked for: tags and phrases, in the places from the first to the last."""

    tags: list[str]
    phrases: list[Phrase]
    bounds: _Bounds


_COLUMNS = """
    f.seq, f.at, f.endpoint, f.arm, f.status, f.error, f.fallback, f.user_name, f.api_key, f.conversation_id,
    f.upstream_id, f.ttft_ms, f.total_ms, f.prompt_tokens, f.completion_tokens,
    t.id, t.source, t.model, t.route, t.parent_id, t.completeness
"""


def search(
    database: Database,
    query: TraceQuery,
    *,
    index_within_s: float | None = INDEX_WITHIN_S,
    read_within_s: float = READ_WITHIN_S,
    tell: Callable[[int], None] = lambda done: None,
) -> TracePage:
    """A page of the traces that meet all of a query. What an import replaced is left out.

    Before that, traces that are not in the index yet are taken in, for at most `index_within_s` seconds (None is until
    all are); `tell` gets how many. The index has no list of the beginnings of one letter: the traces that meet all else
    are read for them, newest first, for at most `read_within_s`. Raises `UsageError` for a status or a text that cannot
    be looked for, `StoreError` for words where this SQLite cannot keep an index of them.
    """
    tags = wanted_tags(query)
    phrases = [] if query.text is None else phrases_of(query.text.casefold())
    failed: StorageError | None = None
    try:
        indexing.catch_up(database, within_s=index_within_s, tell=tell)
    except StorageError as error:  # a file that may only be read: what is in the index can be found
        failed = error
    left = indexing.unindexed(database)
    if failed is not None and left and index_within_s is None:
        log.warning("the newest %s traces are not looked at: %s", f"{left:,}", failed.message)
    with database.reading() as connection:
        if (tags or phrases) and not indexing.has_words(connection):
            if indexing.supports_words(connection):  # nothing was indexed so far
                return TracePage(traces=(), next=None, unindexed=left)
            raise StoreError(
                "traces are found by an index that needs SQLite 3.43 with FTS5, which this Python lacks",
                hint="a newer Python has it; or keep the store in PostgreSQL",
            )
        unlisted = [one for one in phrases if one.prefix and len(one.words[-1]) == 1]
        if unlisted:
            listed = [one for one in phrases if one not in unlisted]
            listed += [Phrase(one.words[:-1]) for one in unlisted if len(one.words) > 1]
            page = _read(connection, query, tags, listed, unlisted, read_within_s)
            return msgspec.structs.replace(page, unindexed=left)
        rows = _rows(connection, query, tags, phrases)
    shown = rows[: query.most]
    return TracePage(
        traces=tuple(map(_summary, shown)),
        next=shown[-1].seq if len(rows) > query.most else None,
        unindexed=left,
    )


def _rows(connection: Connection, query: TraceQuery, tags: list[str], phrases: list[Phrase]) -> Sequence[Any]:
    """The rows of a page, and one more where there are more.

    A page up to now is mostly among the newest traces, so they are walked first: to find where a time begins is to read
    all of that time. PostgreSQL's lists of words have no order. Whether it is better to walk or to take a list whole
    and sort it depends on how frequent the words are, which its statistics do not tell of rare ones: it walked a whole
    store for a user with ten requests.
    """
    newest = _newest(connection)
    by_lists = bool(tags or phrases) and connection.dialect.name == "postgresql"
    rows: list[Any] = []
    walked, began_s = WALKED, time.monotonic()
    top = newest if query.after is None else min(newest, query.after - 1)
    if query.until is None and (by_lists or not (tags or phrases or query.since is None)):
        wanted = _Wanted(tags, phrases, (0, newest))
        rows += _found(connection, query, wanted, near=top - walked)
        if len(rows) > query.most or top <= walked:
            return rows
        query = msgspec.structs.replace(query, after=top - walked + 1)
    bounds = _places_within(connection, query, newest)
    if bounds is None:
        return rows
    wanted = _Wanted(tags, phrases, bounds)
    if not by_lists:
        return [*rows, *_found(connection, query, wanted, so_far=len(rows))]
    # Of a user or a key the list is exact; of a phrase it is of all that have its words, which are then read. So more
    # is walked for one, while that is quick: the next walk takes that much longer, and goes on where this one ended.
    while query.until is None and phrases and walked * _WALKS_GROW <= WALKED_MOST:
        if _WALKS_GROW * (time.monotonic() - began_s) > WALK_WITHIN_S:
            break
        walked *= _WALKS_GROW
        rows += _found(connection, query, wanted, near=top - walked, so_far=len(rows))
        if len(rows) > query.most or top - walked < bounds[0]:
            return rows
        query = msgspec.structs.replace(query, after=top - walked + 1)
    connection.exec_driver_sql(_BY_LIST)
    return [*rows, *_found(connection, query, wanted, so_far=len(rows), whole=True)]


def _found(
    connection: Connection, query: TraceQuery, wanted: _Wanted, *, so_far: int = 0, **how: Any
) -> Sequence[Any]:
    statement, values = _statement(connection, query, wanted, most=query.most + 1 - so_far, **how)
    return connection.execute(statement, values).all()


def _read(
    connection: Connection,
    query: TraceQuery,
    tags: list[str],
    listed: list[Phrase],
    unlisted: list[Phrase],
    within_s: float,
) -> TracePage:
    """A page of the traces that the index finds by all but the unlisted phrases and that say those too."""
    deadline = time.monotonic() + within_s
    bounds = _places_within(connection, query, _newest(connection))
    if bounds is None:
        return TracePage(traces=(), next=None)
    wanted = _Wanted(tags, listed, bounds)
    statement, values = _statement(connection, query, wanted, most=READ_MOST, columns=f"{_COLUMNS}, t.body")
    found: list[TraceSummary] = []
    looked_at, place = 0, None
    with connection.execute(statement, values, execution_options={"yield_per": _READ_AT_ONCE}) as rows:
        for row in rows:
            if len(found) == query.most:
                return TracePage(traces=tuple(found), next=place)
            if looked_at >= _READ_AT_ONCE and time.monotonic() >= deadline:
                return TracePage(traces=tuple(found), next=place, cut=True)
            looked_at, place = looked_at + 1, row.seq
            trace = indexing.readable(row)
            if trace is None:
                continue
            _, said, _ = indexing.words_of(row.seq, trace)
            if all(one.is_said(said) for one in unlisted):
                found.append(_summary(row))
    cut = looked_at == READ_MOST
    return TracePage(traces=tuple(found), next=place if cut else None, cut=cut)


def _statement(
    connection: Connection,
    query: TraceQuery,
    wanted: _Wanted,
    *,
    most: int,
    columns: str = _COLUMNS,
    near: int | None = None,
    whole: bool = False,
) -> tuple[TextClause, dict[str, Any]]:
    """The query in the database's own words. Only places behind `near`; with `whole`, PostgreSQL finds all that has the
    words before it sorts."""
    tags, phrases, bounds = wanted
    values: dict[str, Any] = {"most": most}
    where = ["t.replaced_at IS NULL"]
    by_words = bool(tags or phrases)
    postgresql = connection.dialect.name == "postgresql"
    place = "trace_words.rowid" if by_words and not postgresql else "f.seq"
    # PostgreSQL joins by walking both tables, and takes from one no bound of the other.
    places = (place, "t.seq") if postgresql else (place,)
    if query.after is not None:
        where += [f"{one} < :after" for one in places]
        values["after"] = query.after
    if near is not None:
        where += [f"{one} > :near" for one in places]
        values["near"] = near
    if query.since is not None or query.until is not None:
        where += [f"{one} BETWEEN :first AND :last" for one in places]
        values["first"], values["last"] = bounds
        # By places: those of the newest day PostgreSQL takes for few, and would find by date and sort them all.
        at = "f.at + 0" if postgresql else "f.at"
        if query.since is not None:
            where.append(f"{at} >= :since")
            values["since"] = to_micros(query.since)
        if query.until is not None:
            where.append(f"{at} < :until")
            values["until"] = to_micros(query.until)
    if query.slower_than_ms is not None:
        where.append("f.total_ms > :slower")
        values["slower"] = query.slower_than_ms
    tables = "trace_facets f JOIN traces t ON t.seq = f.seq"
    if by_words and postgresql:
        where.append(f"f.words @@ ({_tsquery(tags, phrases, values)})")
    elif by_words:
        # In this order: the index of words yields places from the newest down, so that a page ends early.
        tables = "trace_words CROSS JOIN trace_facets f ON f.seq = trace_words.rowid"
        tables += " CROSS JOIN traces t ON t.seq = f.seq"
        where.append("trace_words MATCH :words")
        values["words"] = _fts5(tags, phrases)
    sql = f"SELECT {columns} FROM {tables} WHERE {' AND '.join(where)}"  # noqa: S608 (parts written here; values are bound)
    if whole and postgresql:
        # OFFSET 0 keeps the page's order and limit out of the plan for what is found.
        sql, place = f"SELECT * FROM ({sql} OFFSET 0) f", "f.seq"  # noqa: S608 (as above)
    sql += f" ORDER BY {place} DESC LIMIT :most"
    return text(sql), values


def _newest(connection: Connection) -> int:
    """The last place of all; 0 where nothing is indexed."""
    return int(connection.execute(select(func.max(trace_facets.c.seq))).scalar() or 0)


def _places_within(connection: Connection, query: TraceQuery, newest: int) -> _Bounds | None:
    """The first and the last place of traces of the time that is meant, None where there are none. Arrival and date
    need not be in one order, so dates are compared as well."""
    if query.since is None and query.until is None:
        return 0, newest
    first, last = connection.execute(places_of(query)).one()
    return None if first is None else (first, last)


def places_of(query: TraceQuery) -> Select[Any]:
    """What finds the first and the last place, in the index of dates: for a plain minimum PostgreSQL would walk all
    places from the oldest on, until it comes to the time that is meant."""
    place = trace_facets.c.seq + 0
    found = select(func.min(place), func.max(place))
    if query.since is not None:
        found = found.where(trace_facets.c.at >= to_micros(query.since))
    if query.until is not None:
        found = found.where(trace_facets.c.at < to_micros(query.until))
    return found


def _fts5(tags: list[str], phrases: list[Phrase]) -> str:
    """https://www.sqlite.org/fts5.html, section 3: phrases in quotes, a star behind them for a prefix."""
    said = ['words : "' + " ".join(one.words) + '"' + (" *" if one.prefix else "") for one in phrases]
    return " AND ".join([*(f'tags : "{one}"' for one in tags), *said])


def _tsquery(tags: list[str], phrases: list[Phrase], values: dict[str, Any]) -> str:
    """https://www.postgresql.org/docs/current/textsearch-controls.html"""
    parts = []
    for number, one in enumerate(tags):
        # A lexeme in quotes is taken as it is, without the parser of texts.
        values[f"tag{number}"] = f"'={one}'"
        parts.append(f"CAST(:tag{number} AS tsquery)")
    for number, phrase in enumerate(phrases):
        words = [*phrase.words[:-1], phrase.words[-1] + (":*" if phrase.prefix else "")]
        values[f"phrase{number}"] = " <-> ".join(words)
        parts.append(f"to_tsquery('simple', :phrase{number})")
    return " && ".join(parts)


def _summary(row: Any) -> TraceSummary:
    return TraceSummary(
        place=row.seq,
        id=row.id,
        at=from_micros(row.at),
        source=row.source,
        model=row.model,
        route=row.route,
        endpoint=row.endpoint,
        arm=row.arm,
        parent_id=row.parent_id,
        status=row.status,
        completeness=row.completeness,
        error=bool(row.error),
        fallback=row.fallback,
        user=row.user_name,
        api_key=row.api_key,
        conversation_id=row.conversation_id,
        upstream_id=row.upstream_id,
        ttft_ms=row.ttft_ms,
        total_ms=row.total_ms,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
    )
