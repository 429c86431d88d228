"""Exact unconditional inference for paired binary scores: the guard, its critical value, exact power.

In plain Python, so that sample sizes are planned where no numerical library is installed.

The score test's own error can exceed alpha by a little (0.0576 for 0.05 at a margin of 0.1 and 100 pairs
without wins). The guard takes the largest probability over the nuisance parameter, ordered by Tango's
statistic, so that the promote rule's error is at most alpha by construction.

Sources: Hsueh, Liu & Chen 2001, Biometrics 57:478; Tango 1998, Statistics in Medicine 17:891 (the statistic).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

GUARD_UP_TO_N = 2000
_FINE, _COARSE = 0.5, 2.0  # steps of the nuisance's grid, in units of 1 / sqrt(n), as `_END`
_END = 12.0
_TIE = 1e-10  # statistics closer than this count as equal, which errs towards a larger p-value
_TINY = 1e-280
_NORMAL = NormalDist()


def z_quantile(alpha: float) -> float:
    """The upper `alpha` quantile of the standard normal distribution."""
    return _NORMAL.inv_cdf(1 - alpha)


def normal_cdf(z: float) -> float:
    """The standard normal distribution function, exact in both tails."""
    return math.erfc(-z / math.sqrt(2)) / 2


def crossing(holds: Callable[[float], bool], low: float, high: float, within: float) -> tuple[float, float]:
    """Two values no further apart than `within`, where something that holds at `low` and not at `high` still does and
    does no more."""
    while high - low > within:
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high


def score(wins: float, losses: float, n: float, difference: float) -> float:
    """Tango's score statistic of one table, as `binary.tango_statistic` has it for arrays."""
    above = wins - losses - n * difference
    if above == 0:
        return 0.0
    linear = -wins - losses + (2 * n - wins + losses) * difference
    constant = -losses * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * n * constant, 0))
    # The second form avoids subtracting two nearly equal numbers when the linear term is positive.
    q = -2 * constant / (linear + root) if linear > 0 else (root - linear) / (4 * n)
    variance = 2 * max(q, 0.0, -difference) + difference * (1 - difference)
    return above / math.sqrt(n * variance) if variance > 0 else math.copysign(math.inf, above)


def region(n: int, difference: float, threshold: float, *, losses: range | None = None) -> list[int]:
    """For each number of losses 0..n the fewest wins with T(difference) >= threshold; n + 1 where none, and for losses
    outside `losses`. T rises in wins and falls in losses, so the fewest wins rise."""
    found = [n + 1] * (n + 1)
    rows = range(n + 1) if losses is None else losses
    wins, high = 0, n - rows.start + 1
    while wins < high:  # the first row by bisection
        middle = (wins + high) // 2
        if score(middle, rows.start, n, difference) >= threshold:
            high = middle
        else:
            wins = middle + 1
    for row in rows:
        while wins <= n - row and score(wins, row, n, difference) < threshold:
            wins += 1
        if wins > n - row:
            break
        found[row] = wins
    return found


def _losses_near(n: int, loss_rate: float) -> range:
    """The numbers of losses that carry all but about 1e-16 of the probability at this rate."""
    reach = 9 * math.sqrt(n * loss_rate * (1 - loss_rate)) + 25
    return range(max(0, math.floor(n * loss_rate - reach)), min(n, math.ceil(n * loss_rate + reach)) + 1)


@lru_cache(maxsize=64)
def _log_factorials(n: int) -> list[float]:
    return [math.lgamma(k + 1) for k in range(n + 1)]


def _binomial(k: int, m: int, rate: float, logs: Sequence[float]) -> float:
    """P(X = k) of m draws."""
    if rate <= 0 or rate >= 1:
        return float(k == (m if rate >= 1 else 0))
    chosen = logs[m] - logs[k] - logs[m - k]
    return math.exp(chosen + k * math.log(rate) + (m - k) * math.log1p(-rate))


def _tail(k: int, m: int, rate: float, at_k: float) -> float:
    """P(X >= k) of m draws, summed away from the middle; `at_k` is P(X = k)."""
    if rate <= 0 or rate >= 1:
        return float(k <= (m if rate >= 1 else 0))
    odds, total, term = rate / (1 - rate), 0.0, at_k
    if k > m * rate:
        while k <= m and term > total * 1e-18:
            total += term
            term *= (m - k) / (k + 1) * odds
            k += 1
        return total
    while k > 0:
        term *= k / (m - k + 1) / odds
        if term <= total * 1e-18:
            break
        total += term
        k -= 1
    return 1 - total


