"""Exact unconditional inference for paired binary scores: the guard, its critical value, exact power.

The score test's own error can exceed alpha by a little (0.0576 for 0.05 at a margin of 0.1 and 100 pairs
without wins). The guard takes the largest probability over the nuisance parameter, ordered by Tango's
statistic, so that the promote rule's error is at most alpha by construction.

Source: Hsueh, Liu & Chen 2001, Biometrics 57:478.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from freehold.stats.binary import Floats, noninferiority_z, tango_statistic, z_quantile

Ints = NDArray[np.int64]

GUARD_UP_TO_N = 2000
_FINE, _COARSE = 0.5, 2.0  # steps of the nuisance's grid, in units of 1 / sqrt(n), as `_END`
_END = 12.0
_PARTS = 8
_TIE = 1e-10  # statistics closer than this count as equal, which errs towards a larger p-value


class NonInferiority(NamedTuple):
    """Score statistic at -margin, its p-value, and the exact p-value (None above the guard's largest n)."""

    z_tango: float
    p_tango: float
    p_exact_unconditional: float | None


def region(
    n: int,
    difference: float,
    threshold: float,
    *,
    losses: Ints | None = None,
    between: tuple[Ints, Ints] | None = None,
) -> Ints:
    """For each number of losses 0..n the fewest wins with T(difference) >= threshold; n + 1 where none.

    Found by bisection over wins for all losses at once: T rises in wins. With `losses` (rising) only those are looked
    at, and the others pass with no number of wins; `between` are the regions of a lower and of a higher threshold.
    """
    rows = np.arange(n + 1) if losses is None else losses
    low = np.full(len(rows), -1) if between is None else between[0][rows] - 1
    most = n - rows + 1  # an impossible count stands for "none"
    high = most.copy() if between is None else np.minimum(between[1][rows], most)
    while (left := np.flatnonzero(high - low > 1)).size:
        middle = (low[left] + high[left]) // 2
        passes = tango_statistic(middle, rows[left], n, difference) >= threshold
        high[left] = np.where(passes, middle, high[left])
        low[left] = np.where(passes, low[left], middle)
    found = np.full(n + 1, n + 1, dtype=np.int64)
    found[rows] = np.where(high == most, n + 1, high)
    return found


def _losses_near(n: int, loss_rates: Floats) -> Ints:
    """The numbers of losses that carry all but about 1e-16 of the probability at these rates."""
    reach = 9 * np.sqrt(n * loss_rates * (1 - loss_rates)) + 25
    first, last = float((n * loss_rates - reach).min()), float((n * loss_rates + reach).max())
    return np.arange(max(0, math.floor(first)), min(n, math.ceil(last)) + 1)


def region_probability(fewest_wins: Ints, win_rate: Floats, loss_rate: Floats) -> Floats:
    """P(wins >= fewest_wins[losses]) under the trinomial with the given rates (arrays of one length).

    Sum over losses of Binomial(losses; n, loss_rate) times the binomial tail of the wins among the rest.
    """
    win_rate, loss_rate = np.atleast_1d(win_rate).astype(float), np.atleast_1d(loss_rate).astype(float)
    found = np.empty(loss_rate.shape)
    # All rates of a part are summed over as many losses as the widest of them: rates of like spread go together.
    by_spread = np.argsort(loss_rate * (1 - loss_rate), kind="stable")
    for part in np.array_split(by_spread, max(1, min(_PARTS, len(by_spread) // 8))):
        found[part] = _summed(fewest_wins, win_rate[part], loss_rate[part])
    return found


@lru_cache(maxsize=64)
def _log_choose(n: int) -> Floats:
    """Logarithms of n over 0 to n."""
    up_to = special.gammaln(np.arange(n + 1) + 1.0)
    return np.asarray(up_to[n] - up_to - up_to[::-1], dtype=float)


def _summed(fewest_wins: Ints, win_rate: Floats, loss_rate: Floats) -> Floats:
    n = len(fewest_wins) - 1
    spread = np.sqrt(n * loss_rate * (1 - loss_rate))
    width = int(min(n + 1, np.ceil(2 * (9 * spread.max() + 25))))
    first = np.clip(np.floor(n * loss_rate - width / 2), 0, n + 1 - width).astype(np.int64)
    losses = first[:, None] + np.arange(width)[None, :]  # the rest carries less than 1e-16
    p_loss = loss_rate[:, None]
    wins, rest = fewest_wins[losses], n - losses
    chosen = _log_choose(n)[losses]
    weight = np.exp(chosen + special.xlogy(losses, p_loss) + special.xlog1py(rest, -p_loss))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(p_loss < 1, np.minimum(win_rate[:, None] / (1 - p_loss), 1.0), 0.0)
    # P(Bin(rest, share) >= wins) = I_share(wins, rest - wins + 1); only where it can matter.
    needed = (wins >= 1) & (wins <= rest) & (weight > 1e-17)
    tail = np.where(wins == 0, 1.0, 0.0)
    shares = np.broadcast_to(share, losses.shape)[needed]
    wins = wins[needed]
    tail[needed] = special.betainc(wins, rest[needed] - wins + 1, shares)
    return np.asarray((weight * tail).sum(axis=1), dtype=float)


def _at(fewest_wins: Ints, difference: float, angles: Floats) -> Floats:
    """The region's probability at `difference` for nuisances: the rarer side's rate is sin(angle)^2 (1 - gap) / 2."""
    return region_probability(fewest_wins, *_rates(difference, angles))


def _rates(difference: float, angles: Floats) -> tuple[Floats, Floats]:
    """Rates of wins and of losses. From angle 0 (the rarer side never) to pi / 2 (each pair is discordant)."""
    gap = abs(difference)
    rarer = np.sin(angles) ** 2 * (1 - gap) / 2
    return (rarer, rarer + gap) if difference <= 0 else (rarer + gap, rarer)


class _Supremum(NamedTuple):
    value: float
    nuisances: Floats  # where the probability is largest, as angles


def _largest(fewest_wins: Ints, difference: float, *, matters_above: float = 0.0) -> _Supremum:
    """Supremum of the region's probability over the nuisance: a grid, then finer around the best points.

    As angles the binomial's spread is the same everywhere, 1 / (2 sqrt(n)). At both ends, where few pairs are
    discordant or few are not, the probability rises and falls within a few of these; in between it hardly does. So the
    grid is fine at the ends, and elsewhere only where, by the bend of the curve, one of the three largest can lie. A
    supremum below `matters_above` is known to be that, and not by how much.
    """
    unit = 1 / math.sqrt(len(fewest_wins))
    ends = np.arange(0, min(_END, np.pi / 4 / unit), _FINE) * unit
    middle = np.linspace(
        ends[-1], np.pi / 2 - ends[-1], max(3, round((np.pi / 2 / unit - 2 * _END) / _COARSE))
    )
    angles = np.concatenate([ends, middle[1:-1], np.pi / 2 - ends[::-1]])
    values = _at(fewest_wins, difference, angles)
    for _ in range(2):
        third = max(float(np.sort(values)[-3]), matters_above)
        wide = np.flatnonzero(
            (_highest_between(angles, values) >= third) & (np.diff(angles) > _FINE * unit / 2)
        )
        if not wide.size:
            break
        gaps = np.diff(angles)[wide]
        more = (angles[wide][:, None] + gaps[:, None] * np.array([0.25, 0.5, 0.75])).ravel()
        angles, values = (
            np.concatenate([angles, more]),
            np.concatenate([values, _at(fewest_wins, difference, more)]),
        )
        order = np.argsort(angles)
        angles, values = angles[order], values[order]
    best = float(values.max())
    tops = np.argsort(values)[-3:]
    left, right = angles[np.maximum(tops - 1, 0)], angles[np.minimum(tops + 1, len(angles) - 1)]
    centres = angles[tops]
    if max(best, float(_highest_between(angles, values).max())) >= matters_above:
        for _ in range(2):
            fine = np.unique(np.linspace(left, right, 9).ravel().round(12))
            values = _at(fewest_wins, difference, fine)
            best = max(best, float(values.max()))
            tops = np.argsort(values)[-2:]
            centres = fine[tops]
            left, right = fine[np.maximum(tops - 1, 0)], fine[np.minimum(tops + 1, len(fine) - 1)]
    return _Supremum(min(best, 1.0), centres)


def _highest_between(points: Floats, values: Floats) -> Floats:
    """For each gap between neighbours how high the curve may be in it: a parabola rises above its ends by an eighth of
    its second derivative times the width squared; four times the largest one near is allowed."""
    slopes = np.diff(values) / np.diff(points)
    bend = np.abs(np.diff(slopes)) / ((points[2:] - points[:-2]) / 2)
    near = np.concatenate([bend[:1], bend, bend[-1:]])
    largest = np.maximum.reduce([near[:-1], near[1:], np.append(near[2:], 0), np.append(0, near[:-2])])
    return np.asarray(np.maximum(values[:-1], values[1:]) + largest * np.diff(points) ** 2 / 2, dtype=float)


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

    # Bisect on the worst nuisances known so far; whenever the full search finds a worse one, add it. It usually is the
    # last one, where nearly all pairs are discordant and wins and losses even.
    high, hard = z, np.array([np.pi / 2])
    fewest = lowest = region(n, difference, z)
    while True:
        if _at(fewest, difference, hard).max() <= alpha:
            found = _largest(fewest, difference, matters_above=alpha)
            if found.value <= alpha:
                return high
            hard = np.concatenate([hard, found.nuisances])
        rows = _losses_near(n, _rates(difference, hard)[1])
        low, high = high, high + 0.1
        while _at(region(n, difference, high, losses=rows), difference, hard).max() > alpha:
            low, high = high, high + 2 * (high - z)
            if high > 40:
                return float("inf")
        highest = region(n, difference, high)
        while high - low > 1e-5:
            middle = (low + high) / 2
            fewest = region(n, difference, middle, losses=rows, between=(lowest, highest))
            if _at(fewest, difference, hard).max() > alpha:
                low = middle
            else:
                high = middle
        fewest = region(n, difference, high, between=(lowest, highest))


def promote_probability(
    n: int, win_rate: float, loss_rate: float, margin: float, alpha: float = 0.025, *, guard: bool = True
) -> float:
    """Probability that n pairs pass the promote rule's limits, by summing the trinomial over the region."""
    threshold = critical_value(n, -margin, alpha) if guard else z_quantile(alpha)
    return _probability(n, win_rate, loss_rate)(
        region(n, -margin, threshold, losses=_losses_near(n, np.array([loss_rate])))
    )


def promotes(
    n: int,
    win_rate: float,
    loss_rate: float,
    margin: float,
    alpha: float,
    power: float,
    *,
    guard: bool = True,
) -> bool:
    """Whether `promote_probability` is at least `power`, without the critical value: whether the highest threshold that
    still has this power is one whose error is at most alpha."""
    losses = _losses_near(n, np.array([loss_rate]))
    probability = _probability(n, win_rate, loss_rate)
    low = z_quantile(alpha)
    lowest = region(n, -margin, low, losses=losses)
    if probability(lowest) < power:
        return False
    if not guard or n > GUARD_UP_TO_N:
        return True
    high = low + 0.1
    while probability(highest := region(n, -margin, high, losses=losses)) >= power:
        low, lowest, high = high, highest, 2 * high
        if high > 40:
            break
    while high - low > 1e-5:
        middle = (low + high) / 2
        fewest = region(n, -margin, middle, losses=losses, between=(lowest, highest))
        if probability(fewest) >= power:
            low = middle
        else:
            high = middle
    fewest = region(n, -margin, low)
    if _at(fewest, -margin, np.array([np.pi / 2]))[0] > alpha:
        return False
    return _largest(fewest, -margin, matters_above=alpha).value <= alpha


def _probability(n: int, win_rate: float, loss_rate: float) -> Callable[[Ints], float]:
    """The probability of a region at one pair of rates."""
    rates = np.array([win_rate]), np.array([loss_rate])
    return lambda fewest: float(region_probability(fewest, *rates)[0])
