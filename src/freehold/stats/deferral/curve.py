"""What one signal gives over all shares, which threshold is chosen on the selection split, and why none is.

The choice: of the thresholds that pass (`stats.deferral.threshold`) the one by which the largest share can be
expected to be proven, where the signal beats a random split and the share is worth having. Everything here describes
the selection split; the proof is the one look at held-out samples, and only that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from freehold.errors import UsageError
from freehold.late import np
from freehold.stats.binary import Floats, wilson_limits
from freehold.stats.clustered import Codes, cluster_robust_mean, dense_codes, design_effect_used
from freehold.stats.deferral.calibrating import best_way, confidence_quality, fit_calibration
from freehold.stats.deferral.choosing import Samples, ThresholdChoice, choose, unusable
from freehold.stats.deferral.running import Running, running_sums, surest_first
from freehold.stats.deferral.slices import Slices
from freehold.stats.deferral.threshold import MixtureTrial, limits
from freehold.types.deferral import Calibration, DeferralWay, SignalName
from freehold.types.mixture import MixtureCurve, MixturePoint

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bools: TypeAlias = "NDArray[np.bool_]"

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
    slices: Slices | None = None,
    otherwise: Floats | None = None,
) -> tuple[MixtureCurve, Calibration]:
    """The curve of one signal over the selection split, its chosen threshold, and the signal's calibration.

    All parameters are columns or numbers of one table: `raw` the signal (NaN: none, the incumbent answers),
    `differences` candidate minus incumbent score in [-1, 1] (NaN: not scored, left out), `codes` the cluster of each
    sample (None: each is one of its own). `margin` is the largest accepted drop and `alpha` the one-sided error, as
    in the verdict on `held_out` samples. `slices` are declared fields with each sample's value: a threshold that harms
    one is not chosen. `otherwise` is what an upper model differs by from the incumbent where it answers in its place
    (None: the incumbent answers what the candidate does not). Thresholds are probabilities by the calibration.
    `refused` says why none was chosen.

    Raises `UsageError` for columns of unequal length, differences outside [-1, 1], infinite signals, and a margin,
    alpha or share outside (0, 1).
    """
    samples = _samples(raw, differences, codes, slices or {}, otherwise)
    for name, value in (("margin", margin), ("alpha", alpha), ("least share", least_share)):
        if not 0 < value < 1:
            raise UsageError(f"the {name} is {value:g}, expected between 0 and 1")
    good = samples.differences >= 0
    quality = confidence_quality(signal, samples.raw, good, samples.codes)
    calibration = _calibration(samples, good)
    trial = MixtureTrial(
        margin=margin,
        alpha=alpha,
        held_out=held_out,
        binary=bool(np.isin(samples.differences, (-1.0, 0.0, 1.0)).all()),
        clustered=samples.codes is not None,
    )
    counts = thresholds(samples.raw)
    order = surest_first(samples.raw)
    points: tuple[MixturePoint, ...] = ()
    found = ThresholdChoice(refused=unusable(samples, least_share))
    if len(counts):
        sums = running_sums(
            samples.differences[order],
            None if samples.codes is None else samples.codes[order],
            counts,
            None if otherwise is None else samples.otherwise[order],
        )
        points = _points(samples, order, sums, trial, calibration)
        if found.refused is None:
            found = choose(samples, sums, trial, least_share)
    return (
        MixtureCurve(
            way=way,
            signal=signal,
            quality=quality,
            points=points,
            level=1 - 2 * alpha,
            chosen=found.place,
            chance=found.chance,
            oracle_share=oracle_share(samples.differences, margin, samples.otherwise),
            rest=float(samples.otherwise.mean()) if len(samples.otherwise) else 0.0,
            refused=found.refused,
        ),
        calibration,
    )


def _samples(
    raw: Floats, differences: Floats, codes: Codes | None, slices: Slices, otherwise: Floats | None
) -> Samples:
    """The scored samples; `codes` is None where each cluster holds one."""
    x, d = np.asarray(raw, dtype=float), np.asarray(differences, dtype=float)
    if x.shape != d.shape or (codes is not None and np.shape(codes) != d.shape):
        raise UsageError(f"{len(x)} signals and {len(d)} differences: not of the same samples")
    rest = np.zeros(d.shape) if otherwise is None else np.asarray(otherwise, dtype=float)
    if rest.shape != d.shape:
        raise UsageError(f"{len(rest)} differences of the upper model for {len(d)} samples")
    for name, values in slices.items():
        if len(values) != len(d):
            raise UsageError(f"slice {name}: {len(values)} values for {len(d)} samples")
    scored = ~np.isnan(d) & ~np.isnan(rest)
    kept = {name: [values[row] for row in np.flatnonzero(scored).tolist()] for name, values in slices.items()}
    x, d, rest = x[scored], d[scored], rest[scored]
    if (np.abs(d) > 1).any() or (np.abs(rest) > 1).any():
        raise UsageError(
            "a difference lies outside -1 to 1", hint="divide scores by the width of their range"
        )
    if codes is None or not len(d):
        return Samples(x, d, None, kept, rest)
    units = dense_codes(np.asarray(codes)[scored])
    return Samples(x, d, None if int(units.max()) + 1 == len(units) else units, kept, rest)


def _calibration(samples: Samples, good: Bools) -> Calibration:
    """By the truer fit; where no answer carries the signal, level at 0, which no threshold lets pass."""
    if np.isnan(samples.raw).all():
        return Calibration(raw=(0.0,), probability=(0.0,))
    return fit_calibration(samples.raw, good, way=best_way(samples.raw, good, samples.codes))


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
    samples: Samples, order: Codes, sums: Running, trial: MixtureTrial, calibration: Calibration
) -> tuple[MixturePoint, ...]:
    ordered = samples.raw[order]
    low, high = limits(sums, trial)
    n, overall, rest = sums.n, float(samples.differences.mean()), float(samples.otherwise.mean())
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
                random=share * overall + (1 - share) * rest,
            )
        )
    return tuple(made)


def _threshold(ordered: Floats, count: int, calibration: Calibration) -> float:
    """Halfway between the last signal that is answered and the next; the last one's probability where none is
    below."""
    last = float(ordered[count - 1])
    below = float(ordered[count]) if count < len(ordered) else math.nan
    return calibration(last if math.isnan(below) else (last + below) / 2)


def oracle_share(differences: Floats, margin: float, otherwise: Floats | None = None) -> float:
    """The largest share within the margin on these samples, had one known each answer's score: the best ones first.
    `otherwise` is the upper model's difference on each (None: the incumbent answers the rest)."""
    d = np.asarray(differences, dtype=float)
    rest = np.zeros(d.shape) if otherwise is None else np.asarray(otherwise, dtype=float)
    gains = np.sort(d - rest)[::-1]
    if len(d) == 0:
        return 0.0
    within = np.flatnonzero(np.cumsum(gains) + rest.sum() >= -margin * len(d) - 1e-9)
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
    """The place of the curve by which the largest share can be expected to be proven; None where none has a threshold.

    That is the share times the chance of promote. Ties go to a router, whose deferred requests cost no work of the
    candidate, then to the smaller loss, then to the first.
    """

    def worth(place: int) -> tuple[float, bool, float]:
        curve = curves[place]
        assert curve.chosen is not None
        point = curve.points[curve.chosen]
        chance = 1.0 if curve.chance is None else curve.chance
        return point.share * chance, curve.way == "router", point.difference

    able = [place for place, curve in enumerate(curves) if curve.chosen is not None]
    return max(able, key=worth) if able else None
