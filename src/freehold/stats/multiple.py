"""Several candidates, several metrics, relative margins, and the incumbent against itself.

Sources: Berger 1982, Technometrics 24:295 (intersection-union tests); Holm 1979.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from freehold.errors import UsageError
from freehold.stats.binary import Floats
from freehold.stats.continuous import MeanLimits, continuous_limits
from freehold.stats.rules import STRICT, Outcome
from freehold.stats.slices import holm


class SelfNoise(NamedTuple):
    """How much two runs of the incumbent on the same requests differ.

    `psi` is the share of items scored differently, `sd` the standard deviation of the differences.
    """

    psi: float
    sd: float
    n: int


def self_noise(first: Sequence[float | None], second: Sequence[float | None]) -> SelfNoise | None:
    """Noise of the incumbent from two runs; None with fewer than two items scored twice.

    With a greedy, cached or frozen single answer it is not observed, and 0 would be a lie.
    """
    d = [y - x for x, y in zip(first, second, strict=True) if x is not None and y is not None]
    if len(d) < 2:
        return None
    values = np.sort(np.asarray(d, dtype=float))
    return SelfNoise(float(np.count_nonzero(values)) / len(d), float(values.std(ddof=1)), len(d))


def promotable(p_noninferiority: Mapping[str, float], *, alpha: float = 0.025) -> list[str]:
    """Candidates compared on the same items that may be promoted together: Holm over their p-values.

    Picking the best of five at alpha each would err up to five times as often.
    """
    names = list(p_noninferiority)
    adjusted = holm([p_noninferiority[name] for name in names])
    return [name for name, p in zip(names, adjusted, strict=True) if p <= alpha]


def all_required(
    outcomes: Mapping[str, Outcome], p_reject: Mapping[str, float], *, alpha: float = 0.025
) -> Outcome:
    """One outcome for several required metrics.

    promote needs each of them at full alpha (an intersection-union test needs no correction), reject any of
    them after Holm.
    """
    if not outcomes:
        raise UsageError("no metric to decide on")
    if all(outcome == "promote" for outcome in outcomes.values()):
        return "promote"
    names = list(p_reject)
    adjusted = dict(zip(names, holm([p_reject[name] for name in names]), strict=True)) if names else {}
    shown = any(
        outcome == "reject" and adjusted.get(name, 1.0) <= alpha for name, outcome in outcomes.items()
    )
    return "reject" if shown else "hold"


def relative_noninferiority(
    incumbent: Floats,
    candidate: Floats,
    *,
    kept: float,
    alpha: float = 0.025,
    hi: float = 1.0,
    seed: int = 0,
) -> tuple[MeanLimits, bool]:
    """ "Keep 98 %": whether the mean of ``candidate - kept * incumbent`` is above 0, scores in [0, hi].

    Never by dividing the limits of a difference by an estimated rate. Returns the limits and the answer.
    """
    if not 0 < kept <= 1:
        raise UsageError(f"the share to keep is {kept:g}, expected above 0 and at most 1")
    d = np.asarray(candidate, dtype=float) - kept * np.asarray(incumbent, dtype=float)
    limits = continuous_limits(d, margin=0.0, alpha=alpha, lo=0.0, hi=hi, seed=seed)
    return limits, len(d) >= 30 and limits.lower is not None and limits.lower > STRICT
