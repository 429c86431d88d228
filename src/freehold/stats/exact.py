"""Exact unconditional inference for paired binary scores: the guard, its critical value, exact power.

The score test's own error can exceed alpha by a little (0.0576 for 0.05 at a margin of 0.1 and 100 pairs
without wins). The guard takes the largest probability over the nuisance parameter, ordered by Tango's
statistic, so that the promote rule's error is at most alpha by construction.

Source: Hsueh, Liu & Chen 2001, Biometrics 57:478.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from freehold.stats.binary import Floats, noninferiority_z, tango_statistic, z_quantile

Ints = NDArray[np.int64]

GUARD_UP_TO_N = 2000
_NUISANCE_POINTS = 400
_TIE = 1e-10  # statistics closer than this count as equal, which errs towards a larger p-value


class NonInferiority(NamedTuple):
    """Score statistic at -margin, its p-value, and the exact p-value (None above the guard's largest n)."""

    z_tango: float
    p_tango: float
    p_exact_unconditional: float | None


def region(n: int, difference: float, threshold: float) -> Ints:
    """For each number of losses 0..n the fewest wins with T(difference) >= threshold; n + 1 where none.

    Found by bisection over wins for all losses at once: T rises in wins.
    """
    losses = np.arange(n + 1)
    low = np.full(n + 1, -1)
    high = n - losses + 1  # an impossible count stands for "none"
    for _ in range(int(n + 2).bit_length() + 1):
        open_ = high - low > 1
        if not open_.any():
            break
        middle = np.where(open_, (low + high) // 2, np.maximum(low, 0))
        passes = tango_statistic(np.minimum(middle, n - losses), losses, n, difference) >= threshold
        high = np.where(open_ & passes, middle, high)
        low = np.where(open_ & ~passes, middle, low)
    return np.where(high > n - losses, n + 1, high).astype(np.int64)


def region_probability(fewest_wins: Ints, win_rate: Floats, loss_rate: Floats) -> Floats:
    """P(wins >= fewest_wins[losses]) under the trinomial with the given rates (arrays of one length).

    Sum over losses of Binomial(losses; n, loss_rate) times the binomial tail of the wins among the rest.
    """
    n = len(fewest_wins) - 1
    win_rate, loss_rate = np.atleast_1d(win_rate).astype(float), np.atleast_1d(loss_rate).astype(float)
    spread = np.sqrt(n * loss_rate * (1 - loss_rate))
    width = int(min(n + 1, np.ceil(2 * (9 * spread.max() + 25))))
    first = np.clip(np.floor(n * loss_rate - width / 2), 0, n + 1 - width).astype(np.int64)
    losses = first[:, None] + np.arange(width)[None, :]  # the rest carries less than 1e-16
    p_loss = loss_rate[:, None]
    log_choose = special.gammaln(n + 1) - special.gammaln(losses + 1) - special.gammaln(n - losses + 1)
    weight = np.exp(log_choose + special.xlogy(losses, p_loss) + special.xlog1py(n - losses, -p_loss))
    wins, rest = fewest_wins[losses], n - losses
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(p_loss < 1, np.minimum(win_rate[:, None] / (1 - p_loss), 1.0), 0.0)
    possible = (wins >= 1) & (wins <= rest)
    tail = np.zeros(losses.shape)
    np.copyto(tail, 1.0, where=wins == 0)
    # P(Bin(rest, share) >= wins) = I_share(wins, rest - wins + 1); only where it can matter.
    needed = possible & (weight > 1e-18)
    shares = np.broadcast_to(share, losses.shape)[needed]
    tail[needed] = special.betainc(wins[needed], rest[needed] - wins[needed] + 1, shares)
    return np.asarray((weight * tail).sum(axis=1), dtype=float)


class _Supremum(NamedTuple):
    value: float
    nuisances: Floats  # where the probability is largest, on the square-root scale


def _at(fewest_wins: Ints, difference: float, roots: Floats) -> Floats:
    """The region's probability at `difference` for nuisances (the rarer side's rate) root^2 (1 - gap) / 2."""
    gap = abs(difference)
    rarer = roots * roots * (1 - gap) / 2
    wins, losses = (rarer, rarer + gap) if difference <= 0 else (rarer + gap, rarer)
    return region_probability(fewest_wins, wins, losses)


def _largest(fewest_wins: Ints, difference: float) -> _Supremum:
    """Supremum of the region's probability over the nuisance: a grid, then finer around the best points."""
    roots = np.linspace(0, 1, _NUISANCE_POINTS + 1)  # squared: denser near 0, where it usually lies
    values = _at(fewest_wins, difference, roots)
    best, step = float(values.max()), roots[1]
    centres = roots[np.argsort(values)[-3:]]
    for _ in range(2):
        fine = np.clip((centres[:, None] + np.linspace(-step, step, 17)[None, :]).ravel(), 0, 1)
        values = _at(fewest_wins, difference, fine)
        best = max(best, float(values.max()))
        centres, step = fine[np.argsort(values)[-2:]], step / 8
    return _Supremum(min(best, 1.0), centres)


@lru_cache(maxsize=4096)
def exact_p(wins: int, losses: int, n: int, difference: float) -> float:
    """Exact p of H0: true difference <= `difference`: the supremum over the nuisance of P(T >= T_obs)."""
    observed = float(tango_statistic(wins, losses, n, difference))
    return _largest(region(n, difference, observed - _TIE), difference).value


def p_promote(wins: int, losses: int, n: int, margin: float) -> float:
    """Exact p-value of H0: difference <= -margin."""
    return exact_p(wins, losses, n, -margin)


def p_reject(wins: int, losses: int, n: int, margin: float) -> float:
    """Exact p-value of H0: difference >= -margin, by exchanging the two models."""
    return exact_p(losses, wins, n, margin)


def noninferiority_test(
    wins: int, losses: int, n: int, margin: float, *, guard_up_to_n: int = GUARD_UP_TO_N
) -> NonInferiority:
    """Tango's non-inferiority test with the exact guard."""
    z = noninferiority_z(wins, losses, n, margin)
    exact = p_promote(wins, losses, n, margin) if n <= guard_up_to_n else None
    return NonInferiority(z, float(special.ndtr(-z)), exact)


@lru_cache(maxsize=1024)
def critical_value(n: int, difference: float, alpha: float, *, guard_up_to_n: int = GUARD_UP_TO_N) -> float:
    """The smallest threshold t >= z_alpha for which T(difference) >= t has error at most alpha.

    The exact p-value falls in T, so the rule "score limit passes and exact p <= alpha" is T >= this value.
    Infinite where no outcome passes.
    """
    z = z_quantile(alpha)
    if n > guard_up_to_n:
        return z

    found = _largest(region(n, difference, z), difference)
    if found.value <= alpha:
        return z
    # Bisect on the worst nuisances known so far; whenever the full search finds a worse one, add it.
    high, hard = z, found.nuisances
    while found.value > alpha:
        low, high = high, high + 0.1
        while _at(region(n, difference, high), difference, hard).max() > alpha:
            low, high = high, high + 2 * (high - z)
            if high > 40:
                return float("inf")
        while high - low > 1e-5:
            middle = (low + high) / 2
            if _at(region(n, difference, middle), difference, hard).max() > alpha:
                low = middle
            else:
                high = middle
        found = _largest(region(n, difference, high), difference)
        hard = np.concatenate([hard, found.nuisances])
    return high


def promote_probability(
    n: int, win_rate: float, loss_rate: float, margin: float, alpha: float = 0.025, *, guard: bool = True
) -> float:
    """Probability that n pairs pass the promote rule's limits, by summing the trinomial over the region."""
    threshold = critical_value(n, -margin, alpha) if guard else z_quantile(alpha)
    fewest = region(n, -margin, threshold)
    return float(region_probability(fewest, np.array([win_rate]), np.array([loss_rate]))[0])
