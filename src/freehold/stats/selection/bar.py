"""Which share of the selection items a candidate must have right to pass, told before it is served."""

from __future__ import annotations

from freehold.late import np
from freehold.stats.binary import z_quantile
from freehold.stats.rules import MIN_PAIRS_PROMOTE
from freehold.stats.selection.choosing import SelectionRule, binary_variances, prospect


def sufficing_share(rule: SelectionRule, *, incumbent: float, items: int) -> float | None:
    """The least share of `items` that passes whatever the candidate has right next to the incumbent, whose share is
    given: as if the two were never wrong on one item, which scatters most. None where not even all of them pass.

    `items` and the rule's held-out ones are independent units, each right or wrong.
    """
    if not items or rule.held_out < MIN_PAIRS_PROMOTE:
        return None
    decision = rule.decision
    right = np.arange(items + 1)
    theirs = round(incumbent * items)
    wins, losses = np.minimum(right, items - theirs), np.minimum(items - right, theirs)
    found = prospect(
        (right - theirs) / items,
        binary_variances(wins, losses, items, decision.margin),
        sizes=(items, rule.held_out),
        margin=decision.margin,
        quantile=z_quantile(decision.alpha),
    )
    passing = np.flatnonzero(found.chance >= rule.least_chance)
    return float(passing[0] / items) if len(passing) else None
