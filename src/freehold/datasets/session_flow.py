"""How many sessions pass through requests that are alike, and which request is of which. Pure.

Requests that nothing tells apart are one unit; a unit's parent is the unit that its history continues. A session is a
path from a root. One that was recorded k times and went on in c ways is min(k, c) sessions: each way on had its own
beginning, the last one before it in time. What goes on in more ways than it was recorded is a session that branched.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold.datasets import near
from freehold.datasets.messages import TELLS, is_step, last_turn
from freehold.datasets.sampling import SampleSpool
from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

Hashes: TypeAlias = "npt.NDArray[np.uint64]"
Rows: TypeAlias = "npt.NDArray[np.int64]"
Flags: TypeAlias = "npt.NDArray[np.bool_]"


REPEAT_MICROS = 120_000_000
"""The same opening again within two minutes is a client that tried again, or an application that logs twice."""


class Forest(NamedTuple):
    """Requests (`rows`), each with its unit, the unit it continues (0: none), its time in microseconds, the number of
    assistant turns before it, and whether it stands beyond the opening of a conversation."""

    rows: Rows
    unit: Hashes
    parent: Hashes
    at: Rows
    depth: Rows
    deep: Flags
    most_branches: int

    def units(self, session: Rows) -> dict[int, int]:
        """A place of each unit all of whose requests are of one session."""
        order = np.lexsort((session, self.unit))
        unit, of = self.unit[order], session[order]
        starts = np.flatnonzero(np.concatenate(([True], unit[1:] != unit[:-1])))
        ends = np.append(starts[1:], len(unit)) - 1
        whole = of[starts] == of[ends]
        return dict(zip(unit[starts[whole]].tolist(), order[starts[whole]].tolist(), strict=True))

    def is_session(self, places: Rows) -> bool:
        """Whether requests are more than one opening that was asked again."""
        return bool(self.deep[places].any()) or len(np.unique(self.unit[places])) > 1

    def by_session(
        self, session: Rows, keys: Hashes, wanted: Collection[int]
    ) -> Iterator[tuple[int, Rows, int]]:
        """Sessions of several requests and those `wanted`: name, places, and the place whose key names it.

        That is the first whose key no other session has, so that it stays the same when others begin alike.
        """
        shared = np.unique(np.stack([keys, session.astype(np.uint64)], axis=1), axis=0)
        known, counts = np.unique(shared[:, 0], return_counts=True)
        several = counts[np.searchsorted(known, keys)] > 1
        order = np.lexsort((keys, self.depth, several, session))
        of = session[order]
        starts = np.flatnonzero(np.concatenate(([True], of[1:] != of[:-1])))
        ends = np.append(starts[1:], len(of))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            name = int(of[start])
            if end - start > 1 or name in wanted:
                yield name, order[start:end], int(order[start])


def sessions_of(forest: Forest) -> Rows:
    """A session's number for each request of a forest."""
    return _Flow(forest).sessions()


