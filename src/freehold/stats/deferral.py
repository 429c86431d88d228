"""How sure an answer is, what a mixture gives over all shares by the selection split, and which proven share is taken.

A signal becomes a probability by centred isotonic regression (Oron & Flournoy 2017, Statistics in Biopharmaceutical
Research 9:258): the level pieces of the usual one are joined at their centres, so that a surer signal is always more
probable and a threshold can lie anywhere.

The selection split fixes the signal and a grid of thresholds: those that answer 20, 22, ... 98 % of its
samples. The held-out samples then test the mixtures at these thresholds in that order, and the candidate alone after
them, each at the whole alpha, to the first that is not promoted. So some mixture beyond the margin is promoted in at
most alpha of cases, however many are tested and whether or not the loss rises with the share, and all shares up to the
last that passed are proven at once: which of them is taken may be decided after the look.

Sources: Maurer, Hothorn & Lehmacher 1995 (a fixed sequence of hypotheses needs no correction); Angelopoulos, Bates,
Candès, Jordan & Lei 2021, arXiv 2110.01052 (learn then test).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from freehold.errors import UsageError
from freehold.late import np, optimize
from freehold.stats.binary import Floats, tango_ci, wilson_limits
from freehold.stats.clustered import Bools, Codes, cluster_robust_mean, dense_codes, design_effect_used
from freehold.stats.inference import infer
from freehold.stats.rules import DecisionRule
from freehold.types.deferral import Calibration, SignalName
from freehold.types.mixture import MixtureCurve, MixturePoint

GRID_STEP = 0.02
"""How far apart the shares lie that are tested."""
SPENT_OF_MARGIN = 1 / 3
"""How much of the margin a share may lose by the selection split, to be taken where a smaller one is proven, too."""
_TILT = 1e-3
"""Share of the way from the fit to a straight rise, so that level pieces at 0 and 1 keep an order, too."""


def fit_calibration(raw: Floats, good: Bools) -> Calibration:
    """From values of a signal (higher is surer) to the probability that the answer is good.

    Values that are NaN are left out. Where only one value is left, the probability is the same for all; where one class
    is, all but the same, so that a threshold still parts higher signals from lower ones; where none is, 0, which no
    threshold lets pass. Raises `UsageError` for infinite values.
    """
    if np.isinf(raw).any():
        raise UsageError("a signal's value is infinite", hint="leave a value that cannot be known out (NaN)")
    known = ~np.isnan(raw)
    x, y = raw[known], good[known]
    if len(x) == 0:
        return Calibration(raw=(0.0,), probability=(0.0,))
    prior = (y.sum() + 1) / (len(y) + 2)
    values, at = np.unique(x, return_inverse=True)
    if len(values) == 1:
        return Calibration(raw=(float(values[0]),), probability=(float(prior),))
    ends, levels = values[[0, -1]], np.full(2, prior)
    if not (y.all() or not y.any()):
        weights = np.bincount(at).astype(float)
        fit = optimize.isotonic_regression(np.bincount(at, weights=y) / weights, weights=weights)
        firsts = fit.blocks[:-1]
        mass = np.add.reduceat(weights, firsts)
        centres = np.add.reduceat(weights * values, firsts) / mass
        # One more answer of the usual kind in each piece: three good ones are not certain.
        levels = (np.asarray(fit.x, dtype=float)[firsts] * mass + y.mean()) / (mass + 1)
        levels = np.asarray(optimize.isotonic_regression(levels, weights=mass).x)
        ends, levels = np.array([ends[0], *centres, ends[1]]), np.array([levels[0], *levels, levels[-1]])
    ends, first = np.unique(ends, return_index=True)
    levels = np.maximum.accumulate(levels[first])
    tilted = (1 - _TILT) * levels + _TILT * np.linspace(0, 1, len(ends))
    return Calibration(raw=tuple(ends.tolist()), probability=tuple(tilted.tolist()))


def auroc(raw: Floats, good: Bools) -> float | None:
    """Probability that a good answer has the higher signal than another; ties count half. None for one class."""
    known = ~np.isnan(raw)
    raw, good = raw[known], good[known]
    goods = int(np.count_nonzero(good))
    others = len(good) - goods
    if goods == 0 or others == 0:
        return None
    _, places, ties = np.unique(raw, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[places]  # scipy.stats has it, and takes half a second to load
    return float((ranks[good].sum() - goods * (goods + 1) / 2) / (goods * others))


def mixture_curve(
    signal: SignalName,
    raw: Floats,
    differences: Floats,
    *,
    codes: Codes | None,
    rule: DecisionRule,
    least_share: float,
    otherwise: Floats | None = None,
) -> tuple[MixtureCurve, Calibration]:
    """The curve of a signal over the selection split, and its calibration.

    `raw` are the signal's values (NaN: none), `differences` the candidate's scores minus the incumbent's, from -1 to 1
    (NaN: not scored; such a sample is left out), `codes` the samples' clusters (None: each is one of its own), `rule`
    is the verdict's, on scores from 0 to 1. `otherwise` is what an upper model differs by from the incumbent where it
    answers in its place (None: the incumbent answers what the candidate does not). Thresholds are probabilities by the
    calibration; the first answers `least_share` of the samples. `refused` says why there is none.

    Raises `UsageError` for columns of unequal length, differences outside [-1, 1], infinite signals, and a least share
    outside (0, 1).
    """
    if not 0 < least_share < 1:
        raise UsageError(f"the least share is {least_share:g}, expected between 0 and 1")
    columns = [differences, *([] if otherwise is None else [otherwise])]
    if len({len(one) for one in (raw, *columns, *([] if codes is None else [codes]))}) > 1:
        raise UsageError("signals, differences and clusters are not of the same samples")
    table = np.stack(columns)
    scored = ~np.isnan(table).any(axis=0)
    table, raw, units = table[:, scored], raw[scored], None if codes is None else dense_codes(codes[scored])
    if (np.abs(table) > 1).any():
        raise UsageError(
            "a difference lies outside -1 to 1", hint="divide scores by the width of their range"
        )
    if units is not None and len(units) == int(units.max(initial=-1)) + 1:
        units = None
    d = table[0]
    rest = np.zeros(len(d)) if otherwise is None else table[1]
    calibration = fit_calibration(raw, d >= 0)
    sure = np.where(np.isnan(raw), np.nan, np.interp(raw, calibration.raw, calibration.probability))
    refused = _unusable(raw, least_share)
    points = []
    binary = bool(np.isin(table, (-1.0, 0.0, 1.0)).all())
    ordered = -np.sort(-sure)  # without a signal (NaN) last
    for count in [] if refused is not None else grid(sure, least_share):
        threshold = _threshold(ordered, count)
        mixed = np.where(sure >= threshold, d, rest)
        low, high = _band(mixed, units, rule, binary=binary)
        points.append(
            MixturePoint(
                threshold=threshold,
                share=count / len(mixed),
                difference=float(mixed.mean()),
                low=-1.0 if low is None else low,
                high=1.0 if high is None else high,
            )
        )
    curve = MixtureCurve(
        signal=signal,
        n=len(d),
        auroc=auroc(raw, d >= 0),
        points=tuple(points),
        level=1 - 2 * rule.alpha,
        whole=float(d.mean()) if len(d) else 0.0,
        rest=float(rest.mean()) if len(rest) else 0.0,
        refused=refused,
    )
    return curve, calibration


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
    rising = np.sort(raw[~np.isnan(raw)])
    steps = math.floor((1 - least_share) / GRID_STEP + 1e-9) + 1
    wanted = np.ceil((least_share + GRID_STEP * np.arange(steps)) * len(raw) - 1e-9).astype(np.int64)
    wanted = np.append(wanted[wanted <= len(rising)], len(rising))
    ends = len(rising) - np.searchsorted(rising, rising[-wanted], side="left")
    return sorted(set(ends.tolist()))


def _threshold(ordered: Floats, count: int) -> float:
    """Halfway between the last probability that is answered and the next; the last one where none is below."""
    last = float(ordered[count - 1])
    below = float(ordered[count]) if count < len(ordered) else math.nan
    return last if math.isnan(below) else (last + below) / 2


def share_interval(answered_here: Bools, codes: Codes | None, alpha: float = 0.025) -> tuple[float, float]:
    """Wilson's limits of the share that the candidate answers, each at one-sided `alpha`, at the effective n of
    clusters.

    Raises `UsageError` without a sample.
    """
    a = np.asarray(answered_here, dtype=float)
    if len(a) == 0:
        raise UsageError("no request to tell a share of")
    units = None if codes is None else dense_codes(codes)
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
        return round(float(np.interp(shares, at, heights).mean()), 12), one.signal == "router"

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
