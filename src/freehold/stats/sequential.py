"""Tests that stay valid under continuous looking: one bet on a bounded mean, and what is made of it.

An e-process starts at 1 and has expectation at most 1 under its null at every stopping time, so acting when
it reaches 1 / alpha errs with probability at most alpha, however often the data are looked at (Ville 1939). States
are frozen records: feed values, keep the new state, store it with the route; never reset it on a restart.

Covered: means of bounded values (differences of pairs, shares of failures, late answers), and, where a share lies
between two, Wald's test. The values must be one per independent unit, in the order of exposure (`one_value_per_unit`):
per-request values of sticky users made 51 % false rollbacks out of a promised 1 %. Not covered: quantiles, periods
(`drift`).

Sources: Waudby-Smith & Ramdas 2024, JRSS-B 86:1; Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of Statistics 49:1055;
Wald 1945, Annals of Mathematical Statistics 16:117.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

from freehold.late import np
from freehold.stats.binary import Floats
from freehold.types.record import Record

BETS = 10
_SIZES = tuple(2.0**-step for step in range(BETS))
_LARGEST_BET = 0.95
EQUAL = (0.0,) * BETS
TOWARDS_HALF = tuple(math.log(BETS / 2 * (size / sum(_SIZES) + (size == _SIZES[1]))) for size in _SIZES)
"""How wealth is spread over the bets at first: equally; or, where a share is to be shown to lie below a limit, half of
it on the bet that Wald's test makes for a share of half the limit, and the rest in proportion to the bets' size. That
takes a third fewer units at half the limit."""

ALPHA_SPLIT = {"quality": 0.02, "errors": 0.01, "latency": 0.01, "validity": 0.005, "spare": 0.005}
"""How a total false-rollback probability of 0.05 per rollout, over its whole life, is shared out."""


class MeanLimit(NamedTuple):
    """The claim that values in [`low`, `high`] have a mean of at most `at`; with `least`, of at least `at`."""

    at: float
    low: float = 0.0
    high: float = 1.0
    least: bool = False

    def log_growth(self, values: Sequence[float] | Floats) -> Floats:
        """By what each value multiplies the wealth of each of ten constant bets against the claim, as logarithms.

        Shape: that of the values and one axis more, of `BETS`. While the claim holds, each factor is at most 1 on
        average, for every distribution. Raises `ValueError` for values out of range.
        """
        x = np.asarray(values, dtype=float)
        if not ((x >= self.low) & (x <= self.high)).all():
            raise ValueError(f"values must lie in [{self.low:g}, {self.high:g}]")
        gains, room = (self.at - x, self.high - self.at) if self.least else (x - self.at, self.at - self.low)
        return np.asarray(np.log1p(np.multiply.outer(gains, _LARGEST_BET / room * np.array(_SIZES))))

    @property
    def can_break(self) -> bool:
        """Whether any values could contradict the claim."""
        return self.at > self.low if self.least else self.at < self.high


class MeanTest(Record, frozen=True, kw_only=True):
    """E-process against a claim on a mean: a mixture of ten constant bets. It needs no tuning and cannot peek."""

    limit: MeanLimit
    log_wealths: tuple[float, ...] = EQUAL
    t: int = 0
    total: float = 0.0
    max_log_e: float = 0.0

    @property
    def log_e(self) -> float:
        return float(log_mean_exp(np.asarray(self.log_wealths)))

    @property
    def mean(self) -> float | None:
        """Mean of the values so far; None before the first."""
        return self.total / self.t if self.t else None

    def crossed(self, alpha: float) -> bool:
        """Whether it has ever reached 1 / alpha."""
        return self.max_log_e >= math.log(1 / alpha)

    def update(self, values: Iterable[float]) -> MeanTest:
        """The state after more values, one per independent unit. Raises `ValueError` for values out of range."""
        x = np.fromiter(values, float)
        if not len(x):
            return self
        wealths = np.asarray(self.log_wealths) + np.cumsum(self.limit.log_growth(x), axis=0)
        return MeanTest(
            limit=self.limit,
            log_wealths=tuple(wealths[-1].tolist()),
            t=self.t + len(x),
            total=self.total + math.fsum(x),
            max_log_e=max(self.max_log_e, float(log_mean_exp(wealths).max())),
        )


def log_mean_exp(values: Floats) -> Floats:
    """The logarithm of the mean of exponentials, over the last axis."""
    top = values.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + np.log(np.exp(values - top).mean(axis=-1)), dtype=float)


Shown = Literal["enough", "too few", "undecided"]


class ShareTest(NamedTuple):
    """Wald's test of a share between two: `wanted` should pass, `least` should not, `error` is the largest probability
    of either mistake. Shares between the two may be decided either way; undecided items ask for more of them.

    The ratio of the two likelihoods is a bet against either, so that both errors hold wherever it is stopped.
    """

    wanted: float
    least: float
    error: float

    @property
    def fewest(self) -> int:
        """Items that show *enough* when all of them are as wanted."""
        return math.ceil(math.log(1 / self.error) / math.log(self.wanted / self.least) - 1e-9)

    def shown(self, items: Sequence[bool]) -> Shown:
        """What the items show, in the order they came. Once decided it stays, whatever follows."""
        hit, miss = math.log(self.wanted / self.least), math.log((1 - self.wanted) / (1 - self.least))
        path = np.cumsum(np.where(np.asarray(items, dtype=bool), hit, miss))
        decided = np.flatnonzero(np.abs(path) >= math.log(1 / self.error))
        if not len(decided):
            return "undecided"
        return "enough" if path[decided[0]] > 0 else "too few"


def predictable_bets(x: Floats, log_level: float) -> Floats:
    """Bets that look back only: ``sqrt(2 level / (t ln(1 + t) s^2))`` with the variance before t (prior 1/2, 1/4)."""
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.asarray(np.sqrt(2 * log_level / (t * np.log1p(t) * before)), dtype=float)


def empirical_bernstein_lower_cs(
    x: Sequence[float], *, alpha: float = 0.05, truncation: float = 0.5
) -> Floats:
    """Predictable plug-in empirical Bernstein lower limit of a mean in [0, 1] after each observation.

    Cheap and for display; betting decides.
    """
    values = np.asarray(x, dtype=float)
    bets = np.minimum(predictable_bets(values, math.log(1 / alpha)), truncation)
    t = np.arange(1, len(values) + 1)
    before = np.concatenate([[0.0], (np.cumsum(values) / t)[:-1]])
    penalty = (values - before) ** 2 * (-np.log1p(-bets) - bets)
    lower = (np.cumsum(bets * values) - math.log(1 / alpha) - np.cumsum(penalty)) / np.cumsum(bets)
    return np.asarray(np.maximum(lower, 0.0), dtype=float)


def one_value_per_unit(units: Sequence[Hashable], scores: Sequence[float]) -> list[tuple[Hashable, float]]:
    """Mean score of each unit, in order of first appearance.

    A unit is what is assigned as a whole (user, conversation): its requests share an effect and are not
    independent. The estimate is then weighted by units.
    """
    seen: dict[Hashable, list[float]] = {}
    for unit, score in zip(units, scores, strict=True):
        seen.setdefault(unit, []).append(score)
    return [(unit, math.fsum(values) / len(values)) for unit, values in seen.items()]
