"""What blocks of traces are found by: an index of words and tags, and counts over time.

The index says by the place of their first trace which blocks may hold what is looked for.

On SQLite an FTS5 table without content (https://www.sqlite.org/fts5.html, section 4.4.3), whose rows can be deleted
from SQLite 3.43 on; with an older one there is no index, and all blocks are read. On PostgreSQL a `tsvector` with GIN.
Neither keeps positions: a block that is found is read, and each of its traces compared.

A tag is one value of one field, behind a letter that names the field: tags are looked up in the same index as words.
Pure.

Stretches of ten seconds and of five minutes are kept for a little more than a day, hours and days for ever.
Times are counted in classes of a twentieth of a decade, 12 % wide. What is counted stays when a trace is forgotten: it
is a number of requests.
"""

from __future__ import annotations

import functools
import math
import re
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, text

from freehold.errors import UsageError
from freehold.store.tables import insert_many, searchable, trace_counts
from freehold.types.trace import Trace, TraceQuery

LONGEST = 256
"""Longer words are not in the index: PostgreSQL takes no lexeme of 2 KB."""
AT_ONCE = 1_000
_FTS5 = """
    CREATE VIRTUAL TABLE trace_words USING fts5(
        words, content='', contentless_delete=1, detail=none, tokenize="ascii tokenchars '='")
"""
_POSTGRESQL = (
    "CREATE TABLE trace_words (place bigint PRIMARY KEY, words tsvector NOT NULL)",
    "CREATE INDEX trace_words_words ON trace_words USING gin (words)",
)
_BY_LIST = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off; SET LOCAL jit = off"
"""PostgreSQL takes any word for a share of all blocks, and would read all of them."""


def make(connection: Connection) -> None:
    """Begin an index that has nothing in it, where there can be one."""
    connection.exec_driver_sql("DROP TABLE IF EXISTS trace_words")
    if _is_postgresql(connection):
        for statement in _POSTGRESQL:
            connection.exec_driver_sql(statement)
    elif _can_delete(connection):
        connection.exec_driver_sql(_FTS5)


def exists(connection: Connection) -> bool:
    """Whether there is an index."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'trace_words'"
    return _is_postgresql(connection) or connection.exec_driver_sql(query).first() is not None


def insert(connection: Connection, blocks: Iterable[tuple[int, set[str]]]) -> None:
    """Take in the terms of blocks, each with its place."""
    rows = list(blocks)
    if not rows or not exists(connection):
        return
    if _is_postgresql(connection):
        statement = text("INSERT INTO trace_words VALUES (:place, array_to_tsvector(CAST(:words AS text[])))")
        values = [
            {"place": place, "words": [one for one in terms if len(one) <= LONGEST]} for place, terms in rows
        ]
        connection.execute(statement, values)
        return
    connection.exec_driver_sql(
        "INSERT INTO trace_words (rowid, words) VALUES (?, ?)",
        [(place, " ".join(terms)) for place, terms in rows],
    )


def remove(connection: Connection, places: Iterable[int]) -> None:
    """Leave out what is known of the blocks at these places."""
    rows = [{"place": place} for place in places]
    if rows and exists(connection):
        column = "place" if _is_postgresql(connection) else "rowid"
        connection.execute(text(f"DELETE FROM trace_words WHERE {column} = :place"), rows)  # noqa: S608 (a name)


def find(
    connection: Connection, terms: Iterable[str], first: int, last: int, *, newest_first: bool
) -> Iterator[int]:
    """The places from `first` to `last` of blocks that have all the terms, in order; with a star one begins a word."""
    postgresql = _is_postgresql(connection)
    column = "place" if postgresql else "rowid"
    has = "words @@ CAST(:terms AS tsquery)" if postgresql else "trace_words MATCH :terms"
    statement = text(
        f"SELECT {column} FROM trace_words WHERE {has} AND {column} BETWEEN :first AND :last "  # noqa: S608 (names)
        f"ORDER BY {column} {'DESC' if newest_first else ''} LIMIT {AT_ONCE}"
    )
    if postgresql:
        connection.exec_driver_sql(_BY_LIST)
        match = " & ".join(f"'{one.rstrip('*')}'{':*' if one.endswith('*') else ''}" for one in terms)
    else:
        match = " AND ".join(f'"{one.rstrip("*")}"{" *" if one.endswith("*") else ""}' for one in terms)
    while True:
        values = {"terms": match, "first": first, "last": last}
        places = list(connection.execute(statement, values).scalars())
        yield from places
        if len(places) < AT_ONCE:
            return
        first, last = (first, places[-1] - 1) if newest_first else (places[-1] + 1, last)


def drop_deleted(raw: Any) -> None:
    """Leave nothing of deleted words, on a connection of SQLite's driver: deleting marks them until they are merged."""
    if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'trace_words'").fetchone() is not None:
        raw.execute("INSERT INTO trace_words(trace_words) VALUES('optimize')")


