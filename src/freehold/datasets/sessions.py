"""Which requests belong to one conversation, told from their messages alone.

A chat API has no sessions: an application sends the whole history with each request. So a request whose history holds
another request and its answer continues it. Each history is hashed turn by turn; the request that stands deepest in
another's history is its parent, and a tree of them is a session. Nothing depends on the order of the records.

What counts as the same turn: text with white space collapsed, calls by name and arguments, results of parallel calls
in any order. Ids of calls don't count, nor do instructions beyond their first words: they may hold a time stamp or
what was retrieved. A link needs the recorded answer in the later history, or, beyond the opening, the whole recorded
request (its answer may have been edited). `MOST_BRANCHES` says what is a prompt's own examples, or an opening that many
share.

Requests that are alike to the last word may still be of several people ("hi", and the greeting that follows):
`freehold.datasets.session_flow` tells how many sessions they are.

Covered: branches, repeated and regenerated calls, requests that were not recorded, sessions given in part by ids.
Not covered: histories cut off at their beginning, or in which earlier user turns were rewritten.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from freehold import files
from freehold.datasets.messages import blanked_text
from freehold.datasets.sampling import PERIODS, Recipe, SampleSpool, recorded_answer, sample_of
from freehold.datasets.session_flow import Forest, sessions_of
from freehold.late import np
from freehold.types.dataset import Message, Sample
from freehold.types.identity import question_id, stated_at
from freehold.types.record import canonical_json
from freehold.types.trace import Trace

if TYPE_CHECKING:
    import numpy.typing as npt


MOST_BRANCHES = 4
"""A history that no recorded answer made, with more continuations than this, is a prompt's examples; so is an opening
that went on in more ways than this for each time it was recorded."""
_LEAD_WORDS = 16
_REMEMBERED_CHARACTERS = 2000
_AT_ONCE = 1 << 20
_WITHIN_MEMORY = 1 << 18
_NUMBER = re.compile(r"\S*\d\S*")
_WORD = re.compile(r"[^\W\d_]+")
_OF_TIMES = frozenset({
    "jan", "january", "feb", "february", "mar", "march", "apr", "april", "may", "jun", "june", "jul", "july", "aug",
    "august", "sep", "sept", "september", "oct", "october", "nov", "november", "dec", "december", "mon", "monday",
    "tue", "tues", "tuesday", "wed", "wednesday", "thu", "thurs", "thursday", "fri", "friday", "sat", "saturday",
    "sun", "sunday", "am", "pm", "utc", "gmt", "cet",
})  # fmt: skip
_THOUGHT = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)

Hashes: TypeAlias = "npt.NDArray[np.uint64]"
Rows: TypeAlias = "npt.NDArray[np.int64]"


class RequestChain(NamedTuple):
    """Hashes of a history: `asked` of all of it, `answered` with the answer after it (0 without one), and for each
    assistant turn in it that is an answer the hash `before` and `after` that turn."""

    asked: int
    answered: int
    turns: tuple[tuple[int, int], ...]


def request_chain(messages: Sequence[Message], answer: Message | None) -> RequestChain:
    """The chain of hashes of a request. Pure."""
    state = _fold(b"", _lead(messages))
    turns: list[tuple[int, int]] = []
    results: list[bytes] = []
    spoken = False
    for message in messages:
        if message.role in ("system", "developer"):
            continue
        if message.role == "tool":
            results.append(_turn(message))
            spoken = True
            continue
        state, results = _with_results(state, results), []
        after = _fold(state, _turn(message))
        if message.role == "assistant" and spoken:
            turns.append((_number(state), _number(after)))
        spoken = spoken or message.role != "assistant"
        state = after
    state = _with_results(state, results)
    answered = 0 if answer is None else _number(_fold(state, _turn(answer)))
    return RequestChain(_number(state), answered, tuple(turns))


def _fold(state: bytes, turn: bytes) -> bytes:
    return hashlib.blake2b(state + turn, digest_size=8).digest()


def _number(state: bytes) -> int:
    return int.from_bytes(state, "big") or 1  # 0 stands for none


def _with_results(state: bytes, results: list[bytes]) -> bytes:
    """Parallel calls may be answered in any order."""
    return _fold(state, b"".join(sorted(results))) if results else state


def _lead(messages: Sequence[Message]) -> bytes:
    """The first words of the instruction: they tell one agent from another. Dates, times and numbers don't count."""
    first = next((m.content for m in messages if m.role in ("system", "developer")), "")
    words = _WORD.findall(_NUMBER.sub(" ", blanked_text(first)[:2000].lower()))
    lead = [word for word in words if word not in _OF_TIMES][:_LEAD_WORDS]
    return " ".join(lead).encode("utf-8", "surrogatepass")


