"""`freehold power`: how many items are needed, or what a given number can show."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from freehold.errors import UsageError
from freehold.stats import power as planner
from freehold.stats.clustered import MOST_OF_A_UNIT
from freehold.types.evaluation import PowerPlan, PowerRow

LEAST_MARGIN = 1e-6


class PowerTarget(NamedTuple):
    """What a comparison is to show: a drop below `margin` at one-sided `alpha`, with probability `power`."""

    margin: float
    alpha: float = 0.025
    power: float = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerAssumptions:
    """What is assumed about scores that do not exist yet.

    Scores are binary unless `sd`, the standard deviation of the differences, is given. `pilot` is
    (discordant pairs, pairs): its upper 80 % limit is planned with. Without it and without a `discordance` each of
    five is planned with. Without `true_difference` "equal" and "worse by a quarter of the margin" are. `cluster_size`
    and the correlation `icc` within clusters multiply the number of items, of which at most five of a cluster count.
    """

    discordance: float | None = None
    pilot: tuple[int, int] | None = None
    true_difference: float | None = None
    incumbent_rate: float | None = None
    sd: float | None = None
    cluster_size: float = 1.0
    icc: float = 0.0

    @property
    def counted(self) -> float:
        """How many items of a cluster count."""
        return min(self.cluster_size, MOST_OF_A_UNIT)

    @property
    def design_effect(self) -> float:
        """Kish's ``1 + (size - 1) icc``, of those that count."""
        return 1 + (self.counted - 1) * self.icc

    @property
    def per_pair(self) -> float:
        """Items for what one independent pair shows."""
        return self.design_effect * self.cluster_size / self.counted

    def least(self, target: PowerTarget) -> int:
        """Items below which whole clusters, lost too rarely to be seen, could hide the margin."""
        if self.cluster_size == 1:
            return 0
        return math.ceil(planner.rare_loss_n(target.margin, target.alpha) * self.cluster_size)

    def pairs(self, n: int, target: PowerTarget) -> int:
        """Independent pairs that `n` items are worth; 0 where they are too few clusters."""
        return 0 if n < self.least(target) else math.floor(n / self.per_pair)

    @property
    def discordances(self) -> tuple[float, ...]:
        """The shares of discordant pairs that are planned with."""
        if self.discordance is not None:
            return (self.discordance,)
        if self.pilot is not None:
            return (planner.discordance_upper(*self.pilot),)
        return planner.PLANNING_DISCORDANCES

    def true_differences(self, margin: float) -> tuple[float, ...]:
        """The differences that are planned with."""
        return (0.0, -margin / 4) if self.true_difference is None else (self.true_difference,)

    def check(self) -> None:
        """Raise `UsageError` where they are impossible."""
        if self.cluster_size < 1 or not 0 <= self.icc <= 1:
            raise UsageError(
                f"cluster size {self.cluster_size:g} and correlation {self.icc:g}: expected >= 1 and 0 to 1"
            )
        if self.pilot is not None and not 0 <= self.pilot[0] <= self.pilot[1] != 0:
            raise UsageError(
                f"a pilot of {self.pilot[0]} discordant among {self.pilot[1]} pairs is impossible"
            )


NOTHING_ASSUMED = PowerAssumptions()


def plan(
    target: PowerTarget,
    assumptions: PowerAssumptions = NOTHING_ASSUMED,
    *,
    n: int | None = None,
    self_noise: float | None = None,
) -> PowerPlan:
    """Plan a comparison before anything is scored.

    With `n` each row also says the power that n has. Raises `UsageError` for impossible assumptions.
    """
    assumptions.check()
    if 0 < target.margin < LEAST_MARGIN:
        raise UsageError(
            f"margin is {target.margin:g}: below {LEAST_MARGIN:g} it takes millions of items without one difference",
            hint="0.02 is two points",
        )
    binary = assumptions.sd is None
    rows = tuple(_rows(target, assumptions, n))
    if not rows:
        raise _beyond(target.margin, assumptions)
    return PowerPlan(
        margin=target.margin,
        alpha=target.alpha,
        power=target.power,
        design_effect=assumptions.design_effect,
        n=n,
        zero_loss_n=max(
            math.ceil(planner.zero_loss_n(target.margin, target.alpha) * assumptions.per_pair),
            assumptions.least(target),
        )
        if binary
        else None,
        rows=rows,
        sentence=_sentence(target, assumptions, rows, n),
        notes=tuple(_notes(target, assumptions, n, self_noise)),
    )


