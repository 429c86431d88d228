"""Deferral: how sure an answer is, which threshold keeps a mixture within the margin, and what share is answered
here."""

from freehold.stats.deferral.calibrating import (
    auroc,
    best_way,
    calibrated,
    calibration_error,
    confidence_quality,
    cross_fitted,
    fit_calibration,
)
from freehold.stats.deferral.curve import best_curve, mixture_curve, oracle_share, share_interval
from freehold.stats.deferral.slices import mixture_slices
from freehold.stats.deferral.threshold import beyond_random

__all__ = [
    "auroc",
    "best_curve",
    "best_way",
    "beyond_random",
    "calibrated",
    "calibration_error",
    "confidence_quality",
    "cross_fitted",
    "fit_calibration",
    "mixture_curve",
    "mixture_slices",
    "oracle_share",
    "share_interval",
]