class _Flow:
    """Sessions on their way down from roots: a unit hands its own on to those that continue it."""

    def __init__(self, forest: Forest) -> None:
        self._forest = forest
        units, first, self._unit_of, counts = np.unique(
            forest.unit, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.lexsort(
            (forest.at, self._unit_of)
        )  # stable: rows come sorted by what else tells them apart
        self._places = order
        self._begins = np.append(0, np.cumsum(counts)).tolist()
        self._parent = _parents(forest, units, first, counts).tolist()
        self._deep = forest.deep[first].tolist()
        self._counts: list[int] = counts.tolist()
        self._depth = forest.depth[first]
        self._children: dict[int, list[int]] = {}
        for unit, parent in enumerate(self._parent):
            if parent >= 0:
                self._children.setdefault(parent, []).append(unit)
        self._needed: dict[int, int] = {}
        self._session = np.full(len(forest.rows), -1, dtype=np.int64)
        self._free = 0

    def sessions(self) -> Rows:
        linked = np.array(
            sorted({*self._children, *(c for cs in self._children.values() for c in cs)}), dtype=np.int64
        )
        down = linked[np.argsort(self._depth[linked], kind="stable")].tolist()
        for unit in reversed(down):
            below = sum(self._needed[child] for child in self._children.get(unit, ()))
            self._needed[unit] = max(1, min(self._counts[unit], below))
        given: dict[int, list[int]] = {}
        for unit in down:
            self._begin(unit, given.pop(unit, None))
            if unit in self._children:
                given.update(self._hand_down(unit))
        alone = np.flatnonzero(self._session < 0)
        self._session[alone] = self._free + self._unit_of[alone]
        return self._session

    def _of(self, unit: int) -> Rows:
        """Places of a unit's requests, by time."""
        return self._places[self._begins[unit] : self._begins[unit + 1]]

    def _begin(self, unit: int, given: list[int] | None) -> None:
        """Put a unit's requests into the sessions it was handed. An opening's are each one of its own at first."""
        places = self._of(unit)
        if given is None:
            several = len(places) if not self._deep[unit] else 1
            given = list(range(self._free, self._free + several))
            self._free += several
        self._session[places] = np.resize(np.array(given, dtype=np.int64), len(places))

    def _hand_down(self, unit: int) -> dict[int, list[int]]:
        """Which sessions each child continues. Each begins with the last request before it that no other continues."""
        places, children = self._of(unit), self._children[unit]
        sessions = self._session[places].tolist()
        if len(set(sessions)) == 1:
            return dict.fromkeys(children, sessions[:1])
        at = self._forest.at
        times = at[places].tolist()
        wishes = sorted(
            (int(at[place]), child)
            for child in children
            for place in self._of(child)[: self._needed[child]].tolist()
        )
        free = [True] * len(places)
        given: dict[int, list[int]] = {child: [] for child in children}
        for time, child in wishes:
            before = bisect_right(times, time)
            choice = next((n for n in range(before - 1, -1, -1) if free[n]), None)
            if choice is None:
                choice = next((n for n in range(before, len(places)) if free[n]), max(0, before - 1))
            free[choice] = False
            if sessions[choice] not in given[child]:
                given[child].append(sessions[choice])
        if self._parent[unit] < 0:
            self._join_repeats(places, times, free)
        return given

    def _join_repeats(self, places: Rows, times: list[int], free: list[bool]) -> None:
        """An opening that nothing continues is a repeat of one nearby in time, else a session that ended there."""
        kept = [n for n in range(len(places)) if not free[n]]
        for n in range(len(places)):
            if free[n]:
                near = min(kept, key=lambda other: abs(times[other] - times[n]))
                if abs(times[near] - times[n]) <= REPEAT_MICROS:
                    self._session[places[n]] = self._session[places[near]]


def _parents(forest: Forest, units: Hashes, first: Rows, counts: Rows) -> Rows:
    """Places of the units' parents, −1 for none. Of an opening that many share nothing is a continuation."""
    wanted = forest.parent[first]
    at = np.minimum(np.searchsorted(units, wanted), len(units) - 1)
    parent = np.where((wanted != 0) & (units[at] == wanted), at, -1)
    children = np.bincount(parent[parent >= 0], minlength=len(units))
    common = ~forest.deep[first] & (children > forest.most_branches * counts)
    found: Rows = np.where((parent >= 0) & common[parent], -1, parent)
    return found


class _LastTurn(NamedTuple):
    step: bool
    pieces: near.Pieces | None
    """None where it is too short to tell."""


class LastTurns:
    """Compares rows of a spool that were found alike as a whole, a few at a time in memory."""

    def __init__(self, spool: SampleSpool, rows: npt.NDArray[np.int64], threshold: float) -> None:
        self._spool = spool
        self._rows = rows
        self._threshold = threshold
        self._read = lru_cache(maxsize=20_000)(self._looked)

    def alike(self, first: int, second: int) -> bool:
        """Whether two places of `rows` ask nearly the same in their last turns. True where neither is a step of a
        conversation, and where a last turn is too short to tell: then the context decides."""
        one, other = self._read(first), self._read(second)
        if not (one.step or other.step) or one.pieces is None or other.pieces is None:
            return True
        shared = len(np.intersect1d(one.pieces, other.pieces, assume_unique=True))
        return shared >= self._threshold * (len(one.pieces) + len(other.pieces) - shared)

    def _looked(self, place: int) -> _LastTurn:
        sample = self._spool[int(self._rows[place])]
        step, turn = is_step(sample), last_turn(sample)
        return _LastTurn(step, None if len(turn) < TELLS else near.pieces(turn))
