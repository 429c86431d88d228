"""What a number of items could show, and how many would settle what they leave open: a plan from the pairs at hand."""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, NamedTuple

from freehold.late import np
from freehold.stats import power as planner
from freehold.stats import rules
from freehold.stats.pairs import ScoredPairs
from freehold.stats.rules import DecisionRule

_MAX_NEEDED = 10_000_000
_POWER = 0.8  # of the plans; the notes say 80 %

SETTLED_BY_ITEMS = frozenset(
    {
        "interval_spans_margin",
        "measurably_worse_margin_not_excluded",
        "too_few_pairs",
        "exact_test_not_passed",
        "rare_losses_could_hide_harm",
        "no_scored_pairs",
    }
)
"""Obstacles that more held-out items remove."""


class Outlook(NamedTuple):
    """What this n could see and what would settle it, in held-out items. None: cannot be computed or will not help.

    The fields are those of `PairedResult`.
    """

    smallest_detectable: float | None = None
    needed_n: int | None = None
    needed_n_assumes: Literal["equal", "as_seen"] | None = None
    needed_n_if_slightly_worse: int | None = None
    power_ceiling: float | None = None
    clone_n: int | None = None


def outlook(
    pairs: ScoredPairs,
    rule: DecisionRule,
    *,
    design_effect: float,
    self_noise: float | None,
    decision: rules.Decision,
) -> Outlook:
    """Plan from the pairs at hand as a pilot.

    The discordance is its upper 80 % Clopper-Pearson limit (the standard deviation as seen, where scores
    are not binary), the assumed truth is "equal". When as many pairs as that are there already, or the candidate is
    measurably worse, the difference as seen is assumed instead. Nothing is planned where it lies below -margin, or
    where something else than the number of items stands in the way.
    """
    d, n = pairs.d, pairs.n
    if n < 2:
        return Outlook()
    discordant = int(np.count_nonzero(d))
    if d.min() == d.max() and not pairs.binary:
        discordant = 0  # all differ by the same amount: nothing varied, which is not certainty either
    if pairs.binary or discordant == 0:
        unit = rule.reach
        psi = planner.discordance_upper(discordant, n)
        plan = partial(_binary_n, psi, rule, design_effect)
        detectable = unit * planner.smallest_detectable(
            discordant / design_effect, n / design_effect, alpha=rule.alpha, power=_POWER
        )
    else:
        unit = 1.0
        sd = float(np.sort(d).std(ddof=1))
        plan = partial(_continuous_n, sd, rule, design_effect)
        detectable = planner.z_sum(rule.alpha, _POWER) * sd * math.sqrt(design_effect / n)
    estimate, margin = float(d.mean()) / unit, rule.margin / unit

    def enough(true: float) -> int | None:
        wanted = plan(true)
        return None if wanted is None else max(wanted, rules.MIN_PAIRS_PROMOTE)

    equal = enough(0.0)
    found = Outlook(min(detectable, rule.reach))
    if decision.outcome == "promote":
        found = found._replace(needed_n=equal, needed_n_assumes="equal")
    elif decision.outcome == "hold" and SETTLED_BY_ITEMS.issuperset(decision.reasons) and estimate > -margin:
        worse = "measurably_worse_margin_not_excluded" in decision.reasons
        if equal is not None and equal > n and not worse:
            slightly = enough(-margin / 4)
            found = found._replace(
                needed_n=equal, needed_n_assumes="equal", needed_n_if_slightly_worse=slightly
            )
        elif estimate < 0 and (as_seen := enough(estimate)) is not None and as_seen > n:
            found = found._replace(needed_n=as_seen, needed_n_assumes="as_seen")
    if self_noise is None:
        return found
    noise, options = min(max(self_noise, 0.0), 1.0), {"margin": rule.unit_margin, "alpha": rule.alpha}
    return found._replace(
        clone_n=planner.noninferiority_n_normal(discordance=noise, power=_POWER, **options),
        power_ceiling=planner.power_at(max(2, round(n / design_effect)), discordance=self_noise, **options),
    )


def _binary_n(psi: float, rule: DecisionRule, design_effect: float, true: float) -> int | None:
    """Pairs needed at discordance `psi` if the true difference, as a share of the range, is `true`."""
    if true <= -rule.unit_margin or abs(true) > psi:
        return None
    normal = planner.noninferiority_n_normal(
        discordance=psi, margin=rule.unit_margin, true_difference=true, alpha=rule.alpha, power=_POWER
    )
    if normal > _MAX_NEEDED:
        return None
    return planner.noninferiority_n_binary(
        discordance=psi,
        margin=rule.unit_margin,
        true_difference=true,
        alpha=rule.alpha,
        power=_POWER,
        design_effect=design_effect,
        guard=False,
    ).n


def _continuous_n(sd: float, rule: DecisionRule, design_effect: float, true: float) -> int | None:
    """Pairs needed with this standard deviation if the true difference, on the score's scale, is `true`."""
    z = planner.z_sum(rule.alpha, _POWER)
    if true <= -rule.margin or (z * sd / (true + rule.margin)) ** 2 > _MAX_NEEDED:
        return None
    return planner.partial_credit_n(
        sd=sd / rule.reach,
        margin=rule.unit_margin,
        true_difference=true / rule.reach,
        alpha=rule.alpha,
        power=_POWER,
        design_effect=design_effect,
    ).n