def drop_recovered(raw: Any) -> None:
    """What SQLite's shell recovers of a store has the tables below the index, but not the index."""
    if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'trace_words'").fetchone() is None:
        for part in ("data", "idx", "content", "docsize", "config"):
            raw.execute(f"DROP TABLE IF EXISTS trace_words_{part}")


def _is_postgresql(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _can_delete(connection: Connection) -> bool:
    """Whether this SQLite can keep words so that they can be forgotten."""
    version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    modules = connection.exec_driver_sql("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").first()
    return modules is not None and tuple(map(int, version.split(".")[:2])) >= (3, 43)


MOST_CHARACTERS = 20_000
"""Of one trace's text: the answer, then messages from the newest to the oldest."""
SLOW_MS = (100, 300, 1_000, 3_000, 10_000, 30_000)
_INSTRUCTIONS = ("system", "developer")
_USER_FIELDS = ("user", "user_id", "end_user", "customer", "customer_id")
_STATUS = re.compile(r"[1-9]\d\d")
_STATUS_CLASS = re.compile(r"[1-9]xx")
_PIECE = re.compile(r'"([^"]*)"?|(\S+)')
_WORD = re.compile(r"[^\W_]+")
_ASCII_PARTED = bytes(one if chr(one).isalnum() and one < 128 else 32 for one in range(256))
"""For `bytes.translate`: ASCII's letters and digits stay, all else is a space."""


class Phrase(NamedTuple):
    """Words that stand side by side; with `prefix` the last one is the beginning of a word."""

    words: tuple[str, ...]
    prefix: bool = False

    def is_said(self, words: str) -> bool:
        """Whether a text says it, given its words with a space between each two."""
        return f" {' '.join(self.words)}{'' if self.prefix else ' '}" in f" {words} "


def phrases_of(text: str) -> list[Phrase]:
    """What a search for `text` asks for, all of it. Raises `UsageError` where there is not a word in it."""
    found = []
    for quoted, bare in _PIECE.findall(text):
        words = tuple(words_in(quoted or bare))
        if words:
            found.append(Phrase(words, prefix=bare.endswith("*")))
    if not found:
        raise UsageError(
            f"there is not a word in {text!r} to look for", hint="words are letters and digits: --text refund"
        )
    return found


def words_in(text: str) -> list[str]:
    """The words of a text, letters and digits, as they are looked for."""
    if text.isascii():  # by far the most texts, and a tenth of the time
        return text.encode().translate(_ASCII_PARTED).decode().split()
    return _WORD.findall(text)


def text_of(trace: Trace) -> str:
    """What was asked and answered, newest first, without instructions, which all requests share."""
    pieces: list[str] = []
    left = MOST_CHARACTERS
    for piece in _pieces(trace):
        pieces.append(piece[:left])
        left -= len(piece)
        if left <= 0:
            break
    # PostgreSQL's text has no NUL.
    return "\n".join(pieces).replace("\0", " ")


def _pieces(trace: Trace) -> Iterator[str]:
    response, request = trace.response or {}, trace.request
    for choice in _dicts(response.get("choices")):
        if isinstance(choice.get("text"), str):
            yield choice["text"]
        if isinstance(choice.get("message"), dict):
            yield from _said(choice["message"])
    for message in reversed(list(_dicts(request.get("messages")))):
        if message.get("role") not in _INSTRUCTIONS:
            yield from _said(message)
    yield from _strings(request.get("prompt"))
    yield from _strings(request.get("input"))


def _said(message: dict[str, Any]) -> Iterator[str]:
    yield from _strings(message.get("content"))
    yield from _strings(message.get("refusal"))
    for call in _dicts(message.get("tool_calls")):
        function = call.get("function")
        if isinstance(function, dict):
            yield from (str(function[name]) for name in ("name", "arguments") if function.get(name))


def _strings(value: Any) -> Iterator[str]:
    """A text, a list of texts, or content parts with texts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            if isinstance(one, str):
                yield one
            elif isinstance(one, dict) and isinstance(one.get("text"), str):
                yield one["text"]


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))


def users_of(trace: Trace) -> list[str]:
    """Whom a request names as its user, in a header, in the request or in its metadata: where a user who is to be
    forgotten is looked for, too."""
    said = [trace.user, trace.request.get("user"), trace.request.get("safety_identifier")]
    for metadata in (trace.metadata, trace.request.get("metadata")):
        if isinstance(metadata, dict):
            said.extend(metadata.get(name) for name in _USER_FIELDS)
    return list(dict.fromkeys(str(one) for one in said if one is not None))


def answer_id_of(trace: Trace) -> str | None:
    """The id that the upstream gave its answer (``chatcmpl-…``, ``msg_…``)."""
    id = (trace.response or {}).get("id")
    return id if isinstance(id, str) and id else None


def is_error(trace: Trace) -> bool:
    """Did the arm a request was sent to fail? A client that left is not counted.

    Where a rule of deferral decides, that arm is the mixture, in which the incumbent answers for the candidate.
    """
    return (
        trace.status >= 500
        or trace.completeness == "upstream_cut"
        or (trace.deferral is None and trace.fallback not in (None, "schema", "context"))
    )


@functools.lru_cache(maxsize=4096)  # key, route, model and status are the same for many traces
def term_of(tag: str) -> str:
    """The term that stands for a tag in the index: no word begins with an equals sign. Others may have the same one, so
    what is found by it is compared."""
    return f"={tag[0]}{zlib.crc32(tag.encode(errors='replace')):x}"


def terms_of(trace: Trace) -> Iterator[str]:
    """What a trace is found by in the index. Case is folded and words are parted here, so that no database's locale
    matters, nor what its parser takes for one word: an address, a number with a point, a file's path."""
    yield from words_in(text_of(trace).casefold())
    yield from map(term_of, tags_of(trace))


def tags_of(trace: Trace) -> list[str]:
    """All tags of a trace."""
    named = [
        ("k", trace.api_key),
        ("r", trace.route),
        ("m", trace.model),
        ("e", trace.endpoint),
        ("c", trace.conversation_id),
        ("p", trace.parent_id),
        ("x", trace.upstream_id),
        ("x", answer_id_of(trace)),
        *(("u", user) for user in users_of(trace)),
    ]
    tags = [kind + value for kind, value in named if value]
    tags += [f"a{trace.arm}", f"s{trace.status}", f"s{trace.status // 100}xx"]
    if is_error(trace):
        tags.append("serror")
    if trace.parent_id is None:
        tags.append("own")
    if trace.completeness == "complete":
        tags.append("whole")
    tags += [f"t{slow}" for slow in SLOW_MS if trace.total_ms is not None and trace.total_ms > slow]
    return tags


def wanted_tags(query: TraceQuery) -> list[str]:
    """The tags that a trace must have. Raises `UsageError` for a status that is none."""
    named = [
        ("k", query.api_key),
        ("r", query.route),
        ("m", query.model),
        ("e", query.endpoint),
        ("c", query.conversation_id),
        ("x", query.upstream_id),
        ("u", query.user),
    ]
    tags = [kind + value for kind, value in named if value is not None]
    if query.arm is not None:
        tags.append(f"a{query.arm}")
    if query.status is not None:
        status = query.status.casefold()
        if status != "error" and not (_STATUS.fullmatch(status) or _STATUS_CLASS.fullmatch(status)):
            raise UsageError(f"{query.status!r} is not a status", hint="404, 4xx, 5xx or error")
        tags.append(f"s{status}")
    if query.own_only:
        tags.append("own")
    if query.complete_only:
        tags.append("whole")
    if query.slower_than_ms is not None:
        below = [slow for slow in SLOW_MS if slow <= query.slower_than_ms]
        tags += [f"t{slow}" for slow in below[-1:]]
    return tags


SHORT_S, MIDDLE_S, LONG_S, DAY_S = 10, 300, 3600, 86_400
"""Lengths of stretches. A day in ten-second ones is hundreds of thousands of rows, and so is a quarter of a year in
hours."""
SHORT_KEPT_S = 26 * 3600
PER_DECADE = 20
NO_TIME = -1_000
"""The class of an answer whose time is not known, or that is an error."""
MOST_TOKENS = 1 << 40
"""Of one answer: what a broken upstream reports must not add up to more than a database keeps."""
COUNTS = ("requests", "fallbacks", "prompt_tokens", "completion_tokens")


def add_counts(connection: Connection, new: Iterable[Trace]) -> None:
    """Count traces that a gateway recorded, in the caller's transaction, and let go of short stretches that are old."""
    rows: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for trace in new:
        if trace.source != "gateway":
            continue
        at, outcome = int(trace.at.timestamp()), _outcome(trace)
        arm = "mirrored" if trace.parent_id is not None else trace.arm
        more = (1, int(trace.fallback is not None), *_tokens(trace))
        for width in (SHORT_S, MIDDLE_S, LONG_S, DAY_S):
            key = (
                width,
                at - at % width,
                searchable(trace.route or ""),
                arm,
                searchable(trace.endpoint or ""),
                outcome,
                NO_TIME if outcome == "error" else time_class(trace.total_ms),
            )
            row = rows[key]
            for place, value in enumerate(more):
                row[place] += value
    _add(connection, rows)


def _outcome(trace: Trace) -> str:
    """``error``; ``stood_in`` where another endpoint answered than the one that was asked first; or ``ok``."""
    if is_error(trace):
        return "error"
    return "ok" if trace.fallback is None else "stood_in"


def _tokens(trace: Trace) -> tuple[int, int]:
    usage = trace.usage
    if usage is None:
        return 0, 0
    return min(usage.prompt_tokens or 0, MOST_TOKENS), min(usage.completion_tokens or 0, MOST_TOKENS)


def _add(connection: Connection, rows: Mapping[tuple[Any, ...], list[int]]) -> None:
    """Add to what was counted, and let go of short stretches that are old. What is dated ahead of the clock does not
    say what is old: a gateway whose clock was wrong would take the last day from all others."""
    if not rows:
        return
    table = trace_counts
    key = ", ".join(table.primary_key.columns.keys())
    sums = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in COUNTS)
    # In the order of the key: two that count at once wait for each other, and not both.
    values = [(*one, *row) for one, row in sorted(rows.items())]
    insert_many(connection, table, values, f"ON CONFLICT ({key}) DO UPDATE SET {sums}")
    now = time.time()
    newest = max((begins_s for _, begins_s, *_ in rows if begins_s <= now), default=0)
    # Both widths by name: below an hour is one range of the key, whose every row would be read, with each batch.
    old = table.c.width_s.in_((SHORT_S, MIDDLE_S)) & (table.c.begins_s < newest - SHORT_KEPT_S)
    connection.execute(delete(table).where(old))


def time_class(total_ms: float | None) -> int:
    """The class of a time in milliseconds: twenty for each power of ten."""
    if total_ms is None or not total_ms > 0:
        return NO_TIME
    return math.floor(PER_DECADE * math.log10(total_ms))
