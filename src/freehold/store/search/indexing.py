"""The index that traces are found by, filled behind the traces that are written.

Writing a trace does not wait for it: the recorder fills it when nothing else is to be done, and a search takes in what
is left. Bodies are read outside of the transaction that writes the index: other writers wait for the writing alone.
On SQLite the words are an FTS5 table without content (https://www.sqlite.org/fts5.html, section 4.4.3), whose
rows can be deleted from SQLite 3.43 on; with an older one traces are found by everything but words.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text, update

from freehold.store import bodies, counting
from freehold.store.damage import unless_damaged
from freehold.store.database import Database
from freehold.store.faults import may_blame_the_data
from freehold.store.search.counts import add_answered, add_counts
from freehold.store.search.terms import is_error, tags_of, text_of, users_of, words_in
from freehold.store.tables import counters, one_at_a_time, searchable, to_micros, trace_facets, traces
from freehold.types.trace import Trace

log = logging.getLogger(__name__)

BATCH, BATCH_BYTES = 2000, 8 * 1024 * 1024
_FETCHED = 25  # bodies that come from the database at once
COUNTED_MOST = 5_000
INDEXED, COUNTED, ANSWERS_COUNTED = "traces_indexed", "traces_counted", "answers_counted"
"""The places up to which traces are in the index, in the counts of traffic, and in those of who answered: a trace is
counted once, even where the index is made again."""
_Entry = tuple[dict[str, Any], tuple[int, str, list[str]]]  # of `facets_of` and `words_of`
_LOCK = 0x74726163657366  # "tracesf"
_WORDS = "trace_words"
_MAKE_WORDS = f"""
    CREATE VIRTUAL TABLE {_WORDS} USING fts5(
        words, tags, content='', contentless_delete=1, tokenize="unicode61 remove_diacritics 0", prefix='2 3')
"""
_TRIGGER = f"""
    CREATE TRIGGER trace_words_gone AFTER DELETE ON trace_facets
    BEGIN DELETE FROM {_WORDS} WHERE rowid = old.seq; END
