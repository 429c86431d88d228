"""Latency under continuous looking: quantile limits that hold at every time, without a density.

The Robbins beta-binomial mixture tests "P(X <= Q) = q"; the quantiles Q it has not excluded lie between two
order statistics. Timeouts are infinite latency, not missing values. One latency per user window, or say
"per request, users treated as independent".

Source: Robbins 1970, Annals of Mathematical Statistics 41:1397; Howard & Ramdas 2022, Bernoulli 28:1704.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from freehold.stats.binary import Floats


class Ranks(NamedTuple):
    """Accepted counts of values at or below the quantile, and the order statistics (from 1) they give.

    A rank is None where the quantile is not bounded on that side yet.
    """

    smallest_accepted_count: int
    largest_accepted_count: int
    lower_rank: int | None
    upper_rank: int | None


class QuantileLimits(NamedTuple):
    """Limits of a quantile; None means "not yet", never a number."""

    lower: float | None
    upper: float | None
    t: int


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


def quantile_limits(
    values: Sequence[float],
    quantile: float,
    *,
    alpha: float = 0.05,
    a: float | None = None,
    b: float | None = None,
) -> QuantileLimits:
    """Limits of a latency quantile, valid at every t; infinity stands for a timeout."""
    ordered = np.sort(np.asarray(values, dtype=float))
    if np.isnan(ordered).any():
        raise ValueError("a latency is NaN; a timeout is infinity")
    ranks = quantile_cs_ranks(len(ordered), quantile, alpha=alpha, a=a, b=b)

    def at(rank: int | None) -> float | None:
        return None if rank is None else float(ordered[rank - 1])

    return QuantileLimits(at(ranks.lower_rank), at(ranks.upper_rank), len(ordered))


def slower_than_control(
    candidate: Sequence[float],
    control: Sequence[float],
    *,
    quantile: float = 0.95,
    tolerance: float = 0.1,
    alpha: float = 0.01,
) -> bool | None:
    """Whether the candidate's quantile is shown to exceed (1 + tolerance) times the control's.

    Two sequences at alpha / 2 each; None while a limit is missing.
    """
    lower = quantile_limits(candidate, quantile, alpha=alpha / 2).lower
    upper = quantile_limits(control, quantile, alpha=alpha / 2).upper
    if lower is None or upper is None:
        return None
    return lower > (1 + tolerance) * upper
