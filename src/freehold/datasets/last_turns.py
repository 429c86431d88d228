"""Whether the last turns of two steps are alike: their contexts being so does not make them the same question."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from freehold.datasets import near
from freehold.datasets.asked import TELLS, is_step, last_turn
from freehold.datasets.spool import SampleSpool
from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt


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
