"""Slice results of one comparison: counts, limits, harm tests with Holm, shrunken estimates, worst first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import special

from freehold.stats.binary import Floats, tango_limits, tango_statistic, z_quantile
from freehold.stats.clustered import Codes, cluster_robust_mean, clustered_binary_limits
from freehold.stats.continuous import FEW_NONZERO, no_variance_limits, t_quantile
from freehold.stats.slices import HARM_ALPHA, MIN_N, holm, shrink
from freehold.types.evaluation import SliceResult


def compare_slices(
    d: Floats,
    fields: Mapping[str, Sequence[str | None]],
    *,
    codes: Codes | None,
    binary: bool,
    margin: float,
    alpha: float = 0.025,
    harm_alpha: float = HARM_ALPHA,
    lo: float = 0.0,
    hi: float = 1.0,
) -> tuple[SliceResult, ...]:
    """Every value of every declared field is a slice named ``field=value``; `margin` is the slices' own.

    Slices below 20 pairs are listed with counts and interval, "too small to test". Worst first: by p, then
    by upper limit; untested slices last. No flag is no proof of safety: each slice shows its lower limit.
    """
    names: list[str] = []
    members: list[Codes] = []
    for field, values in fields.items():
        index: dict[str, int] = {}
        labels = np.fromiter(
            (-1 if value is None else index.setdefault(value, len(index)) for value in values),
            np.int64,
            len(values),
        )
        order = np.argsort(labels, kind="stable")
        starts = np.searchsorted(labels[order], np.arange(len(index) + 1))
        for value, position in index.items():
            names.append(f"{field}={value}")
            members.append(order[starts[position] : starts[position + 1]])
    if not names:
        return ()
    reach = hi - lo
    sizes = np.array([len(rows) for rows in members], dtype=float)
    wins = np.array([np.count_nonzero(d[rows] > 0) for rows in members], dtype=float)
    losses = np.array([np.count_nonzero(d[rows] < 0) for rows in members], dtype=float)
    means = np.array([float(np.sort(d[rows]).mean()) for rows in members])
    score_low, score_high = tango_limits(wins, losses, sizes, np.array(z_quantile(alpha)))
    score_low, score_high = score_low * reach, score_high * reach
    low, high = score_low.copy(), score_high.copy()
    p = special.ndtr(tango_statistic(wins, losses, sizes, -margin / reach))
    if codes is not None:
        for i, rows in enumerate(members):
            low[i], high[i], p[i] = _clustered(codes[rows], d[rows], binary, margin, alpha, reach)
    elif not binary:
        for i, rows in enumerate(members):
            low[i], high[i], p[i] = _continuous(
                d[rows], margin, alpha, lo, hi, (float(score_low[i]), float(score_high[i]), float(p[i]))
            )
    tested = sizes >= MIN_N
    adjusted = np.ones(len(names))
    if tested.any():
        adjusted[tested] = holm(p[tested].tolist())
    half = np.maximum((score_high - score_low) / 2 / z_quantile(alpha), 1e-9)
    if tested.sum() >= 2:
        shrunken = np.full(len(names), np.nan)
        shrunken[tested] = shrink(means[tested].tolist(), (half[tested] ** 2).tolist(), float(d.mean()))
    else:
        shrunken = means
    results = [
        SliceResult(
            name=names[i],
            n=int(sizes[i]),
            difference=float(means[i]),
            ci_low=float(low[i]),
            ci_high=float(high[i]),
            p_harm=float(p[i]) if tested[i] else None,
            p_harm_adjusted=float(adjusted[i]) if tested[i] else None,
            harmed=bool(tested[i] and adjusted[i] <= harm_alpha),
            note=None if tested[i] else "too small to test",
            a_only=int(losses[i]) if binary else None,
            b_only=int(wins[i]) if binary else None,
            shrunken=float(shrunken[i]) if tested[i] else None,
            margin=margin,
        )
        for i in range(len(names))
    ]
    return tuple(
        sorted(
            results,
            key=lambda part: (
                part.p_harm is None,
                part.p_harm if part.p_harm is not None else 1.0,
                part.ci_high if part.ci_high is not None else 1.0,
                part.name,
            ),
        )
    )


def _clustered(
    codes: Codes, d: Floats, binary: bool, margin: float, alpha: float, reach: float
) -> tuple[float, float, float]:
    codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    if len(codes) == 0 or int(codes.max()) == 0:
        return -reach, reach, 1.0  # one unit says nothing about the next
    limits = clustered_binary_limits(codes, d / reach, margin=margin / reach, alpha=alpha)
    mean = cluster_robust_mean(codes, d, alpha=alpha)
    if binary or mean.se == 0:
        low, high = limits.lower * reach, limits.upper * reach
    else:
        low, high = mean.lower, mean.upper
    if mean.se == 0:
        return low, high, 1.0 if low <= -margin <= high or mean.estimate > -margin else 0.0
    return low, high, float(special.stdtr(mean.df, (mean.estimate + margin) / mean.se))


def _continuous(
    d: Floats, margin: float, alpha: float, lo: float, hi: float, score: tuple[float, float, float]
) -> tuple[float, float, float]:
    n = len(d)
    if n < 2 or d.min() == d.max():
        low, high = no_variance_limits(float(d[0]), n, lo=lo, hi=hi, quantile=z_quantile(alpha))
        return low, high, 0.0 if high < -margin else 1.0
    d = np.sort(d)
    mean, se = float(d.mean()), float(d.std(ddof=1)) / n**0.5
    half = t_quantile(alpha, n - 1) * se
    low, high, p = mean - half, mean + half, float(special.stdtr(n - 1, (mean + margin) / se))
    if np.count_nonzero(d) < FEW_NONZERO:  # the signs at full range speak too
        return min(low, score[0]), max(high, score[1]), max(p, score[2])
    return low, high, p