"""  # noqa: S608 (a name, never input)


def index_traces(database: Database, *, most: int = BATCH) -> int:
    """Take the next traces into the index. Returns how many were looked at; 0 where there are none left, or another
    process took them meanwhile and left none.

    One that the index refuses is passed over: it must not keep all that come after it from being found.
    """
    try:
        return _index_next(database, most)
    except Exception as error:
        if not may_blame_the_data(error):
            raise
        if most > 1:
            return index_traces(database, most=most // 8 or 1)
        return _index_next(database, 1, refused=True)


def _index_next(database: Database, most: int, *, refused: bool = False) -> int:
    while True:
        with database.reading() as connection:
            begin, changes = _begin(connection), counting.current(connection, counting.TRACES)
            rows = _next(connection, begin, most)
        if not rows:
            return 0
        entries: list[_Entry] = []
        read: list[tuple[int, Trace]] = []
        for row in rows:
            if refused:
                log.error("the index refuses trace %s, which no search will find", row.id)
                continue
            trace = readable(row)
            if trace is not None:
                entries.append((facets_of(row.seq, trace), words_of(row.seq, trace)))
                # What was said is let go: of a batch of long traces it would be gigabytes.
                read.append((row.seq, msgspec.structs.replace(trace, request={}, response=None)))
        with database.writing(durable=False) as connection:
            alone(connection)
            if _begin(connection) != begin or counting.current(connection, counting.TRACES) != changes:
                continue  # another was faster, or a trace has changed since it was read
            _make_words(connection)
            here = _still_here(connection, rows[0].seq, rows[-1].seq)
            _insert(connection, [entry for entry in entries if entry[0]["seq"] in here])
            for name, add in ((COUNTED, add_counts), (ANSWERS_COUNTED, add_answered)):
                counted = counting.current(connection, name)
                add(connection, [trace for seq, trace in read if seq > counted])
                _set(connection, name, max(counted, rows[-1].seq))
            _set(connection, INDEXED, rows[-1].seq)
        return len(rows)


def catch_up(
    database: Database,
    *,
    within_s: float | None = None,
    tell: Callable[[int], None] = lambda done: None,
) -> bool:
    """Take in what is not in the index yet, for at most `within_s` seconds; `tell` gets how many were. Says whether
    nothing was left when it ended: how much is left is not counted here, since that takes longer the more it is."""
    deadline = None if within_s is None else time.monotonic() + within_s
    done = 0
    while deadline is None or time.monotonic() < deadline:
        taken = index_traces(database)
        if not taken:
            return True
        done += taken
        tell(done)
    return False


def unindexed(database: Database) -> int:
    """How many traces are not in the index yet. Where their places are more than `COUNTED_MOST` that is how many places
    there are, some of them of traces that are gone: to count rows is to read them, a million in seconds."""
    with database.reading() as connection:
        begin = _begin(connection)
        newest = int(connection.execute(select(func.max(traces.c.seq))).scalar() or 0)
        if newest - begin > COUNTED_MOST:
            return newest - begin
        later = select(func.count()).select_from(traces).where(traces.c.seq > begin)
        return int(connection.execute(later).scalar_one())


def reindex(connection: Connection, seq: int, trace: Trace) -> None:
    """A trace that was written again, in the transaction that wrote it; the caller is `alone`."""
    if seq > counting.current(connection, INDEXED):
        return
    connection.execute(delete(trace_facets).where(trace_facets.c.seq == seq))
    _insert(connection, [(facets_of(seq, trace), words_of(seq, trace))])


def alone(connection: Connection) -> None:
    """One at a time changes the index."""
    one_at_a_time(connection, _LOCK)


def has_words(connection: Connection) -> bool:
    """Whether words can be looked for."""
    return connection.dialect.name == "postgresql" or _has_table(connection)


def supports_words(connection: Connection) -> bool:
    """Whether this SQLite can keep words so that they can be forgotten."""
    if connection.dialect.name == "postgresql":
        return True
    version = connection.connection.dbapi_connection.execute("SELECT sqlite_version()").fetchone()[0]  # type: ignore[union-attr]
    modules = connection.exec_driver_sql("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").first()
    return modules is not None and tuple(map(int, version.split(".")[:2])) >= (3, 43)


def drop_deleted_words(raw: Any) -> None:
    """Leave nothing of deleted words in the index, on a SQLite connection of the driver's: deleting only marks them,
    until what is next to them is merged."""
    found = raw.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_WORDS,)).fetchone()
    if found is not None:
        raw.execute(f"INSERT INTO {_WORDS}({_WORDS}) VALUES('optimize')")


def drop_recovered_words(raw: Any) -> None:
    """What SQLite's shell recovers of a store has the tables below the index of words, and a trigger that writes to it,
    but not the index, which is made again where they are gone."""
    if raw.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_WORDS,)).fetchone() is None:
        raw.execute("DROP TRIGGER IF EXISTS trace_words_gone")
        for part in ("data", "idx", "content", "docsize", "config"):
            raw.execute(f"DROP TABLE IF EXISTS {_WORDS}_{part}")


def facets_of(seq: int, trace: Trace) -> dict[str, Any]:
    """The row of a trace in `trace_facets`, without words."""
    usage = trace.usage
    values = {
        "seq": seq,
        "at": to_micros(trace.at),
        "endpoint": trace.endpoint,
        "arm": trace.arm,
        "status": trace.status,
        "error": is_error(trace),
        "fallback": trace.fallback,
        "user_name": next(iter(users_of(trace)), None),
        "api_key": trace.api_key,
        "conversation_id": trace.conversation_id,
        "upstream_id": trace.upstream_id,
        "ttft_ms": trace.ttft_ms,
        "total_ms": trace.total_ms,
        "prompt_tokens": None if usage is None else usage.prompt_tokens,
        "completion_tokens": None if usage is None else usage.completion_tokens,
    }
    return {name: searchable(value) for name, value in values.items()}


def words_of(seq: int, trace: Trace) -> tuple[int, str, list[str]]:
    """A trace's place, its text and its tags. Case is folded and words are parted here, so that no database's locale
    matters, nor what its parser takes for one word: an address, a number with a point, a file's path."""
    return seq, " ".join(words_in(text_of(trace).casefold())), tags_of(trace)


