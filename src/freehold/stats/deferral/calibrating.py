"""From a signal to a probability: fits, and how far their probabilities are from what happens.

`isotonic` is the centred isotonic regression (Oron & Flournoy 2017, Statistics in Biopharmaceutical Research 9:258):
the level pieces of the usual one (pool adjacent violators) are joined at their centres, so that a surer signal is
always more probable and a threshold can lie anywhere. `logistic` stretches and shifts the signal's logit, by the
likelihood and with Platt's targets (Platt 1999), so that a few good answers make nothing certain. Two numbers are told
from few samples, any shape only from many: which fit is truer is tried on folds that were not fitted.

The expected calibration error is over ten bins of equal count (Nguyen & O'Connor 2015), by probabilities from fits
that did not see the sample nor any other of its cluster.
"""

from __future__ import annotations

from typing import Literal, get_args

from freehold.errors import UsageError
from freehold.late import np, optimize, special
from freehold.stats.binary import Floats
from freehold.stats.clustered import Bools, Codes, folds
from freehold.types.deferral import Calibration, SignalName
from freehold.types.mixture import ConfidenceQuality

CalibrationWay = Literal["isotonic", "logistic"]
_TRIED: tuple[CalibrationWay, ...] = get_args(CalibrationWay)

BINS = 10
_TILT = 1e-3
"""Share of the way from the fit to a straight rise, so that level pieces at 0 and 1 keep an order, too."""
_GRID = 64
_EDGE = 1e-9
_SLOPES = (0.02, 50.0)
_CLAIMS: frozenset[SignalName] = frozenset({"probability", "router"})
"""Signals that are read as probabilities before any calibration."""


def fit_calibration(raw: Floats, good: Bools, *, way: CalibrationWay = "isotonic") -> Calibration:
    """From values of a signal (higher is surer) to the probability that the answer is good.

    Values that are NaN are left out. Where only one value is left, the probability is the same for all; where one class
    is, all but the same, so that a threshold still parts higher signals from lower ones.
    Raises `UsageError` where nothing is left, for columns of unequal length, and infinite values.
    """
    x, y = _usable(raw, good)
    if len(x) == 0:
        raise UsageError("no answer carries the signal: nothing to calibrate")
    smooth = (y.sum() + 1) / (len(y) + 2)
    if x.min() == x.max():
        return Calibration(raw=(float(x[0]),), probability=(float(smooth),))
    if y.all() or not y.any():
        return _ascending(np.array([x.min(), x.max()]), np.full(2, smooth))
    if way == "isotonic":
        return _ascending(*_isotonic(x, y))
    return _ascending(*_by_logit(x, y))


def best_way(raw: Floats, good: Bools, codes: Codes | None = None) -> CalibrationWay:
    """`isotonic` or `logistic`: the one under which answers of folds that were not fitted are likelier.

    `codes` name each answer's cluster (None: each is one of its own). Raises `UsageError` as `fit_calibration`.
    """
    return _best(*_usable(raw, good), _units(raw, codes))[0]


def _best(x: Floats, y: Bools, units: Codes) -> tuple[CalibrationWay, Floats]:
    """The better fit's name, and each answer's probability by fits that did not see it."""
    found: dict[CalibrationWay, Floats] = {way: cross_fitted(x, y, units, way=way) for way in _TRIED}

    def likelihood(way: CalibrationWay) -> float:
        p = np.clip(found[way], _EDGE, 1 - _EDGE)
        return float(np.log(np.where(y, p, 1 - p)).sum())

    best = max(_TRIED, key=likelihood)
    return best, found[best]


def _units(raw: Floats, codes: Codes | None) -> Codes:
    known = ~np.isnan(np.asarray(raw, dtype=float))
    return np.arange(int(known.sum())) if codes is None else np.asarray(codes)[known]


def calibrated(calibration: Calibration, raw: Floats) -> Floats:
    """The probability for each value; without a signal (NaN) the least."""
    x = np.where(np.isnan(raw), -np.inf, raw)
    return np.interp(x, calibration.raw, calibration.probability)


def confidence_quality(
    signal: SignalName, raw: Floats, good: Bools, codes: Codes | None = None
) -> ConfidenceQuality:
    """How well the signal tells good answers from others, and how true its probabilities are.

    `codes` name each answer's cluster (None: each is one of its own). `error_after` is of the truer fit; None without
    a signal. Raises `UsageError` for columns of unequal length.
    """
    x, y = _usable(raw, good)
    if len(x) == 0:
        return ConfidenceQuality(signal=signal, n=0, error_before=None, error_after=None, auroc=None)
    claims = signal in _CLAIMS and bool(((x >= 0) & (x <= 1)).all())
    return ConfidenceQuality(
        signal=signal,
        n=len(x),
        error_before=calibration_error(x, y) if claims else None,
        error_after=calibration_error(_best(x, y, _units(raw, codes))[1], y),
        auroc=auroc(x, y),
    )


