"""How one of several candidates was chosen: what each did on the selection split, and by which rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from freehold.types.evaluated import LatencySummary
from freehold.types.record import Record

CostBasis = Literal["measured_here", "price", "unknown"]
"""Where a cost is from: the speed measured here and the price of such a machine, or the endpoint's price."""


class SelectionResult(Record, frozen=True, kw_only=True):
    """What a candidate did on the selection split, the samples that choose among candidates and prove nothing.

    `n` of the split's `of` samples were asked. `difference` is the mean of paired differences to the incumbent's
    answers, with an interval at `level`, where it has any; otherwise `mean` alone is known. Scores are the task's.
    """

    n: int
    of: int
    mean: float | None
    incumbent_mean: float | None = None
    difference: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    level: float = 0.95
    latency: LatencySummary | None = None
    usd_per_1000: Decimal | None = None
    """Dollars for 1,000 requests like those of the split."""
    cost_basis: CostBasis = "unknown"
    cost_why: str = ""
    """What that rests on, in words."""
    stopped_early: bool = False
    """Not asked the rest of the split: it could no longer have been chosen."""


class Selection(Record, frozen=True, kw_only=True):
    """By which rule a candidate was chosen from several. `rule` was fixed before the first was asked."""

    rule: str
    stop: Literal["first", "all"]
    split_samples: int
    candidates: int
    tried: int
    chosen: str
    """The report's name of the candidate that was proven on held-out samples."""
    passes: bool
    """Whether its selection result sufficed; otherwise it was the best of those that did not."""
    why: str
    overlapping: bool = False
    """Whether intervals overlap, so that the order of candidates is not evidence."""
