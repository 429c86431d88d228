"""What one signal gives over all shares of requests, by the selection split, and which proven share is taken.

The selection split fixes the signal and a grid of thresholds: those that answer 20, 22, ... 98 % of its samples. The
held-out samples then test the mixtures at these thresholds in that order, and the candidate alone after them, each at
the whole alpha, to the first that is not promoted. So some mixture beyond the margin is promoted in at most alpha of
cases, however many are tested and whether or not the loss rises with the share, and all shares up to the last that
passed are proven at once: which of them is taken may be decided after the look.

Sources: Maurer, Hothorn & Lehmacher 1995 (a fixed sequence of hypotheses needs no correction); Angelopoulos, Bates,
Candès, Jordan & Lei 2021, arXiv 2110.01052 (learn then test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from freehold.errors import UsageError
from freehold.late import np
from freehold.stats.binary import Floats, tango_ci, wilson_limits
from freehold.stats.clustered import Bools, Codes, cluster_robust_mean, dense_codes, design_effect_used
from freehold.stats.deferral.calibrating import best_way, confidence_quality, fit_calibration
from freehold.stats.inference import infer
from freehold.stats.rules import DecisionRule
from freehold.types.deferral import Calibration, DeferralWay, SignalName
from freehold.types.mixture import MixtureCurve, MixturePoint

GRID_STEP = 0.02
"""How far apart the shares lie that are tested."""
SPENT_OF_MARGIN = 1 / 3
"""How much of the margin a share may lose by the selection split, to be taken where a smaller one is proven, too."""


def mixture_curve(
    *,
    way: DeferralWay,
    signal: SignalName,
    raw: Floats,
    differences: Floats,
    codes: Codes | None,
    rule: DecisionRule,
    least_share: float,
    otherwise: Floats | None = None,
) -> tuple[MixtureCurve, Calibration]:
    """The curve of one signal over the selection split, and the signal's calibration.

    All columns are of one table: `raw` the signal (NaN: none, the incumbent answers), `differences` candidate minus
    incumbent score in [-1, 1] (NaN: not scored, left out), `codes` the cluster of each sample (None: each is one of its
    own). `rule` is the verdict's, on scores from 0 to 1. `otherwise` is what an upper model differs by from the
    incumbent where it answers in its place (None: the incumbent answers what the candidate does not). Thresholds are
    probabilities by the calibration; the first answers `least_share` of the samples. `refused` says why there is none.

    Raises `UsageError` for columns of unequal length, differences outside [-1, 1], infinite signals, and a least share
    outside (0, 1).
    """
    if not 0 < least_share < 1:
        raise UsageError(f"the least share is {least_share:g}, expected between 0 and 1")
    x, d, rest, units = _scored(raw, differences, codes, otherwise)
    good = d >= 0
    quality = confidence_quality(signal, x, good, units)
    # Where no answer carries the signal, level at 0, which no threshold lets pass.
    calibration = (
        Calibration(raw=(0.0,), probability=(0.0,))
        if np.isnan(x).all()
        else fit_calibration(x, good, way=best_way(x, good, units))
    )
    n, whole = len(d), (float(d.mean()) if len(d) else 0.0)
    base = float(rest.mean()) if n else 0.0
    refused = _unusable(x, least_share)
    order = np.argsort(-x, kind="stable")  # without a signal (NaN) last
    points = []
    binary = bool(np.isin(d, (-1.0, 0.0, 1.0)).all() and np.isin(rest, (-1.0, 0.0, 1.0)).all())
    for count in [] if refused is not None else grid(x, least_share):
        mixed = rest.copy()
        mixed[order[:count]] = d[order[:count]]
        low, high = _band(mixed, units, rule, binary=binary)
        points.append(
            MixturePoint(
                threshold=_threshold(x[order], count, calibration),
                share=count / n,
                difference=float(mixed.mean()),
                low=-1.0 if low is None else low,
                high=1.0 if high is None else high,
            )
        )
    return (
        MixtureCurve(
            way=way,
            signal=signal,
            quality=quality,
            points=tuple(points),
            level=1 - 2 * rule.alpha,
            whole=whole,
            rest=base,
            refused=refused,
        ),
        calibration,
    )


def _scored(
    raw: Floats, differences: Floats, codes: Codes | None, otherwise: Floats | None
) -> tuple[Floats, Floats, Floats, Codes | None]:
    """The columns of the scored samples; clusters are None where each holds one."""
    x, d = np.asarray(raw, dtype=float), np.asarray(differences, dtype=float)
    if x.shape != d.shape or (codes is not None and np.shape(codes) != d.shape):
        raise UsageError(f"{len(x)} signals and {len(d)} differences: not of the same samples")
    rest = np.zeros(d.shape) if otherwise is None else np.asarray(otherwise, dtype=float)
    if rest.shape != d.shape:
        raise UsageError(f"{len(rest)} differences of the upper model for {len(d)} samples")
    scored = ~np.isnan(d) & ~np.isnan(rest)
    x, d, rest = x[scored], d[scored], rest[scored]
    if (np.abs(d) > 1).any() or (np.abs(rest) > 1).any():
        raise UsageError(
            "a difference lies outside -1 to 1", hint="divide scores by the width of their range"
        )
    if codes is None or not len(d):
        return x, d, rest, None
    units = dense_codes(np.asarray(codes)[scored])
    return x, d, rest, None if int(units.max()) + 1 == len(units) else units


def _band(
    mixed: Floats, units: Codes | None, rule: DecisionRule, *, binary: bool
) -> tuple[float | None, float | None]:
    """The verdict's limits, without the exact test that it has beside them for counts: that takes most of the time."""
    if binary and units is None:
        wins, losses = int(np.count_nonzero(mixed > 0)), int(np.count_nonzero(mixed < 0))
        return tango_ci(wins, losses, len(mixed), rule.alpha)[1:]
    found = infer(mixed, units, rule, binary=binary)
    return found.lower, found.upper


def _unusable(raw: Floats, least_share: float) -> str | None:
    """Why no threshold of this signal can be tried; None where one can."""
    if len(raw) == 0:
        return "no selection sample has two scores"
    known = raw[~np.isnan(raw)]
    if len(known) == 0:
        return "no answer carries this signal"
    if known.min() == known.max():
        return f"the signal is {known[0]:g} for every answer: it tells no answer from another"
    if len(known) / len(raw) < least_share:
        carried = len(known) / len(raw)
        return f"only {carried:.0%} of answers carry this signal, below the least share of {least_share:.0%}"
    if grid(raw, least_share)[0] == len(raw):
        return f"no threshold answers {least_share:.0%} or more here and leaves something to the incumbent"
    return None


def grid(raw: Floats, least_share: float) -> list[int]:
    """Numbers of answered samples at the thresholds that are tried, rising, up to all that carry the signal. Equal
    signals are never parted."""
    rising = np.sort(np.asarray(raw, dtype=float)[~np.isnan(raw)])
    steps = math.floor((1 - least_share) / GRID_STEP + 1e-9) + 1
    wanted = np.ceil((least_share + GRID_STEP * np.arange(steps)) * len(raw) - 1e-9).astype(np.int64)
    wanted = np.append(wanted[wanted <= len(rising)], len(rising))
    ends = len(rising) - np.searchsorted(rising, rising[-wanted], side="left")
    return sorted(set(ends.tolist()))


def _threshold(ordered: Floats, count: int, calibration: Calibration) -> float:
    """Halfway between the last signal that is answered and the next; the last one's probability where none is
    below."""
    last = float(ordered[count - 1])
    below = float(ordered[count]) if count < len(ordered) else math.nan
    return calibration(last if math.isnan(below) else (last + below) / 2)


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
    """The place of the curve whose mixtures lose least on average over all shares; None where none has a threshold.

    Beyond the answers that carry a signal a curve goes straight on to the candidate alone. Ties go to a router, whose
    deferred requests cost no work of the candidate, then to the first.
    """
    shares = np.linspace(0, 1, round(1 / GRID_STEP) + 1)

    def height(place: int) -> tuple[float, bool]:
        one = curves[place]
        at = [0.0, *(point.share for point in one.points), 1.0]
        heights = [one.rest, *(point.difference for point in one.points), one.whole]
        return round(float(np.interp(shares, at, heights).mean()), 12), one.way == "router"

    able = [place for place, curve in enumerate(curves) if curve.points]
    return max(able, key=height) if able else None


def taken_share(proven: Sequence[float], margin: float) -> int:
    """Which of the shares that were proven is taken, unless their owner says otherwise: the largest that loses at most
    a third of the margin by the selection split, else the largest.

    `proven` are the differences on the selection split, by rising share. What is proven may lose up to the margin; this
    asks for the larger share only where it costs little. Raises `ValueError` without one.
    """
    if not proven:
        raise ValueError("no share was proven")
    cheap = [place for place, found in enumerate(proven) if found >= -margin * SPENT_OF_MARGIN]
    return cheap[-1] if cheap else len(proven) - 1
