"""Successive halving: all candidates on few items, the better half on twice as many, the last few on all.

A candidate stops for one of two reasons. *Hopeless*: it is shown to be worse than the incumbent by more than the margin
(its upper limit lies below -margin), with a small error that the steps share; no number of further items would save it.
*Outrun*: more candidates are left than the step lets go on, and others have a better chance.

Stopping costs nothing of the proof's error: it uses selection items only. Source of the scheme: Karnin, Koren & Somekh
2013, ICML (sequential halving); Jamieson & Talwalkar 2016, AISTATS.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from freehold.errors import UsageError
from freehold.stats.binary import Floats
from freehold.stats.clustered import Codes
from freehold.stats.rules import STRICT, DecisionRule
from freehold.stats.selection.choosing import SelectionRule, TriedCandidate, choose, limits

FEWEST_ITEMS = 30
"""Items of a first step: below that limits are too wide to stop anyone."""
FEW_CANDIDATES = 3
"""Among so few none is outrun; hopeless ones stop all the same."""
WRONG_STOP = 0.01
"""Probability, over all steps, that a candidate within the margin is called hopeless."""


class HalvingStep(NamedTuple):
    """Candidates are asked the first `items` of the selection split, those of earlier steps included, in an order fixed
    beforehand; after it at most `keep` go on."""

    items: int
    keep: int


def halving_plan(items: int, candidates: int) -> tuple[HalvingStep, ...]:
    """The steps for `candidates` and the selection's `items`; the last has all items and keeps one.

    Two or three candidates: an early step at a quarter of the items, after which only hopeless ones stop. More: as many
    halvings as leave two for the last step. A first step has at least 30 items, so few items have fewer steps.

    Raises `UsageError` without items or candidates.
    """
    if items < 1 or candidates < 1:
        raise UsageError(f"{candidates} candidates on {items} items: expected one of each at least")
    if candidates <= FEW_CANDIDATES:
        early = items // 4
        first = (HalvingStep(early, candidates),) if candidates > 1 and early >= FEWEST_ITEMS else ()
        return (*first, HalvingStep(items, 1))
    steps = [HalvingStep(items, 1)]
    wanted = max(1, math.ceil(math.log2(candidates)) - 1)
    for back in range(1, wanted + 1):
        size = items // 2**back
        if size < FEWEST_ITEMS:
            break
        steps.append(HalvingStep(size, max(2, math.ceil(candidates / 2 ** (wanted + 1 - back)))))
    return tuple(reversed(steps))


def hopeless(
    differences: Floats, decision: DecisionRule, *, codes: Codes | None = None, error: float = WRONG_STOP
) -> bool:
    """Whether a candidate is shown to be worse than the incumbent by more than the margin.

    `differences` are candidate minus incumbent so far, NaN where unscored. A candidate that is worse by the margin or
    less is called hopeless with a probability of at most `error` (one-sided); divide it by the number of steps.
    """
    tried = TriedCandidate(name="", differences=differences, codes=codes)
    if not len(tried.d):
        return False
    upper = limits(tried, replace(decision, alpha=error)).upper
    return upper is not None and upper < -decision.margin - STRICT


def surviving(
    tried: Sequence[TriedCandidate], rule: SelectionRule, step: HalvingStep, *, steps: int = 1
) -> dict[str, str | None]:
    """For each candidate after a step: None where it goes on, else why it stops. `steps` share the error of stopping a
    good one. One candidate at least goes on."""
    error = WRONG_STOP / steps
    # Rows come by cost, which settles ties.
    rows = sorted(choose(tried, rule).rows, key=lambda row: -(row.chance or 0.0))
    ranked = [row.name for row in rows]
    stops: dict[str, str | None] = dict.fromkeys((one.name for one in tried), None)
    for one in tried:
        if hopeless(one.differences, rule.decision, codes=one.codes, error=error):
            stops[one.name] = f"stopped after {len(one.d):,} items: shown to be worse by more than the margin"
    if all(stops.values()):
        stops[ranked[0]] = None
    left = [name for name in ranked if stops[name] is None]
    for name in left[step.keep :]:
        stops[name] = f"stopped after {step.items:,} items: {step.keep} others did better"
    return stops
