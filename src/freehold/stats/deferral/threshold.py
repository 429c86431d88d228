"""Which thresholds the selection split shows to be within the margin, and which the held-out samples will promote.

Learn then test (Angelopoulos, Bates, Candès, Jordan & Lei 2021, arXiv 2110.01052): each threshold is a hypothesis
"the mixture is worse than the incumbent by the margin or more". They are tested in an order that is fixed before a
score is seen, from the smallest share worth having to larger ones, each at alpha; at the first that is not rejected
the sequence ends. Then some threshold beyond the margin is let through in at most alpha of cases, however many there
are and whether or not the loss rises with the share.

Each test is the verdict's own for such data: Tango's score with the exact critical value for independent pairs of 0
and 1, cluster-robust t and Tango at the effective number of pairs for clusters, t with its expansion for skewness for
other scores. One thing is known here that a verdict does not know: only answered samples can differ, where the
incumbent answers the rest. What clusters can hide is therefore bounded by the answered part of them. With an upper
model in the incumbent's place all samples can.

A threshold that passes is worth the one look at held-out samples if that look probably says promote, as for
candidates (`stats.selection`): a chance of at least 80 %, with the noise of both splits. Of several, the one is taken
whose share times chance is largest: the share that can be expected to be proven. Where none has 80 %, the one with the
best chance goes on, from an even chance on: the look is worth that much, and its error is alpha all the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from freehold.late import np, special
from freehold.stats import exact
from freehold.stats.binary import Floats, tango_limits, tango_statistic, tango_variance, z_quantile
from freehold.stats.clustered import Codes, cluster_robust_mean, unseen_clump_weight
from freehold.stats.continuous import FEW_NONZERO, t_quantile
from freehold.stats.deferral.running import Running
from freehold.stats.power import rare_loss_limit
from freehold.stats.rules import STRICT
from freehold.stats.selection.choosing import LEAST_CHANCE, binary_variances, prospect

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bools: TypeAlias = "NDArray[np.bool_]"

EVEN_CHANCE = 0.5
"""Below it the look would more often be spent for nothing than not."""
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class MixtureTrial:
    """How a mixture is judged. `margin` as a share of the score's range, as all differences; `binary`: each score is
    at an end of the range. `clustered`: samples come in clusters. `held_out`: samples of the one look to come."""

    margin: float
    alpha: float
    held_out: int
    binary: bool
    clustered: bool


class Effects(NamedTuple):
    """Mean difference, its cluster-robust variance, and design effects: `seen`, allowing for `unseen` clumps, and the
    `largest` there can be."""

    mean: Floats
    variance: Floats
    seen: Floats
    unseen: Floats
    largest: Floats


def effects(sums: Running) -> Effects:
    """The clustered estimates of `stats.clustered` at every threshold, their clumps bounded by what is answered."""
    n, k = sums.n, sums.clusters
    mean = sums.total / n
    residual = sums.cluster_squares - 2 * mean * sums.cluster_products + mean**2 * sums.size_squares
    variance = k / max(k - 1, 1) * np.maximum(residual, 0.0) / n**2
    independent = np.maximum(sums.squares / n - mean**2, 0.0) / n
    largest = sums.differing_squares / sums.differing
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.where(independent > 0, np.clip(variance / independent, 1.0, largest), largest)
    unequal = sums.reached * sums.differing_squares / sums.differing**2 - 1
    weight = unseen_clump_weight(largest / seen, unequal)
    with np.errstate(divide="ignore", invalid="ignore"):
        pulled = (weight * largest + sums.moved * seen) / (weight + sums.moved)
    return Effects(mean, variance, seen, np.where(weight + sums.moved > 0, pulled, seen), largest)


def quantile_of(trial: MixtureTrial, clusters: int) -> float:
    """z, or t where samples come in clusters."""
    return t_quantile(trial.alpha, max(clusters - 1, 1)) if trial.clustered else z_quantile(trial.alpha)


def within_margin(sums: Running, trial: MixtureTrial) -> Bools:
    """Whether a drop as large as the margin is excluded at each threshold, tested by itself at alpha."""
    found = effects(sums)
    quantile = quantile_of(trial, sums.clusters)
    critical = quantile
    if trial.binary and not trial.clustered:
        critical = exact.critical_value(sums.n, -trial.margin, trial.alpha)

    def score(effect: Floats) -> Bools:
        counts = sums.wins / effect, sums.losses / effect, sums.n / effect
        return np.asarray(tango_statistic(*counts, -trial.margin) >= critical)

    passes = score(found.seen) & score(found.unseen)
    if not trial.binary:
        passes |= sums.moved >= FEW_NONZERO
    if trial.clustered or not trial.binary:
        passes &= _mean_limits(sums, trial, found)[0] > -trial.margin + STRICT
    return np.asarray(passes)


def limits(sums: Running, trial: MixtureTrial) -> tuple[Floats, Floats]:
    """Limits of the mixture's difference at each threshold, each at one-sided alpha by itself."""
    found = effects(sums)
    quantile = np.array(quantile_of(trial, sums.clusters))
    parts = [
        tango_limits(sums.wins / effect, sums.losses / effect, sums.n / effect, quantile)
        for effect in ((found.seen, found.unseen) if trial.clustered else (found.seen,))
    ]
    if not trial.binary:
        few = sums.moved < FEW_NONZERO
        parts = [(np.where(few, low, np.inf), np.where(few, high, -np.inf)) for low, high in parts]
    if trial.clustered or not trial.binary:
        parts.append(_mean_limits(sums, trial, found))
    low = np.maximum(np.min([part[0] for part in parts], axis=0), -1.0)
    return low, np.minimum(np.max([part[1] for part in parts], axis=0), 1.0)


