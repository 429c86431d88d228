"""Probabilities that say how often an answer is right, and where a label of several is given. Pure.

Source: Guo, Pleiss, Sun, Weinberger, On Calibration of Modern Neural Networks, 2017: one temperature per head, by the
likelihood of samples that were not trained on; expected calibration error over 15 bins of equal width. As in Platt,
Probabilistic Outputs for Support Vector Machines, 1999, targets are (n + 1) / (n + 2) and not 1, so that a few samples
that are all right make nothing certain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from freehold.late import np

if TYPE_CHECKING:
    import numpy.typing as npt

Floats: TypeAlias = "npt.NDArray[np.floating]"
BINS = 15
_COLDEST, _HOTTEST = 0.05, 20.0


def softmax(logits: Floats) -> Floats:
    """Probabilities along the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    made: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return made


def sigmoid(logits: Floats) -> Floats:
    """Probabilities of yes, each by itself."""
    made: Floats = 0.5 * (1 + np.tanh(0.5 * logits))
    return made


def temperature_of(logits: Floats, right: npt.NDArray[np.intp]) -> float:
    """The temperature that makes the labels at `right` likeliest; 1 where there is nothing to tell it by."""
    known = right >= 0
    if known.sum() < 2 or logits.shape[1] < 2:
        return 1.0
    rows, at = logits[known], right[known]
    certain = (len(at) + 1) / (len(at) + 2)

    def loss(log_temperature: float) -> float:
        scaled = rows / np.exp(log_temperature)
        top = scaled.max(axis=1)
        log_sum = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        wanted = certain * scaled[np.arange(len(at)), at] + (1 - certain) * scaled.mean(axis=1)
        return float(np.mean(log_sum - wanted))

    return _least(loss)


def temperature_of_several(logits: Floats, right: npt.NDArray[np.bool_]) -> float:
    """The same where each label is a yes or no of its own."""
    if not right.size or right.all() or not right.any():
        return 1.0
    signed = np.where(right, logits, -logits)
    certain = (len(right) + 1) / (len(right) + 2)

    def loss(log_temperature: float) -> float:
        scaled = signed / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, -scaled) + (1 - certain) * scaled))

    return _least(loss)


def _least(loss: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(loss, bounds=(np.log(_COLDEST), np.log(_HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def calibration_error(confidences: Floats, right: npt.NDArray[np.bool_]) -> float | None:
    """Expected calibration error (0 to 1); None without a sample."""
    if not len(confidences):
        return None
    bins = np.minimum((confidences * BINS).astype(int), BINS - 1)
    error = 0.0
    for one in np.unique(bins):
        here = bins == one
        error += here.mean() * abs(float(right[here].mean()) - float(confidences[here].mean()))
    return float(error)


def threshold_of(probabilities: Floats, right: npt.NDArray[np.bool_]) -> float:
    """From which probability a label of several is given, so that most lists are right as a whole; the nearest to 0.5
    among equals."""
    candidates = sorted((share / 20 for share in range(1, 20)), key=lambda share: abs(share - 0.5))
    scores = [float(((probabilities >= share) == right).all(axis=1).mean()) for share in candidates]
    return candidates[int(np.argmax(scores))]


def least_confidence(confidences: Floats, share: float) -> float | None:
    """Below which confidence that `share` of messages like these are; None where none may be."""
    if share <= 0 or not len(confidences):
        return None
    return float(np.quantile(confidences, share))
