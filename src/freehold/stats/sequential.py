"""Tests that stay valid under continuous looking: e-processes and confidence sequences.

An e-process starts at 1 and has expectation at most 1 under its null at every stopping time, so acting when
it reaches 1 / alpha errs with probability at most alpha, however often the data are looked at (Ville 1939). States
are frozen records: feed values, keep the new state, store it with the route; never reset it on a restart.

Covered: bounded means, shadow pairs, two arms with logged assignment probabilities. The values must be one
per independent unit, in the order of exposure (`one_value_per_unit`): per-request values of sticky users
made 42 % false rollbacks out of a promised 1 %. Not covered: quantiles, periods (`drift`).

Sources: Waudby-Smith & Ramdas 2024, JRSS-B 86:1; Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of Statistics 49:1055.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

from freehold.late import np
from freehold.stats.binary import Floats
from freehold.types.record import Record

Side = Literal["rollback", "promote"]

_GRID = 10
_POWERS = tuple(2.0**-step for step in range(_GRID))
_ZEROS = (0.0,) * _GRID

ALPHA_SPLIT = {"quality": 0.02, "errors": 0.01, "latency": 0.01, "validity": 0.005, "spare": 0.005}
"""How a total false-rollback probability of 0.05 per rollout, over its whole life, is shared out."""


class EProcessPath(NamedTuple):
    """An e-process over a whole sequence: its last log value and the first t (from 1) at which it acts."""

    log_e_final: float
    first_crossing_t: int | None
    log_e: Floats


def _path(log_e: Floats, alpha: float) -> EProcessPath:
    crossed = np.flatnonzero(log_e >= math.log(1 / alpha))
    return EProcessPath(
        float(log_e[-1]) if len(log_e) else 0.0, int(crossed[0]) + 1 if len(crossed) else None, log_e
    )


def _log_mean_exp(values: Floats) -> Floats:
    top = values.max(axis=-1, keepdims=True)
    return np.asarray(top[..., 0] + np.log(np.exp(values - top).mean(axis=-1)), dtype=float)


class PairedGrid(Record, frozen=True, kw_only=True):
    """E-process on shadow pairs d in [-1, 1]: a mixture of ten constant bets.

    rollback: H0 difference >= -margin. promote: H0 difference <= -margin. The constant grid needs no tuning,
    cannot peek, and is valid for every distribution of d.
    """

    margin: float
    side: Side
    log_wealths: tuple[float, ...] = _ZEROS
    t: int = 0
    max_log_e: float = 0.0

    @property
    def log_e(self) -> float:
        return float(_log_mean_exp(np.asarray(self.log_wealths)))

    def crossed(self, alpha: float) -> bool:
        """Whether it has ever reached 1 / alpha."""
        return self.max_log_e >= math.log(1 / alpha)

    def update(self, d: Iterable[float]) -> PairedGrid:
        """The state after more pairs, one per independent unit."""
        values = np.fromiter(d, float)
        if not len(values):
            return self
        wealths = np.asarray(self.log_wealths) + self._steps(values)
        return PairedGrid(
            margin=self.margin,
            side=self.side,
            log_wealths=tuple(wealths[-1].tolist()),
            t=self.t + len(values),
            max_log_e=max(self.max_log_e, float(_log_mean_exp(wealths).max())),
        )

    def _steps(self, values: Floats) -> Floats:
        if np.isnan(values).any() or (np.abs(values) > 1).any():
            raise ValueError("differences must lie in [-1, 1]")
        if self.side == "rollback":
            gains, largest = -self.margin - values, 0.95 / (1 + self.margin)
        else:
            gains, largest = values + self.margin, 0.95 / (1 - self.margin)
        return np.cumsum(np.log1p(np.multiply.outer(gains, largest * np.array(_POWERS))), axis=0)


def paired_grid_e_process(d: Sequence[float], *, margin: float, side: Side, alpha: float) -> EProcessPath:
    """`PairedGrid` over a whole sequence."""
    values = np.asarray(d, dtype=float)
    if not len(values):
        return _path(np.empty(0), alpha)
    return _path(_log_mean_exp(PairedGrid(margin=margin, side=side)._steps(values)), alpha)


class Exposure(NamedTuple):
    """One independent unit of a canary: its arm, its score in [0, 1], the logged P(candidate) it had."""

    candidate: bool
    score: float
    probability: float


class AipwCanary(Record, frozen=True, kw_only=True):
    """E-process on two randomised arms, by augmented inverse probability weighting.

    With predictable arm means m1, m0 the value ``m1 - m0 + Z (X - m1) / p - (1 - Z) (X - m0) / (1 - p)`` has
    the effect at its time as expectation. It survives ramping p, drift common to both arms and unequal arms.
    """

    margin: float
    side: Side = "rollback"
    prior_mean: float = 0.95
    prior_weight: float = 10.0
    cap: float = 0.9
    log_wealths: tuple[float, ...] = _ZEROS
    t: int = 0
    max_log_e: float = 0.0
    candidate_n: int = 0
    candidate_sum: float = 0.0
    incumbent_n: int = 0
    incumbent_sum: float = 0.0
    effect_sum: float = 0.0

    @property
    def log_e(self) -> float:
        return float(_log_mean_exp(np.asarray(self.log_wealths)))

    @property
    def effect(self) -> float | None:
        """Mean of the weighted values: an unbiased estimate of the average effect so far."""
        return self.effect_sum / self.t if self.t else None

    def crossed(self, alpha: float) -> bool:
        """Whether it has ever reached 1 / alpha."""
        return self.max_log_e >= math.log(1 / alpha)

    def update(self, exposures: Iterable[Exposure]) -> AipwCanary:
        """The state after more units, in order of exposure."""
        wealths = np.asarray(self.log_wealths)
        n1, s1, n0, s0 = self.candidate_n, self.candidate_sum, self.incumbent_n, self.incumbent_sum
        t, best, total = self.t, self.max_log_e, self.effect_sum
        prior = self.prior_mean * self.prior_weight
        for chosen, score, p in exposures:
            if not 0 < p < 1:
                raise ValueError(f"assignment probability {p} is not between 0 and 1")
            if not 0 <= score <= 1:
                raise ValueError(f"score {score} is outside [0, 1]")
            m1, m0 = (prior + s1) / (self.prior_weight + n1), (prior + s0) / (self.prior_weight + n0)
            gap = m1 - m0
            value = gap + ((score - m1) / p if chosen else -(score - m0) / (1 - p))
            if self.side == "rollback":
                gain = -self.margin - value
                reach = self.margin + gap + max((1 - m1) / p, m0 / (1 - p))
            else:
                gain = value + self.margin
                reach = max(m1 / p, (1 - m0) / (1 - p)) - gap - self.margin
            wealths = wealths + np.log1p(self.cap / max(reach, self.margin) * np.array(_POWERS) * gain)
            if chosen:
                n1, s1 = n1 + 1, s1 + score
            else:
                n0, s0 = n0 + 1, s0 + score
            t, total = t + 1, total + value
            best = max(best, float(_log_mean_exp(wealths)))
        return AipwCanary(
            margin=self.margin,
            side=self.side,
            prior_mean=self.prior_mean,
            prior_weight=self.prior_weight,
            cap=self.cap,
            log_wealths=tuple(wealths.tolist()),
            t=t,
            max_log_e=best,
            candidate_n=n1,
            candidate_sum=s1,
            incumbent_n=n0,
            incumbent_sum=s0,
            effect_sum=total,
        )


class MeanBet(Record, frozen=True, kw_only=True):
    """One-sided betting against a limit on a mean in [0, 1]: error rate, share of slow answers.

    `above`: H0 mean <= limit, so that it grows when the limit is broken. Otherwise H0 mean >= limit.
    `alpha` only tunes the bets; any threshold is valid.
    """

    limit: float
    above: bool = True
    alpha: float = 0.01
    log_e: float = 0.0
    max_log_e: float = 0.0
    t: int = 0
    total: float = 0.0
    spread: float = 0.0

    def crossed(self, alpha: float) -> bool:
        """Whether it has ever reached 1 / alpha."""
        return self.max_log_e >= math.log(1 / alpha)

    def update(self, values: Iterable[float]) -> MeanBet:
        """The state after more units; each bet depends on what came before it only."""
        log_e, best, t, total, spread = self.log_e, self.max_log_e, self.t, self.total, self.spread
        room = self.limit if self.above else 1 - self.limit
        sign = 1.0 if self.above else -1.0
        for x in values:
            if not 0 <= x <= 1:
                raise ValueError(f"value {x} is outside [0, 1]")
            variance = (0.25 + spread) / (t + 1)
            t += 1
            bet = math.sqrt(2 * math.log(1 / self.alpha) / (t * math.log1p(t) * variance))
            log_e += math.log1p(min(bet, 0.5 / room) * sign * (x - self.limit))
            best = max(best, log_e)
            total += x
            spread += (x - (0.5 + total) / (t + 1)) ** 2
        return MeanBet(
            limit=self.limit,
            above=self.above,
            alpha=self.alpha,
            log_e=log_e,
            max_log_e=best,
            t=t,
            total=total,
            spread=spread,
        )


def predictable_bets(x: Floats, log_level: float) -> Floats:
    """Bets that look back only: ``sqrt(2 level / (t ln(1 + t) s^2))`` with the variance before t (prior 1/2, 1/4)."""
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.asarray(np.sqrt(2 * log_level / (t * np.log1p(t) * before)), dtype=float)


def empirical_bernstein_lower_cs(
    x: Sequence[float], *, alpha: float = 0.05, truncation: float = 0.5, running_intersection: bool = False
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
    lower = np.maximum(lower, 0.0)
    return np.asarray(np.maximum.accumulate(lower) if running_intersection else lower, dtype=float)


def one_value_per_unit(
    units: Sequence[Hashable], scores: Sequence[float], *, first: int | None = None
) -> list[tuple[Hashable, float]]:
    """Mean score of each unit's first `first` values (None: all), in order of first appearance.

    A unit is what is assigned as a whole (user, conversation): its requests share an effect and are not
    independent. The estimate is then weighted by units.
    """
    seen: dict[Hashable, list[float]] = {}
    for unit, score in zip(units, scores, strict=True):
        values = seen.setdefault(unit, [])
        if first is None or len(values) < first:
            values.append(score)
    return [(unit, math.fsum(values) / len(values)) for unit, values in seen.items()]


def new_unit_probability(before: float, after: float) -> float:
    """When the share rises, the probability that a unit not yet exposed to the candidate becomes so."""
    if not 0 <= before <= after <= 1 or before == 1:
        raise ValueError(f"a share rises from {before} to {after}: expected 0 <= before <= after <= 1")
    return (after - before) / (1 - before)


def breaker_failures(expected_requests: float, usual_error_rate: float) -> int:
    """Consecutive upstream failures that open the hard breaker: chance below 0.001 over the rollout, at least 5.

    Engineering, not inference: an outage need not wait for a test.
    """
    if usual_error_rate <= 0:
        return 5
    if usual_error_rate >= 1:
        raise ValueError("an upstream that always fails cannot be watched by its failures")
    return max(5, math.ceil(math.log(0.001 / expected_requests) / math.log(usual_error_rate)))