def binomial_at_most(k: int, m: int, rate: float) -> float:
    """P(X <= k) of m draws."""
    return 1 - _tail(k + 1, m, rate, _binomial(k + 1, m, rate, _log_factorials(m))) if k < m else 1.0


def region_probability(fewest_wins: Sequence[int], win_rate: float, loss_rate: float) -> float:
    """P(wins >= fewest_wins[losses]) under the trinomial with the given rates.

    Sum over losses of Binomial(losses; n, loss_rate) times the binomial tail of the wins among the rest; both go from
    one number of losses to the next by recurrence.
    """
    n = len(fewest_wins) - 1
    logs = _log_factorials(n)
    rows = _losses_near(n, loss_rate)
    share = min(win_rate / (1 - loss_rate), 1.0) if loss_rate < 1 else 0.0
    fixed = share <= 0 or share >= 1
    odds, loss_odds = (0.0 if fixed else share / (1 - share)), loss_rate / max(1 - loss_rate, _TINY)
    weight, wins = _binomial(rows.start, n, loss_rate, logs), fewest_wins[rows.start]
    rest, total = n - rows.start, 0.0
    if wins > rest:
        return 0.0
    at = _binomial(wins, rest, share, logs)
    tail = _tail(wins, rest, share, at)
    for losses in rows:
        target = fewest_wins[losses]
        if target > n - losses:
            break
        if fixed:
            tail = float(target <= (n - losses if share >= 1 else 0))
        elif losses > rows.start:
            tail -= at * wins / rest
            at *= (rest - wins) / (rest * (1 - share))
            rest -= 1
            while wins < target:
                tail -= at
                at *= (rest - wins) / (wins + 1) * odds
                wins += 1
            if at < _TINY:
                at = _binomial(wins, rest, share, logs)
        if tail > 0:
            total += weight * tail
        weight *= (n - losses) / (losses + 1) * loss_odds
    return total


def _rates(difference: float, angle: float) -> tuple[float, float]:
    """Rates of wins and of losses: the rarer side's is sin(angle)^2 (1 - gap) / 2. From angle 0 (the rarer side never)
    to pi / 2 (each pair is discordant)."""
    gap = abs(difference)
    rarer = math.sin(angle) ** 2 * (1 - gap) / 2
    return (rarer, rarer + gap) if difference <= 0 else (rarer + gap, rarer)


def _at(fewest_wins: Sequence[int], difference: float, angle: float) -> float:
    """The region's probability at `difference` for a nuisance."""
    return region_probability(fewest_wins, *_rates(difference, angle))


class _Supremum(NamedTuple):
    value: float
    nuisances: list[float]  # where the probability is largest, as angles


def _largest(fewest_wins: Sequence[int], difference: float, *, matters_above: float = 0.0) -> _Supremum:
    """Supremum of the region's probability over the nuisance: a grid, then finer around the best points.

    As angles the binomial's spread is the same everywhere, 1 / (2 sqrt(n)). At both ends, where few pairs are
    discordant or few are not, the probability rises and falls within a few of these; in between it hardly does. So the
    grid is fine at the ends, and elsewhere only where, by the bend of the curve, one of the three largest can lie. A
    supremum below `matters_above` is known to be that, and not by how much.
    """
    unit = 1 / math.sqrt(len(fewest_wins))
    half = math.pi / 2
    ends = [step * _FINE * unit for step in range(math.ceil(min(_END, half / 2 / unit) / _FINE))]
    between = max(3, round((half / unit - 2 * _END) / _COARSE)) - 1
    width = (half - 2 * ends[-1]) / between
    angles = [*ends, *(ends[-1] + width * step for step in range(1, between)), *(half - one for one in ends)]
    curve = {angle: _at(fewest_wins, difference, angle) for angle in sorted(angles)}
    for _ in range(2):
        third = max(sorted(curve.values())[-3], matters_above)
        points = list(curve)
        more = [
            low + (high - low) * part
            for low, high, most in zip(points, points[1:], _highest_between(curve), strict=False)
            if most >= third and high - low > _FINE * unit / 2
            for part in (0.25, 0.5, 0.75)
        ]
        if not more:
            break
        curve |= {angle: _at(fewest_wins, difference, angle) for angle in more}
        curve = dict(sorted(curve.items()))
    best = max(curve.values())
    might = max(best, *_highest_between(curve))
    tops, points = sorted(curve, key=curve.__getitem__)[-3:], list(curve)
    for _ in range(2 if might >= matters_above else 0):
        fine: dict[float, float] = {}
        for top in tops:
            index = points.index(top)
            low, high = points[max(index - 1, 0)], points[min(index + 1, len(points) - 1)]
            for step in range(9):
                angle = round(low + (high - low) * step / 8, 12)
                if angle not in fine:
                    fine[angle] = _at(fewest_wins, difference, angle)
        best = max(best, *fine.values())
        points, tops = sorted(fine), sorted(fine, key=fine.__getitem__)[-2:]
    return _Supremum(min(best, 1.0), tops)


