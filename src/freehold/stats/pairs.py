"""The pairs of one comparison that can be compared, as columns, with what is known about them as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from freehold.late import np
from freehold.stats.binary import Floats
from freehold.stats.clustered import Codes, dense_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Unscored(NamedTuple):
    """How many pairs lack a score, by side.

    An answer in the wrong form, a refusal or a timeout is a score of `lo`, not an unscored item. Only what no model
    caused is unscored: a grader that crashed, a lost connection, a missing label.
    """

    candidate_only: int
    incumbent_only: int
    both: int

    @property
    def total(self) -> int:
        return self.candidate_only + self.incumbent_only + self.both


@dataclass(frozen=True, kw_only=True)
class ScoredPairs:
    """Pairs with two scores, columns of length n, and how many items lack one.

    `d` is candidate minus incumbent. `codes` names each pair's cluster, None where the items themselves are
    the independent units; `declared_codes` are the codes of all items, as they were given. `scored` marks the
    pairs among all items. `binary` says that every score lies at an end of its range.
    """

    incumbent: Floats
    candidate: Floats
    d: Floats
    codes: Codes | None
    declared_codes: Codes | None
    scored: NDArray[np.bool_]
    unscored: Unscored
    binary: bool

    @property
    def n(self) -> int:
        return len(self.d)

    @cached_property
    def incumbent_mean(self) -> float | None:
        return mean_of(self.incumbent)

    @cached_property
    def candidate_mean(self) -> float | None:
        return mean_of(self.candidate)

    @cached_property
    def difference(self) -> float | None:
        """Mean of `d`; None without pairs."""
        return mean_of(self.d)


def scored_pairs(x: Floats, y: Floats, *, codes: Codes | None, reach: float) -> ScoredPairs:
    """The pairs of two score columns in which NaN stands for unscored; `reach` is the width of the scores' range."""
    has_x, has_y = ~np.isnan(x), ~np.isnan(y)
    scored = has_x & has_y
    incumbent, candidate = x[scored], y[scored]
    d = candidate - incumbent
    units = None if codes is None else dense_codes(codes[scored])
    if units is not None and len(units) and int(units.max()) + 1 == len(units):
        units = None  # every cluster holds one item: the items are the units
    return ScoredPairs(
        incumbent=incumbent,
        candidate=candidate,
        d=d,
        codes=units,
        declared_codes=codes,
        scored=scored,
        unscored=Unscored(
            candidate_only=int(np.count_nonzero(has_x & ~has_y)),
            incumbent_only=int(np.count_nonzero(~has_x & has_y)),
            both=int(np.count_nonzero(~has_x & ~has_y)),
        ),
        binary=bool(np.isin(d, (-reach, 0.0, reach)).all()),
    )


def mean_of(values: Floats) -> float | None:
    """The mean in one order of summation, whatever the order of the items."""
    return float(np.sort(values).mean()) if len(values) else None
