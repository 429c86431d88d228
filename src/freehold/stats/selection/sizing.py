"""How many items selection is worth: enough to tell a good candidate from one that is worse by the margin."""

from __future__ import annotations

import math

from freehold.errors import UsageError
from freehold.stats.power import noninferiority_n_normal

TOLD_APART = 0.9
"""Probability with which a candidate as good as the incumbent comes out above one that is worse by the margin, and
that one below: 90 % each way. It is about as many as the proof needs; half as many cost 5 points of the moves that
succeed, twice as many gain 3."""
LARGEST_SHARE = 0.2
"""Of what is not held out: the rest is for training."""
FEWEST_ITEMS = 30


def selection_size(
    not_held_out: int, margin: float, *, discordance: float = 0.05, design_effect: float = 1.0
) -> int:
    """Items to choose candidates by, of those that are not held out.

    ``(2 z_0.9)^2 psi deff / margin^2``, at most a fifth of `not_held_out` and at least 30, or half of them
    below 60. `margin` is a share of the scale, `discordance` psi the share of items that exactly one of
    two models gets right. Raises `UsageError` for impossible values.
    """
    if not_held_out < 0 or not 0 < margin < 1 or not 0 <= discordance <= 1 or design_effect < 1:
        raise UsageError(
            f"{not_held_out} items, margin {margin:g}, discordance {discordance:g}, design effect {design_effect:g}: "
            "expected at least 0, between 0 and 1, from 0 to 1, at least 1"
        )
    wanted = noninferiority_n_normal(
        discordance=discordance, margin=margin, alpha=1 - TOLD_APART, power=TOLD_APART
    )
    most = max(min(FEWEST_ITEMS, not_held_out // 2), math.floor(not_held_out * LARGEST_SHARE))
    return min(max(math.ceil(wanted * design_effect), FEWEST_ITEMS), most)
