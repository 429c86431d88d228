"""What stands next to a comparison's limits: what this n could see, how many items are needed, warnings.

*Held-out items* prove, *training samples* teach. A sentence that asks for more says of which; held-out items are asked
for only where their number is what stands in the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from freehold.late import np
from freehold.stats import power as planner
from freehold.stats import rules
from freehold.stats.binary import z_quantile
from freehold.stats.inference import Inference
from freehold.stats.pairs import ScoredPairs, Unscored
from freehold.stats.rules import DecisionRule
from freehold.types.evaluation import SliceResult

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

WAYS_OUT: dict[str, str] = {
    "gone_items_could_hide_harm": "Look at all items that were looked at before, or at none of them.",
    "removed_items_could_hide_harm": "Hold out items that no evaluation has looked at: the removed ones stay away.",
    "unscored_pairs_could_hide_harm": "Score the unscored items: others beside them leave them as they are.",
    "noise_could_explain_it": "Ask the incumbent again (freehold freeze --repeats 2), or import right answers: then "
    "both models are compared alike.",
    "slice_harm": "Look at the losses in the harmed slice; training samples like them may mend it.",
    "judge_uncalibrated": "Label some items yourself (freehold label): a number of items does not calibrate a judge.",
    "judge_inconsistent": "Take another judge or a clearer rubric: this one says nothing sure of any number of items.",
    "cluster_dominates": "Hold out items of other clusters: more of the largest one count little.",
    "repeated_look": "Items that no evaluation has looked at lift that; more beside these do not.",
    "after_mixtures": "Look at the mixtures (freehold report).",
    "margin_not_below_incumbent": "Choose a margin well below the incumbent's score.",
}
"""What to do about each obstacle that more held-out items leave where it is."""


class Outlook(NamedTuple):
    """What this n could see and what would settle it, in held-out items. None: cannot be computed or will not help."""

    smallest_detectable: float | None = None
    needed_n: int | None = None
    needed_n_if_as_seen: int | None = None
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
            discordant / design_effect, 0, n / design_effect, alpha=rule.alpha, power=_POWER
        )
    else:
        unit = 1.0
        sd = float(np.sort(d).std(ddof=1))
        plan = partial(_continuous_n, sd, rule, design_effect)
        z = z_quantile(rule.alpha) + z_quantile(1 - _POWER)
        detectable = z * sd * math.sqrt(design_effect / n)
    margin, estimate = rule.margin / unit, float(d.mean()) / unit

    def enough(true: float) -> int | None:
        wanted = plan(true)
        return None if wanted is None else max(wanted, rules.MIN_PAIRS_PROMOTE)

    equal = enough(0.0)
    as_seen = enough(estimate) if estimate < 0 else equal
    slightly = enough(-margin / 4)
    needed = equal if decision.outcome == "promote" else None
    if decision.outcome == "hold" and SETTLED_BY_ITEMS.issuperset(decision.reasons) and estimate > -margin:
        worse = "measurably_worse_margin_not_excluded" in decision.reasons
        needed = equal if equal is not None and equal > n and not worse else as_seen
        if needed is not None and needed <= n:
            needed = None
    ceiling = clone = None
    if self_noise is not None:
        noise, options = min(max(self_noise, 0.0), 1.0), {"margin": rule.unit_margin, "alpha": rule.alpha}
        clone = planner.noninferiority_n_normal(discordance=noise, power=_POWER, **options)
        ceiling = planner.power_ceiling(max(2, round(n / design_effect)), self_noise=noise, **options)
    return Outlook(min(detectable, rule.reach), needed, as_seen, slightly, ceiling, clone)


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
    z = z_quantile(rule.alpha) + z_quantile(1 - _POWER)
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


def error_ratio(rate: float | None, rule: DecisionRule) -> float | None:
    """How many times more errors the margin allows: ``(1 - p + margin) / (1 - p)``; None without errors."""
    if rate is None:
        return None
    errors = (rule.hi - rate) / rule.reach
    return None if errors <= 0 else (errors + rule.unit_margin) / errors


def notes(
    pairs: ScoredPairs,
    rule: DecisionRule,
    inference: Inference,
    decision: rules.Decision,
    outlook: Outlook,
    slices: Sequence[SliceResult],
) -> tuple[str, ...]:
    """Sentences a reader needs next to the numbers, the most important first."""
    reason = f"{rules.REASONS[decision.reason].capitalize()}."
    if pairs.n == 0:
        nothing = "No number can be computed: give scores for both models on the same items."
        return (*_imbalance(pairs.unscored), reason, nothing)
    small = sum(part.note is not None for part in slices)
    return (
        *_imbalance(pairs.unscored),
        reason,
        *_correction(pairs, inference),
        *_limits(pairs, rule, inference, decision, outlook),
        *_units(pairs, inference),
        *_scale(pairs, rule),
        *_noise(pairs, outlook),
        *(
            [f"{small} slices are too small to test; the absence of a flag on them does not prove safety."]
            if small
            else ()
        ),
    )


def _imbalance(unscored: Unscored) -> Iterator[str]:
    p = unscored.imbalance_p
    if p < 0.01:
        yield (
            f"Unscored items fall unevenly on the two sides ({unscored.candidate_only} candidate only, "
            f"{unscored.incumbent_only} incumbent only, p = {p:.2g}): "
            "missing scores depend on the model."
        )


def _limits(
    pairs: ScoredPairs, rule: DecisionRule, inference: Inference, decision: rules.Decision, outlook: Outlook
) -> Iterator[str]:
    unscored = pairs.unscored.total
    if unscored:
        yield (
            f"{unscored} of {pairs.n + unscored} pairs are unscored. The interval is over the others; for a promote "
            "each of them counts as lost."
        )
    if inference.lower is None:
        yield "All items belong to one cluster: there is one independent unit and no interval."
    elif decision.outcome == "hold" and pairs.difference is not None and inference.as_judged is None:
        yield from _settling(outlook, decision, pairs.n, pairs.difference, rule.margin)


def _correction(pairs: ScoredPairs, inference: Inference) -> Iterator[str]:
    if inference.as_judged is None or pairs.difference is None:
        return
    low, high = inference.as_judged
    yield (
        f"As judged, before human labels corrected it: incumbent {pairs.incumbent_mean:.4f}, candidate "
        f"{pairs.candidate_mean:.4f}, difference {pairs.difference:+.4f} [{low:+.4f}, {high:+.4f}]."
    )
    if (
        inference.upper is not None
        and inference.lower is not None
        and (high < inference.lower or inference.upper < low)
    ):
        yield "Judge and people disagree by more than chance: read some of the pairs they see differently."


def _units(pairs: ScoredPairs, inference: Inference) -> Iterator[str]:
    if inference.clusters is not None:
        yield f"{pairs.n} pairs in {inference.clusters} clusters: the clusters are the independent units."
        if inference.naive is not None:
            yield (
                f"Treating the items as independent would give [{inference.naive[0]:+.4f}, "
                f"{inference.naive[1]:+.4f}] instead of [{inference.lower:+.4f}, {inference.upper:+.4f}]."
            )
    elif pairs.declared_codes is None:
        yield "Items treated as independent: no grouping was declared."


def _scale(pairs: ScoredPairs, rule: DecisionRule) -> Iterator[str]:
    mean = pairs.incumbent_mean
    if not pairs.binary:
        yield "Scores are not binary: the mean is what is compared."
        return
    ratio = error_ratio(mean, rule)
    if mean is not None and ratio is not None and ratio > 2:
        yield (
            f"The margin allows {ratio:.1f} times the incumbent's errors "
            f"({(rule.hi - mean) / rule.reach:.2%} now)."
        )
    if mean is not None and mean >= rule.hi:
        yield (
            "The incumbent is right on every item. If its own answers are the reference, compare with a "
            "second run of the incumbent instead, or every candidate looks worse."
        )


def _noise(pairs: ScoredPairs, outlook: Outlook) -> Iterator[str]:
    if outlook.clone_n is not None and outlook.power_ceiling is not None and pairs.n < outlook.clone_n:
        yield (
            f"The incumbent could hardly pass against itself: its noise alone needs {outlook.clone_n} pairs; "
            f"at {pairs.n} a perfect clone would be promoted {outlook.power_ceiling:.0%} of the time."
        )


def _settling(
    outlook: Outlook, decision: rules.Decision, n: int, difference: float, margin: float
) -> Iterator[str]:
    """The way on from a hold: one of other measures, other training, or more items."""
    others = [WAYS_OUT[reason] for reason in decision.reasons if reason in WAYS_OUT]
    if others:
        yield from others
        return
    if difference <= -margin:
        yield (
            "The estimate is below minus the margin: more held-out items will probably not help. "
            "Better or more training samples may, or another base model."
        )
        return
    if outlook.needed_n is None:
        return
    worse = "measurably_worse_margin_not_excluded" in decision.reasons
    equal = not worse and (outlook.needed_n != outlook.needed_n_if_as_seen or difference >= 0)
    truth = "as good as the incumbent" if equal else "as far behind as seen"
    yield (
        f"About {outlook.needed_n:,} held-out items ({outlook.needed_n - n:,} more) would settle it with 80% power "
        f"if the candidate is {truth}. They are for the proof; training samples do not count."
    )
    slightly = outlook.needed_n_if_slightly_worse
    if equal and slightly is not None and slightly > n:
        yield f"If it is worse by a quarter of the margin: about {slightly:,} held-out items."
