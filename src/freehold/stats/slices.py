"""Slices: harm tests with Holm, exploration with Benjamini-Hochberg, shrunken estimates for display.

Sources: Holm 1979, Scandinavian Journal of Statistics 6:65; Benjamini & Hochberg 1995, JRSS-B 57:289;
Meinshausen 2008, Biometrika 95:265 (nested slices); Paule & Mandel 1982, NBS Journal of Research 87:377.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from freehold.stats.binary import Floats, tango_statistic

MIN_N = 20
HARM_ALPHA = 0.05
EXPLORE_Q = 0.10


class SliceCounts(NamedTuple):
    """One slice of binary pairs."""

    name: str
    wins: int
    losses: int
    n: int


class HarmTest(NamedTuple):
    """Slices that were large enough, their p-values before and after Holm, the harmed ones, worst first."""

    tested: tuple[str, ...]
    p_harm: tuple[float, ...]
    p_holm: tuple[float, ...]
    flagged: tuple[str, ...]
    worst_first: tuple[str, ...]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment: family-wise error under any dependence."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(steps, 1.0)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg's step-up adjustment: false discovery rate, for exploration."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0)
    return [float(value) for value in adjusted]


def nested_discoveries(
    p_values: Mapping[str, float], parents: Mapping[str, str], *, q: float = EXPLORE_Q
) -> list[str]:
    """Slices found by Benjamini-Hochberg, children tested only where their parent was found.

    `parents` maps a child's name to its parent's; a slice that is missing there is at the top.
    """
    found: list[str] = []
    level = [name for name in p_values if name not in parents]
    while level:
        adjusted = benjamini_hochberg([p_values[name] for name in level])
        hits = [name for name, p in zip(level, adjusted, strict=True) if p <= q]
        found += hits
        level = [name for name in p_values if parents.get(name) in hits]
    return found


def default_harm_margin(margin: float, reach: float = 1.0) -> float:
    """The drop a slice may show before it is harm: twice the margin, at least 5 points of the range."""
    return max(2 * margin, 0.05 * reach)


def slice_harm(
    slices: Sequence[SliceCounts], *, margin: float, alpha: float = HARM_ALPHA, min_n: int = MIN_N
) -> HarmTest:
    """Per slice H0: difference >= -margin by Tango's statistic, Holm over slices of at least `min_n`."""
    tested = [part for part in slices if part.n >= min_n]
    if not tested:
        return HarmTest((), (), (), (), ())
    scores = tango_statistic(
        [part.wins for part in tested], [part.losses for part in tested], [part.n for part in tested], -margin
    )
    p = [float(value) for value in special.ndtr(scores)]
    adjusted = holm(p)
    worst = sorted(range(len(tested)), key=lambda i: (p[i], tested[i].name))
    return HarmTest(
        tuple(part.name for part in tested),
        tuple(p),
        tuple(adjusted),
        tuple(part.name for part, value in zip(tested, adjusted, strict=True) if value <= alpha),
        tuple(tested[i].name for i in worst),
    )


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
