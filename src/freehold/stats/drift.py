"""After cut-over: detectors over periods, and what a re-check budget can find.

Each period's values give an e-value against a claim on their mean for each of ten constant bets, and a
Shiryaev-Roberts statistic per bet carries them on: R <- (R + 1) e. The mean of the ten is what is compared. As long as
the claim holds, R minus the number of periods is a supermartingale (e is at most 1 on average given the past). So
the mean number of periods to a false alarm at a threshold A is at least A, and by optional stopping the chance of one
within T periods is at most T / A: A = T / alpha keeps it at alpha over T. One statistic per bet lets the bet that suits
be learned over many small periods.

The order of the values must not depend on them, and within a period they must be one per independent unit.

Source: Shin, Ramdas & Rinaldo 2024, New England Journal of Statistics in Data Science 2:229.
"""

from __future__ import annotations

from collections.abc import Iterable

from freehold.late import np
from freehold.stats.exact import crossing
from freehold.stats.sequential import MeanLimit
from freehold.types.record import Record

THRESHOLD = 200.0
"""Weekly periods: a false alarm in about four years."""

USUAL_FAILURES = 0.05
"""Share of failed requests that is borne: one in twenty."""
LOOKS_TO_ALARM = 1e6
"""Looks to a false alarm, on average, where exactly `USUAL_FAILURES` fails all the time: looking every two seconds,
three weeks. What fails half as often never gets near it."""

HOURS_PER_YEAR = 8766.0
ALPHA_SPLIT = {"loss": 0.03, "calibration": 0.01, "share above": 0.01}
"""How the 5 % that a year of checks of a mixture may alarm in vain are shared out among what moves traffic."""
CALIBRATION_TOLERANCE = 0.05
"""So much less often than foretold may sure answers be as good as the incumbent's."""

_LARGEST_LOG = 600.0  # JSON has no infinity, and no threshold is near it


class MeanDetector(Record, frozen=True, kw_only=True):
    """Whether a mean has left its limit, as a state to store; after an alarm start again from a new one."""

    statistics: tuple[float, ...] = ()
    periods: int = 0

    @property
    def statistic(self) -> float:
        """What is compared with a threshold; after the first period its e-value."""
        return float(sum(self.statistics)) / len(self.statistics) if self.statistics else 0.0

    def update(self, values: Iterable[float], *limits: MeanLimit) -> MeanDetector:
        """The state after one more period, against all of the limits at once that values can break.

        A limit may differ between periods, as long as it is known before the period's values are. Raises `ValueError`
        for values out of range.
        """
        seen = np.fromiter(values, float)
        growth = [limit.log_growth(seen).sum(axis=0) for limit in limits if limit.can_break]
        if not len(seen) or not growth:
            return self
        log_e = np.concatenate(growth)
        before = np.asarray(self.statistics) if self.statistics else np.zeros(len(log_e))
        after = np.exp(np.minimum(np.log1p(before) + log_e, _LARGEST_LOG))
        return MeanDetector(statistics=tuple(after.tolist()), periods=self.periods + 1)


def no_worse(margin: float) -> MeanLimit:
    """The claim that pairs, candidate less incumbent in [-1, 1], lose at most the margin."""
    return MeanLimit(-margin, -1.0, 1.0, least=True)


def acts_at(test: str, *, every_hours: float, years: float = 1.0) -> float:
    """The threshold at which a test of `ALPHA_SPLIT` alarms in vain within `years` with its share of 5 % at most."""
    return max(1.0, years * HOURS_PER_YEAR / every_hours) / ALPHA_SPLIT[test]


def loss_limit(margin: float, share: float, unsure: float = 0.0) -> MeanLimit:
    """What sure answers may lose against the incumbent on average, in [-1, 1], so that all requests together lose at
    most the margin: where only this share of them is answered here, all of the loss is there. `unsure` is by how much
    what is measured of them may miss it."""
    return MeanLimit(min(1.0, margin / share + unsure) if share > 0 else 1.0, -1.0, 1.0)


def overconfidence_limit(agreement: float = 0.0) -> MeanLimit:
    """How far confidence may lie above the share of answers as good as the incumbent's. Values are confidence minus 1
    for an answer as good, confidence for another, in [-1, 1]. `agreement` is how much more
    often answers are as good as the incumbent's than they agree with them."""
    return MeanLimit(min(1.0, max(-1.0, CALIBRATION_TOLERANCE + agreement)), -1.0, 1.0)


def share_limits(low: float, high: float, tolerance: float) -> tuple[MeanLimit, MeanLimit]:
    """The limits of a share that was proven to lie between `low` and `high`: above, and below."""
    return MeanLimit(min(1.0, high + tolerance)), MeanLimit(max(0.0, low - tolerance), least=True)


def smallest_drop_found(
    pairs_per_period: int,
    *,
    margin: float,
    self_noise: float = 0.04,
    periods: int = 8,
    power: float = 0.8,
    threshold: float = THRESHOLD,
    runs: int = 300,
    seed: int = 0,
) -> float | None:
    """The smallest drop that alarms within `periods` periods with the wanted power, by simulation.

    Pairs lose with probability drop + noise / 2 and win with noise / 2. None when not even a total drop would
    be found.
    """
    limit = no_worse(margin)
    uniform = np.random.default_rng(seed).random((runs, periods, pairs_per_period))

    def share(drop: float) -> float:
        win = min(self_noise / 2, 1 - drop)
        d = np.where(
            uniform < win, 1.0, np.where(uniform > 1 - min(drop + self_noise / 2, 1 - win), -1.0, 0.0)
        )
        e_values = np.exp(np.minimum(limit.log_growth(d).sum(axis=2), _LARGEST_LOG))
        statistics, alarmed = np.zeros(e_values[:, 0].shape), np.zeros(runs, dtype=bool)
        for period in range(periods):
            statistics = (statistics + 1) * e_values[:, period]
            alarmed |= statistics.mean(axis=1) >= threshold
            statistics[alarmed] = 0.0  # found; what it grows to no longer matters
        return float(alarmed.mean())

    if share(1.0) < power:
        return None
    return crossing(lambda drop: share(drop) < power, margin, 1.0, 0.005)[1]
