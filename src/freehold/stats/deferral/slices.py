"""What a mixture does to each slice: nothing may be harmed behind a good mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from freehold.late import np
from freehold.stats.binary import Floats
from freehold.stats.clustered import Codes
from freehold.stats.pairs import scored_pairs
from freehold.stats.rules import DecisionRule
from freehold.stats.slicing import compare_slices
from freehold.types.evaluation import SliceResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

Slices = Mapping[str, Sequence[str | None]]
"""Declared fields with their value per sample (None: in no slice)."""


def mixture_slices(
    differences: Floats,
    answered_here: NDArray[np.bool_],
    slices: Slices,
    rule: DecisionRule,
    codes: Codes | None = None,
) -> tuple[SliceResult, ...]:
    """The verdict's slice results of a mixture, worst first; `differences` are candidate minus incumbent score.

    Where the incumbent answers the difference is 0. Samples whose difference is NaN count where they are not
    answered here; where they are, they are left out.
    """
    d = np.where(answered_here, np.asarray(differences, dtype=float), 0.0)
    pairs = scored_pairs(np.maximum(-d, 0.0), np.maximum(d, 0.0), codes=codes, reach=rule.reach)
    return compare_slices(pairs, slices, rule)
