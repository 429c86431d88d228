"""After cut-over: e-detectors over periods, and what a re-check budget can find.

`CUSUM: M <- max(M, 1) e`, `Shiryaev-Roberts: M <- (M + 1) e`, alarm at M >= A. The mean number of periods to
a false alarm is at least A: a promise about run lengths, not a lifetime false-alarm probability.

Source: Shin, Ramdas & Rinaldo 2024, New England Journal of Statistics in Data Science 2:229.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from freehold.late import np
from freehold.stats.sequential import PairedGrid, paired_grid_e_process
from freehold.types.record import Record

THRESHOLD = 200.0
"""Weekly periods: a false alarm in about four years."""

USUAL_FAILURES = 0.05
"""Share of failed requests that is borne: one in twenty."""
LOOKS_TO_ALARM = 1e6
"""Looks to a false alarm, on average, where exactly `USUAL_FAILURES` fails all the time: looking every two seconds,
three weeks. What fails half as often never gets near it."""
_RATES = (0.1, 0.2, 0.4, 0.7, 0.95)

_LARGEST_LOG = 600.0
_LARGEST = 1e300  # JSON has no infinity, and no threshold is near it


class EDetector(Record, frozen=True, kw_only=True):
    """Both detectors as a state to store; after an action start again from a new one."""

    cusum: float = 0.0
    shiryaev_roberts: float = 0.0
    periods: int = 0

    def update(self, e_value: float) -> EDetector:
        """The state after one more period."""
        return EDetector(
            cusum=min(max(self.cusum, 1.0) * e_value, _LARGEST),
            shiryaev_roberts=min((self.shiryaev_roberts + 1) * e_value, _LARGEST),
            periods=self.periods + 1,
        )

    def alarm(self, threshold: float = THRESHOLD) -> bool:
        """Whether the Shiryaev-Roberts statistic, the quicker of the two, has reached the threshold."""
        return max(self.cusum, self.shiryaev_roberts) >= threshold


class FailureDetector(Record, frozen=True, kw_only=True):
    """Whether more than `USUAL_FAILURES` of requests fails: the state of one test; after an alarm begin with a new one.

    Of n requests with k failures the evidence against "at most p0 fail" is the mean over larger rates p1 of
    (p1/p0)^k ((1-p1)/(1-p0))^(n-k), an e-value for every rate up to p0; the Shiryaev-Roberts statistic carries it on.
    """

    log_statistic: float = -math.inf

    def update(self, requests: int, failed: int) -> FailureDetector:
        """The state after a look that saw `failed` of `requests` fail."""
        if requests <= 0:
            return self
        return FailureDetector(
            log_statistic=min(_LARGEST_LOG, _log_plus_one(self.log_statistic) + _log_e(requests, failed))
        )

    @property
    def alarm(self) -> bool:
        """Whether more than `USUAL_FAILURES` fails."""
        return self.log_statistic >= math.log(LOOKS_TO_ALARM)


def _log_plus_one(log_value: float) -> float:
    return log_value + math.log1p(math.exp(-log_value)) if log_value > 0 else math.log1p(math.exp(log_value))


def _log_e(requests: int, failed: int) -> float:
    logs = [
        failed * math.log(rate / USUAL_FAILURES)
        + (requests - failed) * math.log((1 - rate) / (1 - USUAL_FAILURES))
        for rate in _RATES
    ]
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs) / len(logs))


def period_e_value(d: Sequence[float], margin: float) -> float:
    """E-value of one period's pairs against H0: difference >= -margin; the order must be fixed beforehand."""
    log_e = paired_grid_e_process(d, margin=margin, side="rollback", alpha=0.05).log_e_final
    return math.exp(min(log_e, _LARGEST_LOG))


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
    step = PairedGrid(margin=margin, side="rollback")
    uniform = np.random.default_rng(seed).random((runs, periods, pairs_per_period))

    def share(drop: float) -> float:
        win = min(self_noise / 2, 1 - drop)
        d = np.where(
            uniform < win, 1.0, np.where(uniform > 1 - min(drop + self_noise / 2, 1 - win), -1.0, 0.0)
        )
        wealth = step._steps(d.reshape(-1, pairs_per_period).T)[-1].reshape(runs, periods, -1)
        e_values = np.exp(np.minimum(wealth, _LARGEST_LOG)).mean(axis=-1)
        statistic, alarmed = np.zeros(runs), np.zeros(runs, dtype=bool)
        for period in range(periods):
            statistic = (statistic + 1) * e_values[:, period]
            alarmed |= statistic >= threshold
            statistic[alarmed] = 0.0  # found; what it grows to no longer matters
        return float(alarmed.mean())

    low, high = margin, 1.0
    if share(high) < power:
        return None
    while high - low > 0.005:
        middle = (low + high) / 2
        if share(middle) >= power:
            high = middle
        else:
            low = middle
    return high
