"""After a mixture was promoted: is its loss still what was promised, and does its confidence still mean what it did?

Each period's values give an e-value against "the mean is not above the limit" for each of ten constant bets, and a
Shiryaev-Roberts statistic per bet carries them on: R <- (R + 1) e. The mean of the ten is what is compared. As long as
the claim holds, R minus the number of periods is a supermartingale (e is at most 1 on average given the past), so by
optional stopping the chance of an alarm within T periods is at most T / A for the threshold A: A = T / alpha keeps it
at alpha over T. One statistic per bet, where `drift` has one of the mean bet, lets the bet that suits be learned over
many small periods.

The order of the values must not depend on them, and within a period they must be one per independent unit.

Sources: Shin, Ramdas & Rinaldo 2024, New England Journal of Statistics in Data Science 2:229 (e-detectors);
Waudby-Smith & Ramdas 2024, JRSS-B 86:1 (betting on bounded means).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from freehold.late import np
from freehold.types.record import Record

BETS = 10
_POWERS = tuple(2.0**-step for step in range(BETS))
_LARGEST_BET = 0.95
_LARGEST_LOG = 600.0  # JSON has no infinity, and no threshold is near it

HOURS_PER_YEAR = 8766.0
ALPHA_SPLIT = {"loss": 0.03, "calibration": 0.01, "share above": 0.01}
"""How the 5 % that a year of checks may alarm in vain are shared out among what moves traffic."""
CALIBRATION_TOLERANCE = 0.05
"""So much less often than foretold may sure answers be as good as the incumbent's."""


def acts_at(test: str, *, every_hours: float, years: float = 1.0) -> float:
    """The threshold at which a test of `ALPHA_SPLIT` alarms in vain within `years` with its share of 5 % at most."""
    return max(1.0, years * HOURS_PER_YEAR / every_hours) / ALPHA_SPLIT[test]


class MeanLimit(NamedTuple):
    """The claim that values in [`low`, `high`] have a mean of at most `at`."""

    at: float
    low: float
    high: float


class MeanDetector(Record, frozen=True, kw_only=True):
    """Whether a mean has risen above its limit, as a state to store. The limit may differ between periods, as long as
    it is known before the period's values are."""

    statistics: tuple[float, ...] = (0.0,) * BETS
    periods: int = 0

    @property
    def statistic(self) -> float:
        """What is compared with `acts_at`."""
        return float(sum(self.statistics)) / BETS

    def update(self, values: Iterable[float], limit: MeanLimit) -> MeanDetector:
        """The state after one more period. Raises `ValueError` for values out of range."""
        seen = np.fromiter(values, float)
        if not len(seen) or limit.at >= limit.high:
            return self  # nothing was seen, or nothing can be above
        if np.isnan(seen).any() or seen.min() < limit.low or seen.max() > limit.high:
            raise ValueError(f"values must lie in [{limit.low:g}, {limit.high:g}]")
        bets = _LARGEST_BET / (limit.at - limit.low) * np.array(_POWERS)
        log_e = np.log1p(np.multiply.outer(seen - limit.at, bets)).sum(axis=0)
        before = np.asarray(self.statistics)
        after = np.exp(np.minimum(np.log1p(before) + log_e, _LARGEST_LOG))
        return MeanDetector(statistics=tuple(after.tolist()), periods=self.periods + 1)


def loss_limit(margin: float, share: float) -> MeanLimit:
    """What sure answers may lose against the incumbent on average, in [-1, 1], so that all requests together lose at
    most the margin: where only this share of them is answered here, all of the loss is there."""
    return MeanLimit(min(1.0, margin / share) if share > 0 else 1.0, -1.0, 1.0)


def overconfidence_limit() -> MeanLimit:
    """How far confidence may lie above the share of answers as good as the incumbent's. Values are confidence minus 1
    for an answer as good, confidence for another, in [-1, 1]."""
    return MeanLimit(CALIBRATION_TOLERANCE, -1.0, 1.0)


def share_limits(low: float, high: float, tolerance: float) -> tuple[MeanLimit, MeanLimit]:
    """The limits of a share that was proven to lie between `low` and `high`: above (on the share), and below (on one
    minus the share)."""
    return MeanLimit(min(1.0, high + tolerance), 0.0, 1.0), MeanLimit(
        min(1.0, 1.0 - low + tolerance), 0.0, 1.0
    )
