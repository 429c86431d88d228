"""Limits of one set of differences, by the method that fits them, and the worst case of unscored pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from freehold.stats import missing, rules
from freehold.stats.binary import Floats, tango_ci
from freehold.stats.clustered import (
    ClusterMean,
    Codes,
    clump_limits,
    clustered_binary_limits,
    clustered_continuous_limits,
    design_effect_used,
)
from freehold.stats.continuous import continuous_limits, sign_flip_permutation
from freehold.stats.exact import GUARD_UP_TO_N, noninferiority_test, p_reject

_SIGN_FLIP_UP_TO_N = 5000


class Found:
    """Limits of one set of differences with everything that explains them."""

    def __init__(self) -> None:
        self.lower: float | None = None
        self.upper: float | None = None
        self.p: float | None = None
        self.p_exact: float | None = None
        self.p_reject: float | None = None
        self.p_sign_flip: float | None = None
        self.method = "none"
        self.parts: dict[str, tuple[float, float]] = {}
        self.mean: ClusterMean | None = None
        self.effect = 1.0
        self.naive: tuple[float, float] | None = None


def infer(
    d: Floats,
    codes: Codes | None,
    *,
    binary: bool,
    margin: float,
    alpha: float,
    lo: float,
    hi: float,
    seed: int,
    resamples: int,
) -> Found:
    """Choose by the data: clusters, scores at both ends of the range only (`binary`), or anything else."""
    found, n, reach = Found(), len(d), hi - lo
    if n == 0:
        return found
    clusters = None if codes is None else int(codes.max()) + 1
    if codes is not None and clusters == 1:
        found.method = "one cluster: no interval"
        return found
    wins, losses = int(np.count_nonzero(d > 0)), int(np.count_nonzero(d < 0))
    if codes is not None and binary:
        clustered = clustered_binary_limits(codes, d / reach, margin=margin / reach, alpha=alpha)
        found.mean, found.effect = clustered.mean, clustered.design_effect_used
        clumps = clump_limits(codes, d / reach, clustered, alpha=alpha)
        assert clumps.lower is not None
        assert clumps.upper is not None
        found.lower = min(clustered.lower, clumps.lower) * reach
        found.upper = max(clustered.upper, clumps.upper) * reach
        found.p = clustered.p_noninferiority
        found.method = "cluster-robust t and Tango at effective n"
        found.parts = {
            "cluster_robust_t": (
                clustered.cluster_robust_lower * reach,
                clustered.cluster_robust_upper * reach,
            ),
            "tango_effective_n": (clustered.tango_neff_lower * reach, clustered.tango_neff_upper * reach),
            "unseen_clumps": (clumps.lower * reach, clumps.upper * reach),
        }
        naive = tango_ci(wins, losses, n, alpha)
        assert naive.lower is not None
        assert naive.upper is not None
        found.naive = (naive.lower * reach, naive.upper * reach)
    elif codes is not None:
        limits, found.mean = clustered_continuous_limits(
            codes, d, margin=margin, alpha=alpha, lo=lo, hi=hi, seed=seed
        )
        found.lower, found.upper, found.p, found.method, found.parts = limits
        found.effect = design_effect_used(found.mean)
    elif binary:
        score = tango_ci(wins, losses, n, alpha)
        assert score.lower is not None
        assert score.upper is not None
        found.lower, found.upper = score.lower * reach, score.upper * reach
        found.method = "Tango score interval"
        test = noninferiority_test(wins, losses, n, margin / reach)
        found.p, found.p_exact = test.p_tango, test.p_exact_unconditional
        if n <= GUARD_UP_TO_N:
            found.p_reject = p_reject(wins, losses, n, margin / reach)
            found.method = "Tango score interval with exact guard"
        found.parts = {"tango": (found.lower, found.upper)}
    else:
        limits = continuous_limits(
            d, margin=margin, alpha=alpha, lo=lo, hi=hi, seed=seed, resamples=resamples
        )
        found.lower, found.upper, found.p, found.method, found.parts = limits
        if n <= _SIGN_FLIP_UP_TO_N:
            found.p_sign_flip = sign_flip_permutation(d, margin=margin, seed=seed)
    return found


class Worst:
    """Limits after every unscored pair is counted as a full loss (lower) or a full win (upper)."""

    def __init__(self, lower: float | None, upper: float | None, *, holds: bool) -> None:
        self.lower, self.upper, self.holds = lower, upper, holds


def worst_case(
    d: Floats,
    unscored: int,
    codes: Codes | None,
    scored: Any,
    *,
    binary: bool,
    margin: float,
    alpha: float,
    lo: float,
    hi: float,
    seed: int,
) -> Worst:
    """Count every unscored pair as a full loss, then as a full win; `holds` says that the first would promote."""
    reach = hi - lo
    if unscored == 0 or len(d) == 0:
        return Worst(None, None, holds=unscored == 0)
    if binary and codes is None:
        wins, losses = int(np.count_nonzero(d > 0)), int(np.count_nonzero(d < 0))
        bounds = missing.worst_case_bounds(wins, losses, len(d), unscored, alpha=alpha)
        assert bounds.lower_worst is not None
        assert bounds.upper_best is not None
        holds = rules.unscored_harmless(
            wins, losses, len(d), unscored, margin=margin / reach, alpha=alpha, max_share=0.0
        )
        return Worst(bounds.lower_worst * reach, bounds.upper_best * reach, holds=holds)
    every = np.full(len(scored), -reach)
    every[scored] = d
    best = np.full(len(scored), reach)
    best[scored] = d
    whole = None if codes is None else np.unique(codes, return_inverse=True)[1].astype(np.int64)
    low_found, high_found = (
        infer(
            values, whole, binary=binary, margin=margin, alpha=alpha, lo=lo, hi=hi, seed=seed, resamples=1999
        )
        for values in (every, best)
    )
    low_limit = low_found.lower
    return Worst(
        low_limit,
        high_found.upper,
        holds=low_limit is not None and low_limit > -margin + rules.STRICT,
    )
