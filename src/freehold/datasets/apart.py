"""New messages beside known ones: which are nearly the same as one of those. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from freehold.datasets import near
from freehold.datasets.asked import asked_context
from freehold.late import np
from freehold.types.dataset import Sample
from freehold.types.identity import question_id, words
from freehold.types.wording import Wordings

if TYPE_CHECKING:
    import numpy.typing as npt

_LOOKED_AT = 2000
"""This many known questions decide which pieces of text all have in common."""

Flags: TypeAlias = "npt.NDArray[np.bool_]"


class KnownQuestions:
    """Questions that others are compared with, signed once. `threshold` is a likeness as in `[curate]
    near_duplicates`; 0 compares only exactly."""

    def __init__(self, samples: Sequence[Sample], threshold: float) -> None:
        self._threshold = threshold
        self._ids = {question_id(one.messages) for one in samples}
        self._wordings = Wordings(words(one) for one in samples)
        texts = [asked_context(one) for one in samples]
        self._common = near.common_pieces(texts[:: max(1, len(texts) // _LOOKED_AT)])
        self._signed, self._there = near.signatures(
            (near.pieces(text, self._common) for text in texts), len(texts)
        )

    def repeated_by(self, new: Sequence[Sample]) -> Flags:
        """Of each new one, whether it is nearly the same as a known one."""
        exactly = np.array([question_id(one.messages) in self._ids for one in new], dtype=np.bool_)
        if not self._threshold or not len(new) or not len(self._signed):
            return exactly
        exactly |= np.array([bool(self._wordings.near(words(one))) for one in new], dtype=np.bool_)
        mine, here = self._sign(new)
        signed, there = np.concatenate([self._signed, mine]), np.concatenate([self._there, here])
        known = np.arange(len(signed)) < len(self._signed)
        pairs = near.near_pairs(signed, there, self._threshold, known)
        across = known[pairs.first] & ~known[pairs.second]
        exactly[pairs.second[across] - len(self._signed)] = True
        return exactly

    def _sign(self, new: Sequence[Sample]) -> tuple[near.Signatures, Flags]:
        return near.signatures((near.pieces(asked_context(one), self._common) for one in new), len(new))
