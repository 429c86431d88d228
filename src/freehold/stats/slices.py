"""Slices: Holm's adjustment of the harm tests, shrunken estimates for display.

Sources: Holm 1979, Scandinavian Journal of Statistics 6:65; Paule & Mandel 1982, NBS Journal of Research 87:377.
"""

from __future__ import annotations

from collections.abc import Sequence

from freehold.late import np
from freehold.stats.binary import Floats

MIN_N = 20
HARM_ALPHA = 0.05


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: family-wise error under any dependence."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def shrink(estimates: Sequence[float], variances: Sequence[float], overall: float) -> list[float]:
    """Estimates pulled towards `overall` by how noisy they are: for display, never for tests.

    Weight ``tau^2 / (tau^2 + V)`` with the between-slice variance tau^2 by Paule-Mandel, floored at 0.
    """
    y, v = np.asarray(estimates, dtype=float), np.asarray(variances, dtype=float)
    tau2 = paule_mandel(y, v)
    return [float(value) for value in overall + tau2 / (tau2 + v) * (y - overall)]


def paule_mandel(estimates: Floats, variances: Floats) -> float:
    """Between-slice variance at which the weighted spread equals its degrees of freedom; 0 when below."""
    k = len(estimates)
    if k < 2:
        return 0.0

    def excess(tau2: float) -> float:
        weights = 1 / (variances + tau2)
        mean = float((weights * estimates).sum() / weights.sum())
        return float((weights * (estimates - mean) ** 2).sum()) - (k - 1)

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, float(np.var(estimates, ddof=1)) + float(variances.max())
    while excess(high) > 0:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return (low + high) / 2
