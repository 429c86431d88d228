"""Deferral: how sure an answer is, what a mixture gives over all shares, and which proven share is taken."""

from freehold.stats.deferral.calibrating import (
    auroc,
    best_way,
    calibrated,
    calibration_error,
    confidence_quality,
    fit_calibration,
)
from freehold.stats.deferral.curve import best_curve, mixture_curve, share_interval, taken_share

__all__ = [
    "auroc",
    "best_curve",
    "best_way",
    "calibrated",
    "calibration_error",
    "confidence_quality",
    "fit_calibration",
    "mixture_curve",
    "share_interval",
    "taken_share",
]