def calibration_error(probability: Floats, good: Bools) -> float:
    """Mean distance between foretold and seen share of good answers over ten bins of equal count (0 to 1).

    Equal probabilities share a bin.
    """
    order = np.argsort(probability, kind="stable")
    p, y = np.asarray(probability, dtype=float)[order], np.asarray(good, dtype=float)[order]
    firsts = np.searchsorted(p, p, side="left")
    bins = firsts * BINS // len(p)
    gaps = np.bincount(bins, weights=p - y, minlength=BINS)
    return float(np.abs(gaps).sum() / len(p))


def auroc(raw: Floats, good: Bools) -> float | None:
    """Probability that a good answer has the higher signal than another; ties count half. None for one class."""
    goods = int(np.count_nonzero(good))
    others = len(good) - goods
    if goods == 0 or others == 0:
        return None
    _, places, ties = np.unique(raw, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[places]  # scipy.stats has it, and takes half a second to load
    return float((ranks[good].sum() - goods * (goods + 1) / 2) / (goods * others))


def cross_fitted(raw: Floats, good: Bools, codes: Codes, *, way: CalibrationWay = "isotonic") -> Floats:
    """Each value's probability by a fit on the other folds; clusters stay together. No value may be NaN.

    A single cluster can only be fitted by itself.
    """
    found = calibrated(fit_calibration(raw, good, way=way), raw)
    for inside, outside in folds(np.asarray(codes)):
        found[outside] = calibrated(fit_calibration(raw[inside], good[inside], way=way), raw[outside])
    return found


def _usable(raw: Floats, good: Bools) -> tuple[Floats, Bools]:
    x, y = np.asarray(raw, dtype=float), np.asarray(good, dtype=bool)
    if x.shape != y.shape:
        raise UsageError(f"{len(x)} values of a signal for {len(y)} answers")
    if np.isinf(x).any():
        raise UsageError("a signal's value is infinite", hint="leave a value that cannot be known out (NaN)")
    known = ~np.isnan(x)
    return x[known], y[known]


def _isotonic(x: Floats, y: Bools) -> tuple[Floats, Floats]:
    """Centres of the level pieces, and both ends."""
    values, at = np.unique(x, return_inverse=True)
    weights = np.bincount(at).astype(float)
    shares = np.bincount(at, weights=y) / weights
    fit = optimize.isotonic_regression(shares, weights=weights)
    pieces = fit.blocks
    mass = np.add.reduceat(weights, pieces[:-1])
    centres = np.add.reduceat(weights * values, pieces[:-1]) / mass
    # One more answer of the usual kind in each piece: three good ones are not certain.
    prior, levels = y.mean(), np.asarray(fit.x, dtype=float)[pieces[:-1]]
    levels = (levels * mass + prior) / (mass + 1)
    levels = np.asarray(optimize.isotonic_regression(levels, weights=mass).x)
    return (
        np.concatenate([values[:1], centres, values[-1:]]),
        np.concatenate([levels[:1], levels, levels[-1:]]),
    )


def _by_logit(x: Floats, y: Bools) -> tuple[Floats, Floats]:
    """Points of sigmoid(slope logit + shift), the likeliest for labels drawn a little from 0 and 1 (Platt 1999)."""
    middle, width = float(x.mean()), float(x.std())

    def logit(values: Floats) -> Floats:
        """Log-odds of a probability or of its logarithm; another signal in units of its spread."""
        if ((x >= 0) & (x <= 1)).all():
            return np.asarray(special.logit(np.clip(values, _EDGE, 1 - _EDGE)))
        if (x <= 0).all():
            return np.asarray(special.logit(np.clip(np.exp(values), _EDGE, 1 - _EDGE)))
        return (values - middle) / width

    read = logit(x)
    goods, others = np.count_nonzero(y), len(y) - np.count_nonzero(y)
    target = np.where(y, (goods + 1) / (goods + 2), 1 / (others + 2))

    def loss(at: Floats) -> tuple[float, Floats]:
        scaled = at[0] * read + at[1]
        off = special.expit(scaled) - target
        return float(np.mean(np.logaddexp(0, scaled) - target * scaled)), np.array(
            [(off * read).mean(), off.mean()]
        )

    found = optimize.minimize(loss, (1.0, 0.0), jac=True, method="L-BFGS-B", bounds=(_SLOPES, (None, None)))
    slope, shift = found.x
    points = np.unique(
        np.concatenate([np.linspace(x.min(), x.max(), _GRID), np.quantile(x, np.linspace(0, 1, _GRID))])
    )
    return points, np.asarray(special.expit(slope * logit(points) + shift))


def _ascending(raw: Floats, probability: Floats) -> Calibration:
    """A calibration whose points ascend strictly, in signal and probability."""
    raw, first = np.unique(raw, return_index=True)
    probability = np.maximum.accumulate(probability[first])
    rise = np.linspace(0, 1, len(raw)) if len(raw) > 1 else probability
    tilted = (1 - _TILT) * probability + _TILT * rise
    return Calibration(raw=tuple(raw.tolist()), probability=tuple(tilted.tolist()))