def _highest_between(curve: dict[float, float]) -> list[float]:
    """For each gap between neighbours how high the curve may be in it: a parabola rises above its ends by an eighth of
    its second derivative times the width squared; four times the largest one near is allowed."""
    points, values = list(curve), list(curve.values())
    gaps = [high - low for low, high in itertools.pairwise(points)]
    slopes = [(values[k + 1] - values[k]) / gap for k, gap in enumerate(gaps)]
    bend = [2 * abs(slopes[k + 1] - slopes[k]) / (points[k + 2] - points[k]) for k in range(len(slopes) - 1)]
    near = [bend[0], *bend, bend[-1]]
    return [
        max(values[k], values[k + 1]) + max(near[max(k - 1, 0) : k + 3]) * gap**2 / 2
        for k, gap in enumerate(gaps)
    ]


@lru_cache(maxsize=4096)
def exact_p(wins: int, losses: int, n: int, difference: float) -> float:
    """Exact p of H0: true difference <= `difference`: the supremum over the nuisance of P(T >= T_obs)."""
    observed = score(wins, losses, n, difference)
    return _largest(region(n, difference, observed - _TIE), difference).value


def p_promote(wins: int, losses: int, n: int, margin: float) -> float:
    """Exact p-value of H0: difference <= -margin."""
    return exact_p(wins, losses, n, -margin)


def p_reject(wins: int, losses: int, n: int, margin: float) -> float:
    """Exact p-value of H0: difference >= -margin, by exchanging the two models."""
    return exact_p(losses, wins, n, margin)


@lru_cache(maxsize=1024)
def critical_value(n: int, difference: float, alpha: float) -> float:
    """The smallest threshold t >= z_alpha for which T(difference) >= t has error at most alpha.

    The exact p-value falls in T, so the rule "score limit passes and exact p <= alpha" is T >= this value.
    Infinite where no outcome passes.
    """
    z = z_quantile(alpha)
    if n > GUARD_UP_TO_N:
        return z

    # Bisect on the worst nuisances known so far; whenever the full search finds a worse one, add it. It usually is the
    # last one, where nearly all pairs are discordant and wins and losses even.
    hard = [math.pi / 2]

    def exceeds(threshold: float) -> bool:
        fewest = region(n, difference, threshold)
        return any(_at(fewest, difference, angle) > alpha for angle in reversed(hard))

    high = z
    while True:
        if not exceeds(high):
            found = _largest(region(n, difference, high), difference, matters_above=alpha)
            if found.value <= alpha:
                return high
            hard += found.nuisances
        low, high = high, high + 0.1
        while exceeds(high):
            low, high = high, high + 2 * (high - z)
            if high > 40:
                return float("inf")
        low, high = crossing(exceeds, low, high, 1e-5)


def promote_probability(
    n: int, win_rate: float, loss_rate: float, margin: float, alpha: float = 0.025, *, guard: bool = True
) -> float:
    """Probability that n pairs pass the promote rule's limits, by summing the trinomial over the region."""
    threshold = critical_value(n, -margin, alpha) if guard else z_quantile(alpha)
    fewest = region(n, -margin, threshold, losses=_losses_near(n, loss_rate))
    return region_probability(fewest, win_rate, loss_rate)


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
    losses = _losses_near(n, loss_rate)

    def reaches(threshold: float) -> bool:
        fewest = region(n, -margin, threshold, losses=losses)
        return region_probability(fewest, win_rate, loss_rate) >= power

    low = z_quantile(alpha)
    if not reaches(low):
        return False
    if not guard or n > GUARD_UP_TO_N:
        return True
    high = low + 0.1
    while high <= 40 and reaches(high):
        low, high = high, 2 * high
    fewest = region(n, -margin, crossing(reaches, low, high, 1e-5)[0])
    if _at(fewest, -margin, math.pi / 2) > alpha:
        return False
    return _largest(fewest, -margin, matters_above=alpha).value <= alpha
