"""Tests that stay valid while people look: e-processes and confidence sequences.

An e-process starts at 1 and has expectation at most 1 under its null at every stopping time, so acting when
it reaches 1 / alpha errs with probability at most alpha, however often anybody looks (Ville 1939). States
are frozen records: feed values, keep the new state, store it with the route; never reset it on a restart.

Covered: bounded means, shadow pairs, two arms with logged assignment probabilities. The values must be one
per independent unit, in the order of exposure (`one_value_per_unit`): per-request values of sticky users
made 42 % false rollbacks out of a promised 1 %. Not covered: quantiles (`quantiles`), periods (`drift`).

Sources: Waudby-Smith & Ramdas 2024, JRSS-B 86:1; Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of
Statistics 49:1055; Vovk & Wang 2021, Annals of Statistics 49:1736.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np

from freehold.stats.binary import Floats
from freehold.stats.slices import holm
from freehold.types.record import Record

Side = Literal["rollback", "promote"]

_GRID = 10
_POWERS = 2.0 ** -np.arange(_GRID)
_ZEROS = (0.0,) * _GRID

ALPHA_SPLIT = {"quality": 0.02, "errors": 0.01, "latency": 0.01, "validity": 0.005, "spare": 0.005}
"""How a total false-rollback probability of 0.05 per rollout, over its whole life, is shared out."""


class Path(NamedTuple):
    """An e-process over a whole sequence: its last log value and the first t (from 1) at which it acts."""

    log_e_final: float
    first_crossing_t: int | None
    log_e: Floats


def _path(log_e: Floats, alpha: float) -> Path:
    crossed = np.flatnonzero(log_e >= math.log(1 / alpha))
    return Path(float(log_e[-1]) if len(log_e) else 0.0, int(crossed[0]) + 1 if len(crossed) else None, log_e)


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
        return np.cumsum(np.log1p(np.multiply.outer(gains, largest * _POWERS)), axis=0)


def paired_grid_e_process(d: Sequence[float], *, margin: float, side: Side, alpha: float) -> Path:
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
        state, _ = self._feed(exposures)
        return state

    def _feed(self, exposures: Iterable[Exposure]) -> tuple[AipwCanary, list[float]]:
        wealths = np.asarray(self.log_wealths)
        n1, s1, n0, s0 = self.candidate_n, self.candidate_sum, self.incumbent_n, self.incumbent_sum
        t, best, total, path = self.t, self.max_log_e, self.effect_sum, []
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
            wealths = wealths + np.log1p(self.cap / max(reach, self.margin) * _POWERS * gain)
            if chosen:
                n1, s1 = n1 + 1, s1 + score
            else:
                n0, s0 = n0 + 1, s0 + score
            t, total = t + 1, total + value
            path.append(float(_log_mean_exp(wealths)))
            best = max(best, path[-1])
        state = AipwCanary(
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
        return state, path


def aipw_canary_e_process(exposures: Iterable[Exposure], *, start: AipwCanary, alpha: float) -> Path:
    """`AipwCanary` over a whole sequence."""
    return _path(np.asarray(start._feed(exposures)[1]), alpha)


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


def _bets(x: Floats, log_level: float) -> Floats:
    """Predictable bets: ``sqrt(2 level / (t ln(1 + t) s^2))`` with the variance before t (prior 1/2, 1/4)."""
    t = np.arange(1, len(x) + 1)
    means = (0.5 + np.cumsum(x)) / (t + 1)
    variances = (0.25 + np.cumsum((x - means) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], variances[:-1]])
    return np.asarray(np.sqrt(2 * log_level / (t * np.log1p(t) * before)), dtype=float)


def hedged_betting_log_wealth(
    x: Sequence[float], m: float | Floats, *, alpha: float = 0.05, truncation: float = 0.5
) -> Floats:
    """log max(K+ / 2, K- / 2) after each observation, for H0: mean = m (a number or a grid of numbers).

    Shape: (t,) for a number, (grid, t) for a grid.
    """
    values = np.asarray(x, dtype=float)
    means = np.atleast_1d(np.asarray(m, dtype=float))[:, None]
    bets = _bets(values, math.log(2 / alpha))[None, :]
    with np.errstate(divide="ignore"):
        up = np.minimum(bets, truncation / means)
        down = np.minimum(bets, truncation / (1 - means))
    above = np.cumsum(np.log1p(up * (values - means)), axis=1)
    below = np.cumsum(np.log1p(-down * (values - means)), axis=1)
    wealth = np.maximum(above, below) - math.log(2)
    return np.asarray(wealth[0] if np.ndim(m) == 0 else wealth, dtype=float)


def betting_cs(
    x: Sequence[float], *, alpha: float = 0.05, grid: int = 1000, running_intersection: bool = False
) -> tuple[Floats, Floats]:
    """Confidence sequence of a mean in [0, 1]: the grid points whose wealth is below 1 / alpha, per t.

    The intersection over time may only be taken if the mean is assumed constant.
    """
    points = (np.arange(grid) + 0.5) / grid
    alive = hedged_betting_log_wealth(x, points, alpha=alpha) < math.log(1 / alpha)
    step = 0.5 / grid
    empty = ~alive.any(axis=0)
    lower = np.where(empty, 0.0, points[alive.argmax(axis=0)] - step)
    upper = np.where(empty, 1.0, points[grid - 1 - alive[::-1].argmax(axis=0)] + step)
    if running_intersection:
        lower, upper = np.maximum.accumulate(lower), np.minimum.accumulate(upper)
    return np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)


def empirical_bernstein_lower_cs(
    x: Sequence[float], *, alpha: float = 0.05, truncation: float = 0.5, running_intersection: bool = False
) -> Floats:
    """Predictable plug-in empirical Bernstein lower limit of a mean in [0, 1] after each observation.

    Cheap and for display; betting decides.
    """
    values = np.asarray(x, dtype=float)
    bets = np.minimum(_bets(values, math.log(1 / alpha)), truncation)
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


def merge_log_e(log_es: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """A weighted mean of e-values is an e-value under any dependence: "is anything wrong?"."""
    values = np.asarray(log_es, dtype=float)
    shares = np.full(len(values), 1 / len(values)) if weights is None else np.asarray(weights, dtype=float)
    top = float(values.max())
    return top + math.log(float((shares / shares.sum() * np.exp(values - top)).sum()))


def online_slice_p(max_log_e: Sequence[float]) -> list[float]:
    """Holm-adjusted anytime p-values of slices from the largest e-value each has ever reached."""
    return holm([min(1.0, math.exp(-value)) for value in max_log_e])


def breaker_failures(expected_requests: float, usual_error_rate: float) -> int:
    """Consecutive upstream failures that open the hard breaker: chance below 0.001 over the rollout, at least 5.

    Engineering, not inference: an outage need not wait for a test.
    """
    if usual_error_rate <= 0:
        return 5
    if usual_error_rate >= 1:
        raise ValueError("an upstream that always fails cannot be watched by its failures")
    return max(5, math.ceil(math.log(0.001 / expected_requests) / math.log(usual_error_rate)))
