"""Other routes to the numbers of `freehold.stats`, and readings of published examples that the product has no use for.

Sources: Newcombe 1998, Statistics in Medicine 17:2635 (method 10); Waudby-Smith & Ramdas 2024, JRSS-B 86:1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from freehold.stats.binary import Estimate, Floats, tango_ci, wilson_limits
from freehold.stats.clustered import MIN_CLUSTERS_PROMOTE, MIN_CLUSTERS_REJECT, ClusteredLimits, Codes
from freehold.stats.power import smallest_detectable
from freehold.stats.rules import Decision, DecisionRule, Evidence, decide
from freehold.stats.sequential import predictable_bets


def newcombe_ci(both: float, wins: float, losses: float, neither: float, alpha: float = 0.025) -> Estimate:
    """Newcombe's square-and-add interval (method 10), a cross-check of Tango's without root-finding."""
    n = both + wins + losses + neither
    if n <= 0:
        return Estimate(None, None, None)
    candidate, incumbent = (both + wins) / n, (both + losses) / n
    candidate_low, candidate_high = wilson_limits(both + wins, n, alpha)
    incumbent_low, incumbent_high = wilson_limits(both + losses, n, alpha)
    margins = (both + wins) * (losses + neither) * (both + losses) * (wins + neither)
    excess = both * neither - wins * losses
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    phi = excess / math.sqrt(margins) if margins > 0 else 0.0
    estimate = candidate - incumbent

    def side(own: float, other: float) -> float:
        return math.sqrt(max(own * own - 2 * phi * own * other + other * other, 0.0))

    return Estimate(
        estimate,
        estimate - side(candidate - candidate_low, incumbent_high - incumbent),
        estimate + side(candidate_high - candidate, incumbent - incumbent_low),
    )


def clustered_verdict(
    limits: ClusteredLimits,
    rule: DecisionRule,
    *,
    min_clusters_promote: int = MIN_CLUSTERS_PROMOTE,
    min_clusters_reject: int = MIN_CLUSTERS_REJECT,
) -> Decision:
    """Verdict for clustered binary pairs from their limits."""
    return decide(
        Evidence(
            n=limits.mean.n,
            rule=rule,
            lower=limits.lower,
            upper=limits.upper,
            enough_to_promote=limits.mean.clusters >= min_clusters_promote,
            enough_to_reject=limits.mean.clusters >= min_clusters_reject,
        )
    )


def cluster_bootstrap_means(codes: Codes, d: Floats, *, resamples: int = 9999, seed: int = 0) -> Floats:
    """Item-weighted means of resamples of whole clusters, for estimands other than the mean's limits."""
    sizes = np.bincount(codes).astype(float)
    keep = sizes > 0
    sums, sizes = np.bincount(codes, weights=d)[keep], sizes[keep]
    picked = np.random.default_rng(seed).integers(0, len(sizes), size=(resamples, len(sizes)))
    return np.asarray(sums[picked].sum(axis=1) / sizes[picked].sum(axis=1), dtype=float)


class Detectable(NamedTuple):
    """What a finished run could show: the margin provable if both are equal, and the margin excluded."""

    margin_provable_if_equal: float
    margin_actually_excluded: float | None


def posthoc_smallest_margin(
    wins: int, losses: int, n: int, *, alpha: float = 0.025, power: float = 0.8
) -> Detectable:
    """What a finished binary run could have seen, and the drop it excludes (minus Tango's lower limit)."""
    lower = tango_ci(wins, losses, n, alpha).lower
    return Detectable(
        smallest_detectable(wins, losses, n, alpha=alpha, power=power, floor=wins + losses == 0),
        None if lower is None else -lower,
    )


def hedged_betting_log_wealth(
    x: Sequence[float], m: float | Floats, *, alpha: float = 0.05, truncation: float = 0.5
) -> Floats:
    """log max(K+ / 2, K- / 2) after each observation, for H0: mean = m (a number or a grid of numbers).

    Shape: (t,) for a number, (grid, t) for a grid.
    """
    values = np.asarray(x, dtype=float)
    means = np.atleast_1d(np.asarray(m, dtype=float))[:, None]
    bets = predictable_bets(values, math.log(2 / alpha))[None, :]
    with np.errstate(divide="ignore"):
        up = np.minimum(bets, truncation / means)
        down = np.minimum(bets, truncation / (1 - means))
    above = np.cumsum(np.log1p(up * (values - means)), axis=1)
    below = np.cumsum(np.log1p(-down * (values - means)), axis=1)
    wealth = np.maximum(above, below) - math.log(2)
    return np.asarray(wealth[0] if np.ndim(m) == 0 else wealth, dtype=float)


def betting_cs(
    x: Sequence[float], *, alpha: float = 0.05, grid: int = 1000, running_intersection: bool = False
) -> tuple[Floats, Floats]:
    """Confidence sequence of a mean in [0, 1]: the grid points whose wealth is below 1 / alpha, per t.

    The intersection over time may only be taken if the mean is assumed constant.
    """
    points = (np.arange(grid) + 0.5) / grid
    alive = hedged_betting_log_wealth(x, points, alpha=alpha) < math.log(1 / alpha)
    step = 0.5 / grid
    empty = ~alive.any(axis=0)
    lower = np.where(empty, 0.0, points[alive.argmax(axis=0)] - step)
    upper = np.where(empty, 1.0, points[grid - 1 - alive[::-1].argmax(axis=0)] + step)
    if running_intersection:
        lower, upper = np.maximum.accumulate(lower), np.minimum.accumulate(upper)
    return np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
