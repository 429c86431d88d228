"""Search: newest arrivals first, a page at a time, each page by the place where the one before it ended."""

from __future__ import annotations

import re
import time

from freehold.store import blocks
from freehold.store.blocks import Line, Sought, TraceHead
from freehold.store.database import Database
from freehold.store.tables import to_micros
from freehold.store.terms import (
    is_error,
    phrases_of,
    tags_of,
    term_of,
    text_of,
    users_of,
    wanted_tags,
    words_in,
)
from freehold.store.words import LONGEST
from freehold.types.trace import Trace, Usage
from freehold.types.trace_search import TracePage, TraceQuery, TraceSummary

READ_WITHIN_S, READ_BYTES = 0.1, 1 << 20
"""A page that is not full ends after that time, but not before it has read that much: a busy machine reads on."""
SHORTEST_PREFIX = 3
"""Of shorter beginnings of words the index would have to join thousands of lists."""
_SHOWN = tuple(set(TraceSummary.__struct_fields__) & set(Trace.__struct_fields__) - {"user"})
_PLAIN = re.compile(r"[\w.@:=-]+", re.ASCII)


def search(database: Database, query: TraceQuery) -> TracePage:
    """A page of the traces that meet all of a query. What an import replaced is left out.

    The index tells which blocks of traces may hold some; these are read, newest first, for `READ_WITHIN_S`: a page that
    is not full by then is `cut`. Raises `UsageError` for a status or a text that cannot be looked for.
    """
    meant = _Meant(query)
    deadline, read_bytes = time.monotonic() + READ_WITHIN_S, 0
    found: list[TraceSummary] = []
    with database.reading() as connection:
        replaced = blocks.replaced_places(connection)
        before = 1 << 62 if query.after is None else query.after
        for lines in blocks.read(connection, meant.blocks(), before=before, newest_first=True):
            for line in lines:
                trace = None if line.place in replaced else meant.trace(line)
                if trace is None:
                    continue
                if len(found) == query.most:
                    return TracePage(traces=tuple(found), next=found[-1].place)
                found.append(_summary(line.place, trace))
            read_bytes += sum(len(line.json) for line in lines)
            if read_bytes > READ_BYTES and lines and time.monotonic() >= deadline:
                return TracePage(traces=tuple(found), next=lines[-1].place, cut=True)
    return TracePage(traces=tuple(found), next=None)


class _Meant:
    """What a query means for blocks and for a trace."""

    def __init__(self, query: TraceQuery) -> None:
        self._query = query
        self._tags = set(wanted_tags(query))
        self._phrases = [] if query.text is None else phrases_of(query.text.casefold())
        self._since = None if query.since is None else to_micros(query.since)
        self._until = None if query.until is None else to_micros(query.until)
        named = (query.user, query.upstream_id, query.api_key, query.conversation_id)
        looked_for = [one for one in named if one is not None and _PLAIN.fullmatch(one)]
        looked_for += [word for phrase in self._phrases for word in phrase.words if word.isascii()]
        self._bytes = [one.casefold().encode() for one in looked_for]

    def blocks(self) -> Sought:
        terms = [term_of(tag) for tag in self._tags]
        for phrase in self._phrases:
            whole = phrase.words[:-1] if phrase.prefix else phrase.words
            terms += [word for word in whole if len(word) <= LONGEST]
            if phrase.prefix and SHORTEST_PREFIX <= len(phrase.words[-1]) <= LONGEST:
                terms.append(f"{phrase.words[-1]}*")
        return Sought(tuple(dict.fromkeys(terms)), self._since, self._until)

    def trace(self, line: Line) -> Trace | None:
        """The trace of a line, None where it is not one of those that are meant, or is damaged."""
        if self._bytes and line.json.isascii() and b"\\u" not in line.json:
            # Most that share a block with what is looked for are told apart without being taken apart.
            folded = line.json.lower()
            if not all(one in folded for one in self._bytes):
                return None
        head = line.head()
        if head is None or not self._may_be(head):
            return None
        trace = line.trace()
        if trace is None or not self._tags.issubset(tags_of(trace)):
            return None
        if self._phrases:
            said = " ".join(words_in(text_of(trace).casefold()))
            if not all(phrase.is_said(said) for phrase in self._phrases):
                return None
        return trace

    def _may_be(self, head: TraceHead) -> bool:
        query, at = self._query, to_micros(head.at)
        names = ("api_key", "arm", "endpoint", "conversation_id", "route", "model")
        return (
            all(getattr(query, name) in (None, getattr(head, name)) for name in names)
            and (self._since is None or at >= self._since)
            and (self._until is None or at < self._until)
            and (query.slower_than_ms is None or (head.total_ms or 0) > query.slower_than_ms)
        )


def _summary(place: int, trace: Trace) -> TraceSummary:
    usage = trace.usage or Usage()
    return TraceSummary(
        **{name: getattr(trace, name) for name in _SHOWN},
        place=place,
        error=is_error(trace),
        user=next(iter(users_of(trace)), None),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )
