"""Paired binary scores: Tango's score interval and test, Wilson's limits.

Everywhere `wins` counts the items only the candidate got right, `losses` those only the incumbent got
right, `n` all scored pairs; a difference is candidate minus incumbent; `alpha` is one-sided.

Covered: independent pairs of binary scores. Not covered: clustered pairs (`clustered`), scores between the
ends of their range (`continuous`), looking at the data while they come (`sequential`).

Sources: Tango 1998, Statistics in Medicine 17:891 (score interval and test); Fagerland, Lydersen & Laake 2013, BMC
Medical Research Methodology 13:91.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from freehold.late import np, special
from freehold.stats.exact import crossing, score
from freehold.stats.exact import z_quantile as z_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"

_PRECISE = 1e-15


class Estimate(NamedTuple):
    """A difference with its one-sided 1 - alpha limits."""

    estimate: float
    lower: float
    upper: float


def tango_statistic(wins: Any, losses: Any, n: Any, difference: Any) -> Floats:
    """Tango's score statistic for the trial difference; all arguments broadcast, counts may be fractional.

    With the constrained estimate q of P(loss), the larger root of A q^2 + B q + C = 0,
    ``T = (b - c - n D) / sqrt(n (2 q + D (1 - D)))``; the inner bracket is `tango_variance`. It falls in the trial
    difference and rises in `wins`.
    """
    b, c, n, trial = (np.asarray(part, dtype=float) for part in (wins, losses, n, difference))
    variance, numerator = tango_variance(b, c, n, trial), b - c - n * trial
    with np.errstate(divide="ignore", invalid="ignore"):
        value = numerator / np.sqrt(n * variance)
    value = np.where(variance <= 0, np.copysign(np.inf, numerator), value)
    return np.asarray(np.where(numerator == 0, 0.0, value), dtype=float)


def tango_variance(wins: Any, losses: Any, n: Any, difference: Any) -> Floats:
    """Variance of one pair's difference, estimated as if the trial difference were true: ``2 q + D (1 - D)``.

    Never 0 for a trial difference other than 0, also where no pair is discordant. Arguments as `tango_statistic`.
    """
    b, c, n, trial = (np.asarray(part, dtype=float) for part in (wins, losses, n, difference))
    quadratic = 2 * n
    linear = -b - c + (2 * n - b + c) * trial
    constant = -c * trial * (1 - trial)
    root = np.sqrt(np.maximum(linear * linear - 4 * quadratic * constant, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # The second form avoids subtracting two nearly equal numbers when the linear term is positive.
        q = np.where(linear > 0, -2 * constant / (linear + root), (root - linear) / (2 * quadratic))
    return np.asarray(2 * np.maximum(q, np.maximum(0.0, -trial)) + trial * (1 - trial), dtype=float)


def tango_limits(wins: float, losses: float, n: float, quantile: float) -> tuple[float, float]:
    """Lower and upper limit of one table: the trial differences where T = +quantile, -quantile (n above 0).

    `quantile` is z (independent pairs) or a t quantile (clusters).
    """
    wins, losses, n = float(wins), float(losses), float(n)  # numpy's numbers are slow one by one
    estimate = (wins - losses) / n

    def solve(low: float, high: float, target: float) -> float:
        return sum(crossing(lambda trial: score(wins, losses, n, trial) > target, low, high, _PRECISE)) / 2

    lower = -1.0 if losses >= n else solve(-1.0, estimate, quantile)
    return lower, 1.0 if wins >= n else solve(estimate, 1.0, -quantile)


def tango_ci(wins: float, losses: float, n: float, alpha: float = 0.025) -> Estimate:
    """Tango's score interval for the paired difference (n above 0). Never a point, even with total agreement."""
    return Estimate((wins - losses) / n, *tango_limits(wins, losses, n, z_quantile(alpha)))


def wilson_limits(successes: float, n: float, alpha: float = 0.025) -> tuple[float, float]:
    """Wilson's score limits of one proportion, each at one-sided `alpha`."""
    z = z_quantile(alpha)
    rate = successes / n
    centre = rate + z * z / (2 * n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return (centre - half) / scale, (centre + half) / scale


def sign_test_p(successes: int, n: int) -> float:
    """Exact two-sided p of H0: success and failure are equally likely. 1 without any trial."""
    return min(1.0, 2 * float(special.bdtr(min(successes, n - successes), n, 0.5))) if n else 1.0
