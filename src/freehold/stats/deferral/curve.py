"""What one signal gives over all shares, which threshold is chosen on the selection split, and why none is.

The choice: of the thresholds that pass (`stats.deferral.threshold`) the one with the largest share, where the signal
beats a random split and the share is worth having. Everything here describes the selection split; the proof is the
one look at held-out samples, and only that."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.errors import UsageError
from freehold.stats.binary import Floats, wilson_limits
from freehold.stats.clustered import Codes, cluster_robust_mean, dense_codes, design_effect_used
from freehold.stats.deferral.calibrating import confidence_quality, fit_calibration
from freehold.stats.deferral.running import Running, running_sums, surest_first
from freehold.stats.deferral.threshold import (
    Passing,
    Trial,
    beyond_random,
    chance_of_promote,
    effects,
    limits,
    needed_samples,
    passing,
)
from freehold.stats.rules import MIN_PAIRS_PROMOTE
from freehold.stats.selection.choosing import LEAST_CHANCE
from freehold.types.deferral import Calibration, DeferralWay, SignalName
from freehold.types.mixture import MixtureCurve, MixturePoint

Bools = NDArray[np.bool_]

STEPS = 100
"""Thresholds that are tried: one per hundredth of the samples, fixed before a score is seen."""


def mixture_curve(
    *,
    way: DeferralWay,
    signal: SignalName,
    raw: Floats,
    differences: Floats,
    codes: Codes | None,
    margin: float,
    alpha: float,
    held_out: int,
    least_share: float,
) -> tuple[MixtureCurve, Calibration]:
    """The curve of one signal over the selection split, its chosen threshold, and the signal's calibration.

    All parameters are columns or numbers of one table: `raw` the signal (NaN: none, the incumbent answers),
    `differences` candidate minus incumbent score in [-1, 1] (NaN: not scored, left out), `codes` the cluster of each
    sample (None: each is one of its own). `margin` is the largest accepted drop and `alpha` the one-sided error, as
    in the verdict on `held_out` samples. Thresholds are probabilities by the calibration. `refused` says why none was
    chosen.

    Raises `UsageError` for columns of unequal length, differences outside [-1, 1], infinite signals, and a margin,
    alpha or share outside (0, 1)."""
    samples = _samples(raw, differences, codes)
    for name, value in (("margin", margin), ("alpha", alpha), ("least share", least_share)):
        if not 0 < value < 1:
            raise UsageError(f"the {name} is {value:g}, expected between 0 and 1")
    good = samples.differences >= 0
    quality = confidence_quality(signal, samples.raw, good, samples.codes)
    calibration = _calibration(samples.raw, good)
    trial = Trial(
        margin=margin,
        alpha=alpha,
        held_out=held_out,
        binary=bool(np.isin(samples.differences, (-1.0, 0.0, 1.0)).all()),
        clustered=samples.codes is not None,
    )
    counts = thresholds(samples.raw)
    order = surest_first(samples.raw)
    points: tuple[MixturePoint, ...] = ()
    chosen, refused = None, _unusable(samples, least_share)
    if len(counts):
        sums = running_sums(
            samples.differences[order], None if samples.codes is None else samples.codes[order], counts
        )
        points = _points(samples, order, sums, trial, calibration)
        if refused is None:
            chosen, refused = _choose(samples, sums, trial, least_share)
    return (
        MixtureCurve(
            way=way,
            signal=signal,
            quality=quality,
            points=points,
            level=1 - 2 * alpha,
            chosen=chosen,
            oracle_share=oracle_share(samples.differences, margin),
            refused=refused,
        ),
        calibration,
    )


class _Samples(NamedTuple):
    raw: Floats
    differences: Floats
    codes: Codes | None


def _samples(raw: Floats, differences: Floats, codes: Codes | None) -> _Samples:
    """The scored samples; `codes` is None where each cluster holds one."""
    x, d = np.asarray(raw, dtype=float), np.asarray(differences, dtype=float)
    if x.shape != d.shape or (codes is not None and np.shape(codes) != d.shape):
        raise UsageError(f"{len(x)} signals and {len(d)} differences: not of the same samples")
    scored = ~np.isnan(d)
    x, d = x[scored], d[scored]
    if (np.abs(d) > 1).any():
        raise UsageError(
            "a difference lies outside -1 to 1", hint="divide scores by the width of their range"
        )
    if codes is None or not len(d):
        return _Samples(x, d, None)
    units = dense_codes(np.asarray(codes)[scored])
    return _Samples(x, d, None if int(units.max()) + 1 == len(units) else units)


def _calibration(raw: Floats, good: Bools) -> Calibration:
    """As fitted; where no answer carries the signal, level at 0, which no threshold lets pass."""
    if np.isnan(raw).all():
        return Calibration(raw=(0.0,), probability=(0.0,))
    return fit_calibration(raw, good)


def thresholds(raw: Floats) -> Codes:
    """Numbers of answered samples at the thresholds that are tried, rising; equal signals are never parted."""
    x = np.sort(np.asarray(raw, dtype=float)[~np.isnan(raw)])[::-1]
    if len(x) == 0:
        return np.empty(0, dtype=np.int64)
    targets = np.unique(np.maximum(np.round(np.arange(1, STEPS + 1) * len(raw) / STEPS), 1)).astype(np.int64)
    targets = np.minimum(targets, len(x))
    ends = len(x) - np.searchsorted(x[::-1], x[targets - 1], side="left")
    return np.unique(ends).astype(np.int64)


def _points(
    samples: _Samples, order: Codes, sums: Running, trial: Trial, calibration: Calibration
) -> tuple[MixturePoint, ...]:
    ordered = samples.raw[order]
    low, high = limits(sums, trial)
    n, overall = sums.n, float(samples.differences.mean())
    made = []
    for place, count in enumerate(sums.answered.astype(int).tolist()):
        share = count / n
        made.append(
            MixturePoint(
                threshold=_threshold(ordered, count, calibration),
                share=share,
                difference=float(sums.total[place]) / n,
                low=float(low[place]),
                high=float(high[place]),
                random=share * overall,
            )
        )
    return tuple(made)


def _threshold(ordered: Floats, count: int, calibration: Calibration) -> float:
    """Halfway between the last signal that is answered and the next; the last one's probability where none is
    below."""
    last = float(ordered[count - 1])
    below = float(ordered[count]) if count < len(ordered) else math.nan
    return calibration(last if math.isnan(below) else (last + below) / 2)


def _unusable(samples: _Samples, least_share: float) -> str | None:
    """Why nothing can be chosen by this signal, whatever the scores; None where it can."""
    n = len(samples.differences)
    if n == 0:
        return "no selection sample has two scores"
    known = samples.raw[~np.isnan(samples.raw)]
    if len(known) == 0:
        return "no answer carries this signal"
    if known.min() == known.max():
        return f"the signal is {known[0]:g} for every answer: it tells no answer from another"
    if len(known) / n < least_share:
        return f"only {len(known) / n:.0%} of answers carry this signal, below the least share of {least_share:.0%}"
    bad = int(np.count_nonzero(samples.differences < 0))
    if bad == 0:
        return f"the candidate is as good as the incumbent on all {n:,} selection samples: nothing to defer"
    if bad == n:
        return f"the candidate is worse than the incumbent on all {n:,} selection samples"
    return None


def _choose(
    samples: _Samples, sums: Running, trial: Trial, least_share: float
) -> tuple[int | None, str | None]:
    """The place of the chosen threshold, or why there is none."""
    shares = sums.answered / sums.n
    eligible = (shares >= least_share) & (shares < 1)
    if not eligible.any():
        return (
            None,
            f"no threshold answers {least_share:.0%} or more here and leaves something to the incumbent",
        )
    if trial.held_out < MIN_PAIRS_PROMOTE:
        return None, f"fewer than {MIN_PAIRS_PROMOTE} held-out samples are never promoted on"
    first = int(np.argmax(eligible))
    found = passing(sums, trial, first)
    above = sums.total / sums.n > shares * float(samples.differences.mean())
    usable = np.flatnonzero(found.promising & eligible)
    if not len(usable):
        return None, _none_passes(sums, trial, found, first)
    if beyond_random(samples.differences, samples.raw, samples.codes) > trial.alpha:
        return None, (
            "sending as large a share to the candidate by lot does no worse on these samples: the signal is not "
            "shown to tell good answers from bad ones"
        )
    usable = usable[above[usable]]
    if not len(usable):
        return None, "at every share that passes, a random split of the same share does as well"
    return int(usable[-1]), None


def _none_passes(sums: Running, trial: Trial, found: Passing, first: int) -> str:
    share, points = float(sums.answered[first] / sums.n), 100 * trial.margin
    if not found.within.any():
        largest = float(effects(sums).largest[first])
        needed = needed_samples(trial, largest)
        if needed > sums.n:
            return (
                f"{sums.n:,} selection samples cannot show a drop of less than {points:g} points even where nothing is "
                f"lost: it takes about {needed:,}"
            )
        low = float(limits(sums, trial)[0][first])
        return (
            f"at the least share ({share:.0%}) the mixture may be {-100 * low:.1f} points worse than the incumbent "
            f"on the selection samples, beyond the margin of {points:g}"
        )
    chance = np.where(found.within, chance_of_promote(sums, trial), 0.0)
    best = int(chance.argmax())
    return (
        f"no share has a chance of {LEAST_CHANCE:.0%} that the {trial.held_out:,} held-out samples promote it; the "
        f"best is {chance[best]:.0%}, at a share of {sums.answered[best] / sums.n:.0%}"
    )


def oracle_share(differences: Floats, margin: float) -> float:
    """The largest share within the margin on these samples, had one known each answer's score: the best ones
    first."""
    d = np.sort(np.asarray(differences, dtype=float))[::-1]
    if len(d) == 0:
        return 0.0
    within = np.flatnonzero(np.cumsum(d) >= -margin * len(d) - 1e-9)
    return (int(within[-1]) + 1) / len(d) if len(within) else 0.0


def share_interval(answered_here: Bools, codes: Codes | None, alpha: float = 0.025) -> tuple[float, float]:
    """Wilson's limits of the share that the candidate answers, each at one-sided `alpha`, at the effective n of
    clusters.

    Raises `UsageError` without a sample.
    """
    a = np.asarray(answered_here, dtype=float)
    if len(a) == 0:
        raise UsageError("no request to tell a share of")
    units = None if codes is None else dense_codes(np.asarray(codes))
    if units is None or int(units.max()) + 1 == len(a):
        return wilson_limits(float(a.sum()), len(a), alpha)
    if int(units.max()) == 0:
        return 0.0, 1.0  # one cluster says nothing of the next
    effect = design_effect_used(cluster_robust_mean(units, a, alpha=alpha))
    return wilson_limits(float(a.sum()) / effect, len(a) / effect, alpha)


def best_curve(curves: Sequence[MixtureCurve]) -> int | None:
    """The place of the curve that answers the largest share here; None where none chose a threshold.

    Ties go to a router, whose deferred requests cost no work of the candidate, then to the smaller loss, then to the
    first."""

    def worth(place: int) -> tuple[float, bool, float]:
        curve = curves[place]
        assert curve.chosen is not None
        point = curve.points[curve.chosen]
        return point.share, curve.way == "router", point.difference

    able = [place for place, curve in enumerate(curves) if curve.chosen is not None]
    return max(able, key=worth) if able else None
