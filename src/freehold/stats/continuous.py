"""Paired bounded or continuous scores: intervals and tests on the differences d = candidate - incumbent.

Each function looks at the values of d as a set, so that the order of the items changes nothing, and treats
the two models alike, so that exchanging them mirrors the interval exactly.

Covered: independent differences in a declared range. Not covered: clusters (`clustered`), pairs whose
scores are all at the ends of the range (`binary`).

Sources: Hall 1992, The Bootstrap and Edgeworth Expansion (studentised bootstrap and its expansion); Waudby-Smith &
Ramdas 2024, JRSS-B 86:1 (bounded means by betting).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from freehold.late import np, special
from freehold.stats.binary import Floats, tango_limits, z_quantile
from freehold.stats.exact import crossing
from freehold.stats.sequential import predictable_bets

RESAMPLES = 2999
EXPANSION_ABOVE_N = 50_000  # the bootstrap's own large-sample expansion takes over
_BATCH_CELLS = 4_000_000
_FEW_VALUES = 24
_MAX_DROPPED = 0.01
FEW_NONZERO = 10
BOOTSTRAP_FROM_N = 30
_SAME = 1e-9  # losses whose sizes are closer than this are of one size


class TInterval(NamedTuple):
    """Mean of d with its t limits; `p_noninferiority` is for H0: mean <= -margin."""

    estimate: float
    se: float
    lower: float
    upper: float
    p_noninferiority: float


class MeanLimits(NamedTuple):
    """The limits that count, the p-value that agrees with the lower one, and what went into them."""

    lower: float | None
    upper: float | None
    p_noninferiority: float | None
    method: str
    parts: dict[str, tuple[float, float]]


def paired_t_ci(d: Floats, *, alpha: float = 0.025, margin: float = 0.0) -> TInterval:
    """Student's t interval for the mean of d (at least 2 values).

    Without variance the interval is a point and must not be used; `continuous_limits` guards that.
    """
    d = np.sort(np.asarray(d, dtype=float))  # one order of summation, whatever the order of the items
    n = len(d)
    mean, se = float(d.mean()), float(d.std(ddof=1) / math.sqrt(n))
    half = t_quantile(alpha, n - 1) * se
    if se > 0:
        p = float(special.stdtr(n - 1, -(mean + margin) / se))
    else:
        p = 0.0 if mean > -margin else 1.0
    return TInterval(mean, se, mean - half, mean + half, p)


def studentised_limits(
    d: Floats, *, alpha: float = 0.025, seed: int | np.random.Generator = 0
) -> tuple[float, float] | None:
    """Studentised (bootstrap-t) limits of the mean of d; None where more than 1 % of resamples have no variance."""
    d, mirrored = _canonical(np.asarray(d, dtype=float))
    n, mean = len(d), float(d.mean())
    centred = d - mean
    m2 = float((centred**2).sum())
    if m2 <= 0 or d[0] == d[-1]:
        return None
    means, sds = _resample(centred, np.random.default_rng(seed))
    usable = sds > 1e-12 * math.sqrt(m2)
    if 1 - float(usable.mean()) > _MAX_DROPPED:
        return None
    se = math.sqrt(m2 / (n - 1) / n)
    t = means[usable] / (sds[usable] / math.sqrt(n))
    upper_t, lower_t = np.quantile(t, [1 - alpha, alpha])
    low, high = mean - float(upper_t) * se, mean - float(lower_t) * se
    return (-high, -low) if mirrored else (low, high)


def _canonical(d: Floats) -> tuple[Floats, bool]:
    """d sorted, or -d sorted, whichever has the larger first difference: the same for both models' views."""
    plain, mirror = np.sort(d), np.sort(-d)
    differs = np.flatnonzero(plain != mirror)
    if len(differs) and plain[differs[0]] < mirror[differs[0]]:
        return mirror, True
    return plain, False


