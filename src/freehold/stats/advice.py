"""What stands beside a comparison's limits: what this n could see, how many items are needed, warnings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from freehold.stats import missing, rules
from freehold.stats import power as planner
from freehold.stats.binary import Floats, z_quantile
from freehold.types.evaluation import SliceResult

MIN_CONSISTENCY = 0.7
MIN_HUMAN_LABELS = 50
_MAX_NEEDED = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What is known about the model judge that scored. A judge may promote only when it is calibrated.

    `human_labels` counts the items people labelled blindly, `calibrated_low` is the lower limit of the
    prediction-powered difference, `same_family` says that the judge is of the incumbent's own family.
    """

    human_labels: int = 0
    calibrated_low: float | None = None
    margin: float = 0.0
    consistency: float | None = None
    same_family: bool = False
    checks_agree: bool = True

    def objections(self) -> tuple[list[str], list[str]]:
        """Codes that veto a promote, and codes that allow neither promote nor reject."""
        calibrated = (
            self.human_labels >= MIN_HUMAN_LABELS
            and self.calibrated_low is not None
            and self.calibrated_low > -self.margin
            and self.checks_agree
        )
        vetoes = [] if calibrated else ["judge_uncalibrated"]
        blocks = []
        if self.consistency is not None and self.consistency < MIN_CONSISTENCY:
            blocks.append("judge_inconsistent")
        if self.same_family and self.human_labels < MIN_HUMAN_LABELS:
            blocks.append("judge_uncalibrated")
            vetoes = []
        return vetoes, blocks


class Outlook(NamedTuple):
    """What this n could see and what would settle it. None: cannot be computed or will not help."""

    smallest_detectable: float | None
    needed_n: int | None
    needed_n_if_as_seen: int | None
    needed_n_if_slightly_worse: int | None
    power_ceiling: float | None
    clone_n: int | None


def outlook(
    d: Floats,
    *,
    effect: float,
    binary: bool,
    margin: float,
    alpha: float,
    power: float,
    reach: float,
    self_noise: float | None,
    outcome: rules.Outcome,
) -> Outlook:
    """Plan from the pairs at hand as a pilot.

    The discordance is its upper 80 % Clopper-Pearson limit (the standard deviation as seen, where scores
    are not binary), the assumed truth is "equal". When as many pairs as that are there already, the
    difference as seen is assumed instead, if it lies above -margin.
    """
    n = len(d)
    if n < 2:
        return Outlook(None, None, None, None, None, None)
    z = z_quantile(alpha) + z_quantile(1 - power)
    discordant = int(np.count_nonzero(d))
    estimate = float(d.mean())
    if d.min() == d.max() and not binary:
        discordant = 0  # all differ by the same amount: nothing varied, which is not certainty either
    if binary or discordant == 0:
        psi = planner.discordance_upper(discordant, n)
        unit_margin, unit_estimate = margin / reach, estimate / reach

        def plan(true: float) -> int | None:
            if true <= -unit_margin or abs(true) > psi:
                return None
            if (
                planner.noninferiority_n_normal(
                    discordance=psi, margin=unit_margin, true_difference=true, alpha=alpha, power=power
                )
                > _MAX_NEEDED
            ):
                return None
            return planner.noninferiority_n_binary(
                discordance=psi,
                margin=unit_margin,
                true_difference=true,
                alpha=alpha,
                power=power,
                design_effect=effect,
                guard=False,
            ).n

        detectable = (
            planner.smallest_detectable(discordant / effect, 0, n / effect, alpha=alpha, power=power) * reach
        )
    else:
        sd = float(np.sort(d).std(ddof=1))
        unit_margin, unit_estimate = margin, estimate

        def plan(true: float) -> int | None:
            wanted = (z * sd / (true + unit_margin)) ** 2 if true > -unit_margin else math.inf
            if wanted > _MAX_NEEDED:
                return None
            return planner.noninferiority_n_continuous(
                sd=sd,
                margin=unit_margin,
                true_difference=true,
                alpha=alpha,
                power=power,
                design_effect=effect,
            ).n

        detectable = z * sd * math.sqrt(effect / n)
    detectable = min(detectable, reach)

    def enough(true: float) -> int | None:
        wanted = plan(true)
        return None if wanted is None else max(wanted, rules.MIN_PAIRS_PROMOTE)

    equal = enough(0.0)
    as_seen = enough(unit_estimate) if unit_estimate < 0 else equal
    slightly = enough(-unit_margin / 4)
    needed = equal if equal is not None and (outcome == "promote" or equal > n) else as_seen
    if outcome == "hold" and needed is not None and needed <= n:
        needed = None
    ceiling = clone = None
    if self_noise is not None:
        noise = min(max(self_noise, 0.0), 1.0)
        clone = planner.noninferiority_n_normal(
            discordance=noise, margin=margin / reach, alpha=alpha, power=power
        )
        ceiling = planner.power_ceiling(
            max(2, round(n / effect)), self_noise=noise, margin=margin / reach, alpha=alpha
        )
    return Outlook(detectable, needed, as_seen, slightly, ceiling, clone)