def _beyond(margin: float, assumptions: PowerAssumptions) -> UsageError:
    """Why no discordance that is planned with allows the true difference that is assumed."""
    truth, most = assumptions.true_difference or 0.0, max(assumptions.discordances)
    if truth <= -margin:
        return UsageError(
            f"a candidate that is worse by {-truth:g} can't be shown to stay within {margin:g}",
            hint="assume a true difference above minus the margin",
        )
    if truth > 1:
        return UsageError(
            f"a true difference of {truth:g} is impossible: shares differ by 1 at most",
            hint="for scores that are not 0 or 1 state the standard deviation of the differences: --sd",
        )
    return UsageError(
        f"a true difference of {truth:g} needs a discordance of at least {truth:g}, and {most:.3g} is the most planned",
        hint="state it: --discordance, the share of items that exactly one of the two models gets right",
    )


def _sentence(
    target: PowerTarget, assumptions: PowerAssumptions, rows: Sequence[PowerRow], n: int | None
) -> str:
    """What the row that is closest to the usual discordance says, for a candidate as good as the incumbent."""
    row = min(
        rows,
        key=lambda one: (abs((one.discordance or 0) - planner.PLANNED_DISCORDANCE), abs(one.true_difference)),
    )
    truth = row.true_difference
    if not truth:
        candidate = "as good as the incumbent"
    else:
        candidate = f"{_points(abs(truth))} {'better' if truth > 0 else 'worse'} than the incumbent"
    if row.discordance is None:
        differ = f"its scores differ by a standard deviation of {assumptions.sd:g}"
    else:
        differ = f"the two differ on {100 * row.discordance:.2g}% of the items"
    shows = f"show that a candidate loses less than {_points(target.margin)}"
    if n is not None and row.power_at_n is not None:
        shown = (
            f"{n:,} held-out items {shows} with a probability of {row.power_at_n:.0%}, and {row.n:,} with one of "
            f"{target.power:.0%}"
        )
    else:
        shown = f"{row.n:,} held-out items {shows} with a probability of {target.power:.0%}"
    return f"{shown}, if it is {candidate} and {differ}."


def _points(share: float) -> str:
    return "1 point" if share == 0.01 else f"{100 * share:.3g} points"


def _rows(target: PowerTarget, assumptions: PowerAssumptions, n: int | None) -> Iterator[PowerRow]:
    """A row for each discordance (one for scores that are not binary) and true difference that is planned with."""
    margin, alpha, sd = target.margin, target.alpha, assumptions.sd
    pairs = None if n is None else assumptions.pairs(n, target)
    for discordance in (None,) if sd is not None else assumptions.discordances:
        for truth in assumptions.true_differences(margin):
            if discordance is not None and assumptions.discordance is None and abs(truth) > discordance:
                continue
            common = {"margin": margin, "true_difference": truth, "alpha": alpha}
            at_n = None if pairs is None else 0.0
            if discordance is None:
                assert sd is not None
                credit = planner.partial_credit_n(
                    sd=sd, **common, power=target.power, design_effect=assumptions.per_pair
                )
                needed, n_normal, power, exact = credit.n, None, credit.power_at_n, True
                if pairs is not None and pairs > 1:
                    at_n = planner.partial_credit_power(pairs, sd=sd, **common)
            else:
                counts = planner.noninferiority_n_binary(
                    discordance=discordance,
                    margin=margin,
                    true_difference=truth,
                    alpha=alpha,
                    power=target.power,
                    design_effect=assumptions.per_pair,
                    incumbent_rate=assumptions.incumbent_rate,
                )
                needed, n_normal, power, exact = counts.n, counts.n_normal, counts.power, counts.exact
                if pairs is not None and pairs > 0:
                    at_n = planner.power_at(pairs, discordance=discordance, **common)
            yield PowerRow(
                discordance=discordance,
                true_difference=truth,
                n=max(needed, assumptions.least(target)),
                n_normal=n_normal,
                power=power,
                exact=exact,
                power_at_n=at_n,
            )


def _notes(
    target: PowerTarget, assumptions: PowerAssumptions, n: int | None, self_noise: float | None
) -> Iterator[str]:
    if assumptions.cluster_size > 1:
        yield (
            f"Clusters multiply the number of items by {assumptions.per_pair:.2f}; below {assumptions.least(target):,} "
            "items whole clusters could be lost too rarely to be seen."
        )
    if assumptions.pilot is not None and assumptions.discordance is None:
        discordant, pairs = assumptions.pilot
        yield f"Planned with the upper 80% limit of the pilot's {discordant} of {pairs} pairs."
    if self_noise is None:
        return
    clone = planner.noninferiority_n_normal(
        discordance=self_noise, margin=target.margin, alpha=target.alpha, power=target.power
    )
    yield f"The incumbent needs {clone} pairs to pass against itself."
    # Two standard errors of a difference of 0 at the incumbent's own discordance.
    if n is not None and target.margin < (smallest := 2 * math.sqrt(self_noise / n)):
        yield (
            f"A margin below {smallest:.4f} is not provable with {n} pairs against the incumbent's own noise."
        )
