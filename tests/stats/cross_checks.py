"""Other routes to the numbers of `freehold.stats`, and readings of published examples that the product has no use for.

Sources: Newcombe 1998, Statistics in Medicine 17:2635 (method 10); Connor 1987, Biometrics 43:207; Miettinen 1968,
Biometrics 24:339; Benjamini & Hochberg 1995, JRSS-B 57:289; Rogan & Gladen 1978, American Journal of Epidemiology
107:71; Lang & Reiczigel 2014, Preventive Veterinary Medicine 113:13; Waudby-Smith & Ramdas 2024, JRSS-B 86:1; Robbins
1970, Annals of Mathematical Statistics 41:1397; Howard & Ramdas 2022, Bernoulli 28:1704.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from freehold.errors import UsageError
from freehold.stats.binary import Estimate, Floats, tango_ci, wilson_limits, z_quantile
from freehold.stats.clustered import MIN_CLUSTERS_PROMOTE, MIN_CLUSTERS_REJECT, ClusteredLimits, Codes
from freehold.stats.drift import THRESHOLD, EDetector
from freehold.stats.judges import Ppi
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


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg's step-up adjustment: false discovery rate, for exploration."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return [float(value) for value in adjusted]


def superiority_n_binary(
    *, discordance: float, difference: float, alpha: float = 0.025, power: float = 0.8
) -> tuple[int, int]:
    """Pairs to show a difference with McNemar's test (one-sided `alpha`), by Connor and by Miettinen."""
    if not 0 < abs(difference) <= discordance <= 1:
        raise UsageError(f"a difference of {difference} is impossible at a discordance of {discordance}")
    z_a, z_b = z_quantile(alpha), z_quantile(1 - power)
    squared = difference**2
    connor = (z_a * math.sqrt(discordance) + z_b * math.sqrt(max(discordance - squared, 0))) ** 2 / squared
    miettinen = (
        z_a * discordance + z_b * math.sqrt(max(discordance**2 - squared * (3 + discordance) / 4, 0))
    ) ** 2 / (discordance * squared)
    return math.ceil(connor - 1e-9), math.ceil(miettinen - 1e-9)


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


def ppi_python_mean(
    human: Sequence[float],
    judge_on_human: Sequence[float],
    judge_on_rest: Sequence[float],
    *,
    alpha: float,
    lam: float | None = None,
) -> Ppi:
    """What ppi-python computes where `judges.ppi_mean` differs from it: normal quantile, population variances."""
    y, f, u = (np.asarray(values, dtype=float) for values in (human, judge_on_human, judge_on_rest))
    n = len(y)
    if lam is None:
        covariance = float(((y - y.mean()) * (f - f.mean())).sum()) / n
        lam = covariance / ((1 + n / len(u)) * float(np.concatenate([f, u]).var(ddof=1)))
        lam = min(max(lam, 0.0), 1.0)
    estimate = float((y - lam * (f - u.mean())).mean())
    se = math.sqrt(lam**2 * float(u.var()) / len(u) + float((y - lam * f).var()) / n)
    half = z_quantile(alpha) * se
    return Ppi(lam, estimate, estimate - half, estimate + half, se)


class RoganGladen(NamedTuple):
    """A rate corrected for the judge's sensitivity and specificity; None where that is undefined."""

    corrected: float | None
    lower: float | None
    upper: float | None


def rogan_gladen(
    apparent: float,
    sensitivity: float,
    specificity: float,
    *,
    n: int | None = None,
    n_sensitivity: int | None = None,
    n_specificity: int | None = None,
    alpha: float = 0.025,
) -> RoganGladen:
    """``(q + Sp - 1) / (Se + Sp - 1)`` clipped to [0, 1], limits by the delta method when all n are given.

    Se and Sp are per model: differential error is the point. Undefined when Se + Sp <= 1.1.
    """
    youden = sensitivity + specificity - 1
    if youden <= 0.1 + 1e-12:
        return RoganGladen(None, None, None)
    rate = min(max((apparent + specificity - 1) / youden, 0.0), 1.0)
    if n is None or n_sensitivity is None or n_specificity is None:
        return RoganGladen(rate, None, None)
    variance = (
        apparent * (1 - apparent) / n
        + rate**2 * sensitivity * (1 - sensitivity) / n_sensitivity
        + (1 - rate) ** 2 * specificity * (1 - specificity) / n_specificity
    ) / youden**2
    half = z_quantile(alpha) * math.sqrt(variance)
    return RoganGladen(rate, max(0.0, rate - half), min(1.0, rate + half))


class Detections(NamedTuple):
    """Both detectors over a whole sequence; alarms are the first period (from 1) at or above the threshold."""

    cusum: list[float]
    shiryaev_roberts: list[float]
    cusum_alarm: int | None
    sr_alarm: int | None


def e_detectors(e_values: Sequence[float], threshold: float = THRESHOLD) -> Detections:
    """Run both detectors over the e-values of consecutive periods."""
    state, cusum, sr = EDetector(), [], []
    for value in e_values:
        state = state.update(value)
        cusum.append(state.cusum)
        sr.append(state.shiryaev_roberts)

    def first(path: list[float]) -> int | None:
        return next((period for period, value in enumerate(path, 1) if value >= threshold), None)

    return Detections(cusum, sr, first(cusum), first(sr))


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


class Ranks(NamedTuple):
    """Accepted counts of values at or below the quantile, and the order statistics (from 1) they give.

    A rank is None where the quantile is not bounded on that side yet.
    """

    smallest_accepted_count: int
    largest_accepted_count: int
    lower_rank: int | None
    upper_rank: int | None


def _log_e(successes: Floats, t: float, p0: float, a: float, b: float) -> Floats:
    return np.asarray(
        special.betaln(a + successes, b + t - successes)
        - special.betaln(a, b)
        - special.xlogy(successes, p0)
        - special.xlog1py(t - successes, -p0),
        dtype=float,
    )


def beta_binomial_log_e(successes: float, t: float, p0: float, a: float, b: float) -> float:
    """log e-value against H0: p = p0 after `successes` of `t`, mixed over Beta(a, b)."""
    return float(_log_e(np.asarray(successes, dtype=float), t, p0, a, b))


def default_prior(quantile: float) -> tuple[float, float]:
    """Beta weights centred on the quantile, with the rarer side at 1."""
    rarer = min(quantile, 1 - quantile)
    return quantile / rarer, (1 - quantile) / rarer


def quantile_cs_ranks(
    t: int, quantile: float, *, alpha: float = 0.05, a: float | None = None, b: float | None = None
) -> Ranks:
    """The accepted counts after t values and the ranks of the limits."""
    prior = default_prior(quantile)
    a, b = prior[0] if a is None else a, prior[1] if b is None else b
    accepted = np.flatnonzero(_log_e(np.arange(t + 1.0), t, quantile, a, b) < math.log(1 / alpha))
    if not len(accepted):
        return Ranks(0, t, None, None)
    low, high = int(accepted[0]), int(accepted[-1])
    return Ranks(low, high, low if low > 0 else None, high + 1 if high < t else None)
