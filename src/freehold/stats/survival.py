"""How long a sequence of decisions stays right: the product-limit estimate.

Source: Kaplan & Meier 1958, "Nonparametric estimation from incomplete observations", JASA 53:457.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class SurvivalStep(NamedTuple):
    """At one number: how many were at risk, how many failed there, and the share that has survived it."""

    number: int
    at_risk: int
    failed: int
    survived: float


def product_limit(lasted: Sequence[tuple[int, bool]]) -> list[SurvivalStep]:
    """The curve of sequences that `lasted` a number of steps, each with whether it failed at the last of them (else it
    only ended there). Steps are counted from 1."""
    curve, survived = [], 1.0
    for number in range(1, max((steps for steps, _ in lasted), default=0) + 1):
        at_risk = sum(steps >= number for steps, _ in lasted)
        failed = sum(steps == number and fails for steps, fails in lasted)
        survived *= 1 - failed / at_risk
        curve.append(SurvivalStep(number, at_risk, failed, survived))
    return curve