def _turn(message: Message) -> bytes:
    if message.tool_calls:
        return _digest(message.role, b"\x1e".join(sorted(_call(call) for call in message.tool_calls)))
    if isinstance(message.content, str) and len(message.content) <= _REMEMBERED_CHARACTERS:
        return _remembered(message.role, message.content)
    return _spoken(message.role, blanked_text(message.content))


def _spoken(role: str, text: str) -> bytes:
    if role == "assistant" and "<think>" in text[:200]:
        text = _THOUGHT.sub("", text)  # applications leave thoughts out of the history
    return _digest(role, " ".join(text.split()).encode("utf-8", "surrogatepass"))


def _digest(role: str, said: bytes) -> bytes:
    return hashlib.blake2b(role.encode() + b"\x1f" + said, digest_size=16).digest()


_remembered = lru_cache(maxsize=1 << 14)(_spoken)
"""A conversation's turns come again with each request of it."""


def _call(call: object) -> bytes:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return canonical_json(call)
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments or "{}")
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            arguments = " ".join(arguments.split())
    return canonical_json([function.get("name"), arguments])


class SessionLinks(NamedTuple):
    """For each record the one that gives its session a name, −1 where it is in none; ids are its own session."""

    leader: Rows

    def members(self) -> npt.NDArray[np.bool_]:
        """Which records are in a session with others."""
        return self.leader >= 0