def error_ratio(rate: float | None, margin: float, lo: float, hi: float) -> float | None:
    """How many times more errors the margin allows: ``(1 - p + margin) / (1 - p)``; None without errors."""
    if rate is None:
        return None
    errors = (hi - rate) / (hi - lo)
    return None if errors <= 0 else (errors + margin / (hi - lo)) / errors


def notes(
    *,
    decision: rules.Decision,
    outlook: Outlook,
    unscored: missing.Unscored,
    n: int,
    clusters: int | None,
    declared_clusters: bool,
    difference: float | None,
    lower: float | None,
    upper: float | None,
    margin: float,
    incumbent_mean: float | None,
    lo: float,
    hi: float,
    binary: bool,
    sliced: Sequence[SliceResult],
    naive: tuple[float, float] | None,
    n_exact: bool,
) -> tuple[str, ...]:
    """Sentences a reader needs beside the numbers, the most important first."""
    said: list[str] = []
    imbalance = missing.imbalance_p(unscored)
    if imbalance < 0.01:
        said.append(
            f"Unscored items fall unevenly on the two sides ({unscored.candidate_only} candidate only, "
            f"{unscored.incumbent_only} incumbent only, p = {imbalance:.2g}): "
            "missing scores depend on the model."
        )
    said.append(f"{rules.REASONS[decision.reason].capitalize()}.")
    if n == 0:
        said.append("No number can be computed: give scores for both models on the same items.")
        return tuple(said)
    if unscored.total:
        said.append(
            f"{unscored.total} of {n + unscored.total} pairs are unscored; the interval is over the others, "
            "the worst case counts each of them as a loss."
        )
    if lower is None:
        said.append("All items belong to one cluster: there is one independent unit and no interval.")
    elif decision.outcome == "hold" and difference is not None:
        said += _settling(outlook, n, difference, margin)
    if clusters is not None:
        said.append(f"{n} pairs in {clusters} clusters: the clusters are the independent units.")
        if naive is not None and lower is not None and upper is not None:
            said.append(
                f"Treating the items as independent would give [{naive[0]:+.4f}, {naive[1]:+.4f}] "
                f"instead of [{lower:+.4f}, {upper:+.4f}]."
            )
    elif not declared_clusters:
        said.append("Items treated as independent: no grouping was declared.")
    ratio = error_ratio(incumbent_mean, margin, lo, hi) if binary else None
    if ratio is not None and ratio > 2:
        said.append(
            f"The margin allows {ratio:.1f} times the incumbent's errors "
            f"({(hi - (incumbent_mean or 0)) / (hi - lo):.2%} now)."
        )
    if binary and incumbent_mean is not None and incumbent_mean >= hi:
        said.append(
            "The incumbent is right on every item. If its own answers are the reference, compare with a "
            "second run of the incumbent instead, or every candidate looks worse."
        )
    if not binary:
        said.append("Scores are not binary: the mean is what is compared.")
    if outlook.clone_n is not None and outlook.power_ceiling is not None and n < outlook.clone_n:
        said.append(
            f"The incumbent could hardly pass against itself: its noise alone needs {outlook.clone_n} pairs; "
            f"at {n} a perfect clone would be promoted {outlook.power_ceiling:.0%} of the time."
        )
    small = sum(part.note is not None for part in sliced)
    if small:
        said.append(f"{small} slices are too small to test; no flag on them is no proof of safety.")
    return tuple(said)


def _settling(outlook: Outlook, n: int, difference: float, margin: float) -> list[str]:
    said = []
    if difference <= -margin:
        said.append("The estimate is below minus the margin: more items will probably not help.")
    if outlook.needed_n is not None and outlook.needed_n > n:
        equal = outlook.needed_n != outlook.needed_n_if_as_seen or difference >= 0
        truth = "as good as the incumbent" if equal else "as far behind as seen"
        said.append(
            f"About {outlook.needed_n} pairs ({outlook.needed_n - n} more) would settle it with 80% power "
            f"if the candidate is {truth}."
        )
    if outlook.needed_n_if_slightly_worse is not None and outlook.needed_n_if_slightly_worse > n:
        said.append(
            f"If it is worse by a quarter of the margin: about {outlook.needed_n_if_slightly_worse} pairs."
        )
    return said