def _insert(connection: Connection, rows: list[_Entry]) -> None:
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        names = list(rows[0][0])
        marks = ", ".join(f":{name}" for name in names)
        # A tag is a lexeme that no text has: none begins with an equals sign. All rows go out before an answer is
        # waited for: psycopg sends them as a pipeline.
        connection.execute(
            text(
                f"INSERT INTO trace_facets ({', '.join(names)}, words) VALUES ({marks}, "  # noqa: S608 (names of columns)
                "to_tsvector('simple', :said) || array_to_tsvector(CAST(:tags AS text[])))"
            ),
            [
                {**facets, "said": said, "tags": [f"={one}" for one in tags]}
                for facets, (_, said, tags) in rows
            ],
        )
        return
    columns = list(rows[0][0])
    marks = ", ".join("?" * len(columns))
    sql = f"INSERT INTO trace_facets ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 (names of columns)
    connection.exec_driver_sql(sql, [tuple(facets.values()) for facets, _ in rows])
    if _has_table(connection):
        connection.exec_driver_sql(
            f"INSERT INTO {_WORDS} (rowid, words, tags) VALUES (?, ?, ?)",  # noqa: S608 (a name)
            [(seq, said, " ".join(tags)) for _, (seq, said, tags) in rows],
        )


def _next(connection: Connection, begin: int, most: int) -> list[Any]:
    """The traces behind a place: no more than `most`, and few enough that their bodies may be in memory at once."""
    query = (
        select(traces.c.seq, traces.c.id, traces.c.body).where(traces.c.seq > begin).order_by(traces.c.seq)
    )
    rows: list[Any] = []
    size = 0
    with connection.execute(query.limit(most).execution_options(yield_per=_FETCHED)) as found:
        for row in found:
            rows.append(row)
            size += len(row.body)
            if size >= BATCH_BYTES:
                break
    return rows


def readable(row: Any) -> Trace | None:
    """The trace of a row with an `id` and a `body`; None where it is damaged, which is noted."""
    return unless_damaged("traces", row.id, lambda: bodies.unpack_trace(row.body))


def _begin(connection: Connection) -> int:
    """The place up to which traces are in the index; 0 where it must be made again, because it lacks its words."""
    if not has_words(connection) and supports_words(connection):
        return 0
    return counting.current(connection, INDEXED)


def _make_words(connection: Connection) -> None:
    """Begin an index with words where there can be one and is none: a new store, or one that was copied without."""
    if has_words(connection) or not supports_words(connection):
        return
    connection.execute(delete(trace_facets))
    connection.exec_driver_sql(_MAKE_WORDS)
    connection.exec_driver_sql(_TRIGGER)
    # A batch is one piece of the index then, which saves merging: ext/fts5/fts5_config.c of SQLite, `hashsize`.
    connection.exec_driver_sql(f"INSERT INTO {_WORDS}({_WORDS}, rank) VALUES('hashsize', {BATCH_BYTES})")


def _has_table(connection: Connection) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE name = ?"
    return connection.exec_driver_sql(query, (_WORDS,)).first() is not None


def _still_here(connection: Connection, first: int, last: int) -> set[int]:
    """Which of the traces that were read are there still, and stay until the transaction ends."""
    query = select(traces.c.seq).where(traces.c.seq >= first, traces.c.seq <= last)
    return set(connection.execute(query.with_for_update(read=True, key_share=True)).scalars())


def _set(connection: Connection, name: str, value: int) -> None:
    changed = connection.execute(update(counters).where(counters.c.name == name).values(value=value))
    if changed.rowcount == 0:
        connection.execute(insert(counters).values(name=name, value=value))