class SessionIndex:
    """Collects requests one by one and links them at the end. Half a kilobyte of memory a request; hashes of turns lie
    on disk."""

    def __init__(self) -> None:
        """Raises `StorageError` when the system's folder for temporary files takes none."""
        with _writing():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as the index lives)
        weakref.finalize(self, self._file.close)
        self._turns = array("Q")
        self._starts = array("q", [0])
        self._asked, self._answered = array("Q"), array("Q")
        self._named = array("Q")
        self._keys, self._tie, self._at = array("Q"), array("Q"), array("q")

    def __len__(self) -> int:
        return len(self._asked)

    def add(self, chain: RequestChain, *, id: str | None, key: str, at: datetime, tie: str) -> None:
        """Add a request. `id` is its conversation where that is known, `key` what its session may be named after;
        `at`, then `tie` order requests that are otherwise the same."""
        self._asked.append(chain.asked)
        self._answered.append(chain.answered)
        for before, after in chain.turns:
            self._turns.append(before)
            self._turns.append(after)
        self._starts.append(self._starts[-1] + len(chain.turns))
        self._named.append(0 if id is None else _short(id))
        self._keys.append(_short(key))
        self._tie.append(_short(tie))
        self._at.append(round(at.timestamp() * 1e6))
        if len(self._turns) > _WITHIN_MEMORY:
            self._flush()

    def _flush(self) -> None:
        with _writing():
            self._turns.tofile(self._file)
        self._turns = array("Q")

    def links(self) -> SessionLinks:
        """The sessions of all requests added."""
        count = len(self)
        leader = np.full(count, -1, dtype=np.int64)
        if not count:
            return SessionLinks(leader)
        self._flush()
        self._file.flush()
        loose = np.flatnonzero(_view(self._named) == 0)
        if len(loose):
            forest = self._forest(loose)
            session = sessions_of(forest)
            self._name(forest, session, leader)
        return SessionLinks(leader)

    def _forest(self, rows: Rows) -> Forest:
        """Requests without an id as a forest of units: requests that nothing tells apart."""
        rows = rows[np.argsort(_view(self._tie)[rows])]
        asked, answered = _view(self._asked)[rows], _view(self._answered)[rows]
        deep = self._is_deep(rows)
        unit_of = np.where(deep | (answered == 0), asked, answered)
        starts = _view(self._starts)
        depth = (starts[1:] - starts[:-1])[rows]
        parents = self._parents(rows, deep, asked, answered)
        return Forest(rows, unit_of, parents, _view(self._at)[rows], depth, deep, MOST_BRANCHES)

    def _is_deep(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Which requests stand beyond the opening of a conversation: a recorded answer is in their history, or their
        history is not one that many share."""
        starts = _view(self._starts)
        last = np.zeros(len(self), dtype=np.uint64)
        has = np.flatnonzero(starts[1:] > starts[:-1])
        turns = self._table()
        if len(has):
            last[has] = turns[starts[1:][has] - 1, 1]
        pairs = np.unique(np.stack([last[has], _view(self._asked)[has]], axis=1), axis=0)
        states, branches = np.unique(pairs[:, 0], return_counts=True)
        few = np.zeros(len(self), dtype=np.bool_)
        if len(states):
            at = np.minimum(np.searchsorted(states, last), len(states) - 1)
            few = (states[at] == last) & (branches[at] <= MOST_BRANCHES)
        known = np.unique(_view(self._answered))
        seen = self._deepest(lambda table: _among(table[:, 1], known)) >= 0
        deep: npt.NDArray[np.bool_] = ((last != 0) & (few | seen))[rows]
        return deep

    def _parents(self, rows: Rows, deep: npt.NDArray[np.bool_], asked: Hashes, answered: Hashes) -> Hashes:
        """For each row the unit that its history continues, 0 where there is none."""
        states = np.unique(answered[answered != 0])
        requests = np.unique(asked[deep])
        by_answer = self._deepest(lambda table: _among(table[:, 1], states))[rows]
        by_request = self._deepest(lambda table: _among(table[:, 0], requests))[rows]
        turn = np.maximum(by_answer, by_request)
        unit = np.zeros(len(rows), dtype=np.uint64)
        has = np.flatnonzero(turn >= 0)
        if len(has):
            found = self._table()[_view(self._starts)[rows[has]] + turn[has]]
            # A request beyond the opening is one unit whatever its answers; an opening is one for each answer.
            unit[has] = np.where(_among(found[:, 0], requests), found[:, 0], found[:, 1])
        return unit

    def _deepest(self, matches: Callable[[Hashes], npt.NDArray[np.bool_]]) -> Rows:
        """For each request the last turn of its history that `matches`, −1 for none. A piece of the file at a time."""
        starts = _view(self._starts)
        found = np.full(len(self), -1, dtype=np.int64)
        table = self._table()
        for begin in range(0, len(table), _AT_ONCE):
            places = begin + np.flatnonzero(matches(np.asarray(table[begin : begin + _AT_ONCE])))
            owner = np.searchsorted(starts, places, side="right") - 1
            np.maximum.at(found, owner, places - starts[owner])
        return found

    def _table(self) -> Hashes:
        """Hashes before and after each assistant turn of all histories, in order."""
        total = self._starts[-1]
        if not total:
            return np.empty((0, 2), dtype=np.uint64)
        return np.memmap(self._file, dtype=np.uint64, mode="r", shape=(total, 2))

    def _name(self, forest: Forest, session: Rows, leader: Rows) -> None:
        """Give each session a leader: a request with an id that it continues or that continues it, else its first."""
        joined = self._joined(forest, session)
        keys = _view(self._keys)[forest.rows]
        for name, places, first in forest.by_session(session, keys, joined):
            known = joined.get(name, -1)
            if known >= 0:
                leader[forest.rows[places]] = known
            elif len(np.unique(keys[places])) > 1 and forest.is_session(places):
                leader[forest.rows[places]] = forest.rows[first]

    def _joined(self, forest: Forest, session: Rows) -> dict[int, int]:
        """Sessions that belong to exactly one conversation with an id, with a row of it."""
        named = np.flatnonzero(_view(self._named))
        if not len(named):
            return {}
        ids = _view(self._named)
        candidates: dict[int, dict[int, int]] = {}
        known = self._forest_of_named(named)
        for place, row in self._continued(forest.rows, known):
            candidates.setdefault(int(session[place]), {})[int(ids[row])] = row
        for row, place in self._continued(named, forest.units(session)):
            candidates.setdefault(int(session[place]), {}).setdefault(int(ids[named[row]]), int(named[row]))
        return {name: min(rows.values()) for name, rows in candidates.items() if len(rows) == 1}

    def _forest_of_named(self, named: Rows) -> dict[int, int]:
        """Units of requests with ids, each with a row; none for a unit that several conversations share."""
        deep = self._is_deep(named)
        asked, answered = _view(self._asked)[named], _view(self._answered)[named]
        units = np.where(deep | (answered == 0), asked, answered)
        ids = _view(self._named)
        found: dict[int, int] = {}
        shared: set[int] = set()
        for unit, row in zip(units.tolist(), named.tolist(), strict=True):
            if unit in found and ids[found[unit]] != ids[row]:
                shared.add(unit)
            found.setdefault(unit, row)
        return {unit: row for unit, row in found.items() if unit not in shared}

    def _continued(self, rows: Rows, units: dict[int, int]) -> Iterator[tuple[int, int]]:
        """Places of `rows` whose history holds one of `units` (or that are one), with what the deepest stands for."""
        if not units:
            return
        wanted = np.array(sorted(units), dtype=np.uint64)
        after = self._deepest(lambda table: _among(table[:, 1], wanted))
        before = self._deepest(lambda table: _among(table[:, 0], wanted))
        table, starts, asked = self._table(), _view(self._starts), _view(self._asked)
        for place, row in enumerate(rows.tolist()):
            turn = max(int(after[row]), int(before[row]))
            if turn >= 0:
                pair = table[starts[row] + turn]
                unit = int(pair[1]) if int(after[row]) == turn and int(pair[1]) in units else int(pair[0])
                yield place, units[unit]
            elif int(asked[row]) in units:
                yield place, units[int(asked[row])]


def _among(values: Hashes, wanted: Hashes) -> npt.NDArray[np.bool_]:
    """Which values are in the sorted `wanted`."""
    if not len(wanted):
        return np.zeros(len(values), dtype=np.bool_)
    at = np.minimum(np.searchsorted(wanted, values), len(wanted) - 1)
    found: npt.NDArray[np.bool_] = wanted[at] == values
    return found


def _short(text: str) -> int:
    return (
        int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        or 1
    )


def _view(column: array[int]) -> Any:
    """A column as NumPy sees it: hashes are unsigned, places signed."""
    return np.array(column, dtype=np.uint64 if column.typecode == "Q" else np.int64)


def _writing() -> AbstractContextManager[None]:
    return files.writing(
        "requests cannot be linked to conversations",
        hint="free some space, then run the command again",
    )


class LinkedSample(NamedTuple):
    """A sample in its group, whether it is known to be a step of a conversation, and when what it says was said last
    (microseconds since 1970)."""

    sample: Sample
    step: bool
    stated_at_us: int


def linked_samples(traces: Iterable[Trace], recipe: Recipe, dropped: Counter[str]) -> Iterator[LinkedSample]:
    """The samples that traces hold, in order; what holds none is counted in `dropped` by reason.

    All traces are read before the first sample comes. A session found by its messages has the id of its first question
    as its group, so that it stays where it was when it goes on. Raises `StorageError`.
    """
    spool, sessions, stated = SampleSpool(), SessionIndex(), array("Q")
    by_time, ids = recipe.group_by in PERIODS, list[str | None]()
    for trace in traces:
        try:
            sample = sample_of(trace, recipe)
            answer = recorded_answer(trace, sample)
        except msgspec.ValidationError:
            dropped["messages not as the chat API spells them"] += 1
            continue
        if sample.target is None:
            dropped["no answer"] += 1
            continue
        spool.append(sample)
        stated.append(max(0, int(stated_at(trace).timestamp() * 1e6)))
        chain = request_chain(sample.messages, answer)
        id = trace.conversation_id if by_time else sample.group
        if by_time:
            ids.append(id)
        sessions.add(chain, id=id, key=question_id(sample.messages), at=trace.at, tie=trace.id)
    leaders = sessions.links().leader
    if by_time:
        yield from _by_period(spool, _names(leaders.tolist(), ids), stated)
        return

    @lru_cache(maxsize=4096)
    def group_of(leader: int) -> str:
        return spool[leader].group or question_id(spool[leader].messages)

    conversations = recipe.group_by in (None, "conversation_id")
    for row in range(len(spool)):
        sample, leader = spool[row], int(leaders[row])
        if leader >= 0:
            yield LinkedSample(msgspec.structs.replace(sample, group=group_of(leader)), True, stated[row])
        else:
            yield LinkedSample(sample, conversations and sample.group is not None, stated[row])


def _names(leaders: list[int], ids: list[str | None]) -> list[str | int | None]:
    """What each record's conversation is called: its id, else the record that leads it; None for one by itself."""
    return [(ids[leader] or leader if leader >= 0 else ids[row]) for row, leader in enumerate(leaders)]


def _by_period(
    spool: SampleSpool, names: list[str | int | None], stated: Sequence[int]
) -> Iterator[LinkedSample]:
    """Samples in groups of their time: a conversation is in the period it began in, whole."""
    began: dict[str | int, str] = {}
    for row, name in enumerate(names):
        if name is not None:
            period = spool[row].group or ""
            began[name] = min(period, began.get(name, period))
    for row, name in enumerate(names):
        sample = spool[row]
        if name is not None:
            sample = msgspec.structs.replace(sample, group=began[name])
        yield LinkedSample(sample, name is not None, stated[row])