def _mean_limits(sums: Running, trial: MixtureTrial, found: Effects) -> tuple[Floats, Floats]:
    """t limits; for scores between the ends the wider of these and their expansion (Hall 1992, section 3.3)."""
    t = t_quantile(trial.alpha, max(sums.clusters - 1, 1))
    spread = np.sqrt(found.variance)
    low, high = found.mean - t * spread, found.mean + t * spread
    if trial.binary:
        return low, high
    n = sums.n
    second = np.maximum(sums.squares / n - found.mean**2, _LEAST_VARIANCE)
    third = sums.cubes / n - 3 * found.mean * sums.squares / n + 2 * found.mean**3
    shift = third / second**1.5 * (2 * t * t + 1) / (6 * np.sqrt(n / found.largest)) * spread
    return np.minimum(low, low + shift), np.maximum(high, high + shift)


def chance_of_promote(sums: Running, trial: MixtureTrial) -> Floats:
    """Probability that the held-out samples promote the mixture, at each threshold, as far as these samples tell."""
    found = effects(sums)
    clusters = max(2, round(sums.clusters * trial.held_out / sums.n))
    if trial.binary:
        under_margin, seen = binary_variances(sums.wins, sums.losses, sums.n, trial.margin)
    else:
        spread = np.maximum((sums.squares - sums.n * found.mean**2) / max(sums.n - 1, 1), _LEAST_VARIANCE)
        signs = tango_variance(sums.wins, sums.losses, sums.n, -trial.margin)
        under_margin = seen = np.where(sums.moved < FEW_NONZERO, np.maximum(spread, signs), spread)
    return prospect(
        found.mean,
        (under_margin * found.unseen, seen * found.seen),
        sizes=(sums.n, trial.held_out),
        margin=trial.margin,
        quantile=quantile_of(trial, clusters),
        least=-math.inf
        if trial.binary
        else rare_loss_limit(trial.held_out / found.unseen, trial.margin, trial.alpha),
    ).chance


class Passing(NamedTuple):
    """For each threshold: tested and `within` the margin, and its `chance` of promote.

    `worth` orders what may be chosen: share times chance where the chance is 80 % or more, less than 0 where it is an
    even one at least, minus infinity where nothing may be chosen.
    """

    within: Bools
    chance: Floats
    worth: Floats


def passing(sums: Running, trial: MixtureTrial, first: int) -> Passing:
    """The fixed sequence from the threshold at place `first` on: what comes after a failure counts as failed."""
    within = within_margin(sums, trial)
    within[..., :first] = True  # not tested: nothing is chosen there
    within = np.logical_and.accumulate(within, axis=-1)
    within[..., :first] = False
    chance = chance_of_promote(sums, trial)
    worth = np.where(chance >= LEAST_CHANCE, sums.answered / sums.n * chance, chance - 1)
    return Passing(within, chance, np.where(within & (chance >= EVEN_CHANCE), worth, -np.inf))


def needed_samples(trial: MixtureTrial, clusters: int, largest_effect: float = 1.0) -> int:
    """About the fewest selection samples that could show the margin, if nothing at all were lost.

    `clusters` are those of the samples at hand, `largest_effect` their largest possible design effect.
    """
    quantile = quantile_of(trial, clusters)
    return math.floor(largest_effect * quantile**2 * (1 - trial.margin) / trial.margin) + 1


def beyond_random(differences: Floats, raw: Floats, codes: Codes | None) -> float:
    """One-sided p of "the signal tells nothing of the difference": the curve against the line of random splits.

    The area between the mixture's curve and the line of a random split of the same share is the covariance of
    difference and rank of the signal; it is tested once, by t, robust to clusters. Without a signal (NaN) a sample
    ranks last. 1 where there is nothing to test.
    """
    d = np.asarray(differences, dtype=float)
    if len(d) < 2:
        return 1.0
    known = np.where(np.isnan(raw), -np.inf, raw)
    _, at, ties = np.unique(known, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[at]
    products = (ranks - ranks.mean()) * (d - d.mean())
    units = np.arange(len(d)) if codes is None else codes
    if int(units.max()) == 0:
        return 1.0
    mean = cluster_robust_mean(units, products)
    return float(special.stdtr(mean.df, -mean.estimate / mean.se)) if mean.se > 0 else 1.0