def _resample(d: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Means and standard deviations (ddof 1) of samples drawn with replacement from d."""
    n, resamples = len(d), RESAMPLES
    values, counts = np.unique(d, return_counts=True)
    if len(values) <= _FEW_VALUES:  # many ties: draw how often each value occurs instead of which items
        drawn = rng.multinomial(n, counts / n, size=resamples).astype(float)
        sums, squares = drawn @ values, drawn @ values**2
    else:
        sums, squares = np.empty(resamples), np.empty(resamples)
        rows = max(1, _BATCH_CELLS // n)
        kind = np.uint16 if n <= 65_536 else np.uint32
        for start in range(0, resamples, rows):
            stop = min(start + rows, resamples)
            picked = d[rng.integers(0, n, size=(stop - start, n), dtype=kind)]
            sums[start:stop] = picked.sum(axis=1)
            squares[start:stop] = np.einsum("ij,ij->i", picked, picked)
    means = sums / n
    return means, np.sqrt(np.maximum(squares - n * means**2, 0) / (n - 1))


def expansion_limits(d: Floats, *, alpha: float = 0.025) -> tuple[float, float]:
    """First-order expansion of the studentised bootstrap (Hall 1992, section 3.3): t limits with skewness."""
    d = np.sort(np.asarray(d, dtype=float))
    n, mean, sd = len(d), float(d.mean()), float(d.std(ddof=1))
    skewness = float((((d - mean) / sd) ** 3).mean())
    t = t_quantile(alpha, n - 1)
    shift = skewness * (2 * t * t + 1) / (6 * math.sqrt(n))
    return mean - (t - shift) * sd / math.sqrt(n), mean + (t + shift) * sd / math.sqrt(n)


def bounded_mean_limits(
    d: Floats, *, reach: float, alpha: float = 0.025, seed: int = 0
) -> tuple[float, float]:
    """Limits for the mean of d in [-reach, reach] by betting, at fixed n; valid for any distribution.

    The items are bet on in a random order that does not depend on their values.
    """
    d, mirrored = _canonical(np.asarray(d, dtype=float))
    shuffled = np.random.default_rng(seed).permutation(d)
    x = (shuffled + reach) / (2 * reach)
    lower = _betting_lower(x, alpha)
    upper = 1 - _betting_lower(1 - x, alpha)
    low, high = lower * 2 * reach - reach, upper * 2 * reach - reach
    return (-high, -low) if mirrored else (low, high)


def _betting_lower(x: Floats, alpha: float) -> float:
    """The smallest mean in [0, 1] at which a gambler against "mean <= m" has not yet reached 1/alpha."""
    rich = math.log(1 / alpha)
    bets = predictable_bets(x, rich)

    def reached(m: float) -> bool:  # every factor falls in m, so the wealth does
        return float(np.log1p(np.minimum(bets, 0.5 / m) * (x - m)).sum()) >= rich

    return crossing(reached, 0.0, 1.0, 1e-15)[0]


def no_variance_limits(
    value: float, n: float, *, lo: float, hi: float, quantile: float
) -> tuple[float, float]:
    """Limits when all n differences equal `value`: never a point.

    For 0 it is ``R (-+ z^2 / (n + z^2))``, the score interval with the unseen mass at -R or R (R = hi - lo);
    any other value moves by the same share of its way to the end of the range.
    """
    reach = hi - lo
    share = quantile**2 / (n + quantile**2)
    return value - (reach + value) * share, value + (reach - value) * share


def rare_loss_p(d: Floats, *, margin: float, reach: float, effect: float = 1.0) -> float:
    """Exact p of "large losses are so frequent that, with the other differences as seen, the mean is -margin".

    Limits from a mean and its spread know nothing of losses too rare to be seen: at a rate of 3 %, one sample of 60
    items in six has no answer in a wrong form. For losses of the whole range, and for each size from half of it on that
    was seen, the rate that takes the mean to -margin is `(rest + margin) / (rest + size)`, with `rest` the mean of the
    smaller ones; p is the binomial probability of as few such losses as there are. The largest p counts. `effect` is
    the design effect of clusters.
    """
    d = np.sort(np.asarray(d, dtype=float))
    n = len(d)
    seen = -d[d <= -reach / 2]
    sizes = np.unique(np.append(seen, reach))
    counts = np.searchsorted(d, -sizes + _SAME, side="right")
    if counts.max(initial=0) == n:
        return 1.0
    rest = (d.sum() - np.concatenate([[0.0], np.cumsum(d)])[counts]) / (n - counts)
    if (rest <= -margin).any():
        return 1.0
    rates = np.clip((rest + margin) / (rest + sizes), 0.0, 1.0)
    return float(special.betainc((n - counts) / effect, counts / effect + 1, 1 - rates).max())


def continuous_limits(
    d: Floats,
    *,
    margin: float,
    alpha: float = 0.025,
    lo: float = 0.0,
    hi: float = 1.0,
    seed: int = 0,
) -> MeanLimits:
    """The limits that count for independent differences, by the rule for small, skewed and tied data.

    n >= 30: the wider of t and studentised bootstrap on each side. 10 <= n < 30: the wider of t and the
    bounded-mean limit. Fewer: t, for display. No variance or fewer than 10 differences other than 0: also
    the score interval on their signs, each counted at full range.
    """
    d = np.asarray(d, dtype=float)
    n, reach = len(d), hi - lo
    parts: dict[str, tuple[float, float]] = {}
    if n == 0:
        return MeanLimits(None, None, None, "none", parts)
    if d.min() == d.max():
        limits = no_variance_limits(float(d[0]), n, lo=lo, hi=hi, quantile=z_quantile(alpha))
        parts["no_variance"] = limits
        return MeanLimits(*limits, None, "no variance, score limit", parts)
    t = paired_t_ci(d, alpha=alpha, margin=margin)
    parts["t"] = (t.lower, t.upper)
    method = "t"
    if n >= BOOTSTRAP_FROM_N:
        if n > EXPANSION_ABOVE_N:
            parts["expansion"] = expansion_limits(d, alpha=alpha)
            method = "t and skewness-corrected t"
        else:
            found = studentised_limits(d, alpha=alpha, seed=seed)
            if found is not None:
                parts["studentised"] = found
                method = "t and studentised bootstrap"
            else:
                parts["bounded_mean"] = bounded_mean_limits(d, reach=reach, alpha=alpha, seed=seed)
                method = "t and bounded mean"
    elif n >= FEW_NONZERO:
        parts["bounded_mean"] = bounded_mean_limits(d, reach=reach, alpha=alpha, seed=seed)
        method = "t and bounded mean"
    if np.count_nonzero(d) < FEW_NONZERO:
        low, high = tango_limits(int((d > 0).sum()), int((d < 0).sum()), n, z_quantile(alpha))
        parts["few_nonzero"] = (low * reach, high * reach)
        method += ", score limit on signs"
    return MeanLimits(
        max(-reach, min(low for low, _ in parts.values())),
        min(reach, max(high for _, high in parts.values())),
        t.p_noninferiority,
        method,
        parts,
    )


def t_quantile(alpha: float, df: float) -> float:
    """The upper `alpha` quantile of Student's t with `df` degrees of freedom."""
    return float(special.stdtrit(df, 1 - alpha))
