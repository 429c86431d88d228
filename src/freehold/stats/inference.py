"""Limits of one set of differences, by the method that fits them, and the worst case of unscored pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from freehold.late import np
from freehold.stats import rules
from freehold.stats.binary import Floats, tango_ci
from freehold.stats.clustered import (
    ClusterMean,
    Codes,
    clump_effect,
    clump_limits,
    clustered_binary_limits,
    clustered_continuous_limits,
    dense_codes,
    design_effect_used,
)
from freehold.stats.continuous import continuous_limits, rare_loss_p
from freehold.stats.exact import GUARD_UP_TO_N, normal_cdf, p_promote, p_reject, score
from freehold.stats.judges import Ppi
from freehold.stats.rules import DecisionRule
from freehold.stats.slices import ScoredPairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Limits of one set of differences with everything that explains them; None where it does not apply.

    `parts` are all limits that were computed, by method; `p_reject` is asked for where these allow a reject. With
    clusters `mean` is the cluster-robust mean and `design_effect` the one that was used. `is_corrected`: human labels
    corrected a judge's scores.
    """

    method: str
    lower: float | None = None
    upper: float | None = None
    p_noninferiority: float | None = None
    p_exact: float | None = None
    p_reject: float | None = None
    p_rare_loss: float | None = None
    parts: dict[str, tuple[float, float]] = field(default_factory=dict)
    mean: ClusterMean | None = None
    design_effect: float = 1.0
    is_corrected: bool = False

    def calibrated(self, by: Ppi | None) -> Inference:
        """With the limits that human labels give in place of a judge's; as it is without labels or an interval."""
        if by is None or self.lower is None or self.upper is None:
            return self
        parts = {name: limits for name, limits in self.parts.items() if name != "independent"}
        return replace(
            self,
            method=f"prediction-powered, {by.labels} human labels",
            lower=by.lower,
            upper=by.upper,
            p_noninferiority=None,
            p_exact=None,
            p_reject=None,
            p_rare_loss=by.p_rare_loss,
            parts=parts | {"as_judged": (self.lower, self.upper), "calibrated": (by.lower, by.upper)},
            is_corrected=True,
        )

    @property
    def clusters(self) -> int | None:
        return None if self.mean is None else self.mean.clusters


def infer(d: Floats, codes: Codes | None, rule: DecisionRule, *, binary: bool) -> Inference:
    """Choose by the data: clusters, scores at both ends of the range only (`binary`), or anything else."""
    if len(d) == 0:
        return Inference(method="none")
    if codes is None:
        return _binary(d, rule) if binary else _continuous(d, rule)
    if int(codes.max()) == 0:
        return Inference(method="one cluster: no interval")
    return _clustered_binary(codes, d, rule) if binary else _clustered(codes, d, rule)


def _counts(d: Floats) -> tuple[int, int]:
    return int(np.count_nonzero(d > 0)), int(np.count_nonzero(d < 0))


def _tango(d: Floats, rule: DecisionRule) -> tuple[float, float]:
    """Tango's limits of independent binary pairs, on the score's scale."""
    wins, losses = _counts(d)
    found = tango_ci(wins, losses, len(d), rule.alpha)
    return found.lower * rule.reach, found.upper * rule.reach


def _binary(d: Floats, rule: DecisionRule) -> Inference:
    wins, losses = _counts(d)
    n = len(d)
    limits = _tango(d, rule)
    guarded = n <= GUARD_UP_TO_N
    return Inference(
        method="Tango score interval with exact guard" if guarded else "Tango score interval",
        lower=limits[0],
        upper=limits[1],
        p_noninferiority=normal_cdf(-score(wins, losses, n, -rule.unit_margin)),
        p_exact=p_promote(wins, losses, n, rule.unit_margin) if guarded else None,
        p_reject=p_reject(wins, losses, n, rule.unit_margin)
        if guarded and limits[1] < -rule.margin
        else None,
        parts={"tango": limits},
    )


def _continuous(d: Floats, rule: DecisionRule) -> Inference:
    limits = continuous_limits(d, margin=rule.margin, alpha=rule.alpha, lo=rule.lo, hi=rule.hi)
    return Inference(**limits._asdict(), p_rare_loss=rare_loss_p(d, margin=rule.margin, reach=rule.reach))


def _clustered_binary(codes: Codes, d: Floats, rule: DecisionRule) -> Inference:
    reach = rule.reach
    limits = clustered_binary_limits(codes, d / reach, margin=rule.unit_margin, alpha=rule.alpha)
    clumps = clump_limits(codes, d / reach, limits, alpha=rule.alpha)
    return Inference(
        method="t interval over clusters, widened to Tango's",
        lower=min(limits.lower, clumps.lower) * reach,
        upper=max(limits.upper, clumps.upper) * reach,
        p_noninferiority=limits.p_noninferiority,
        parts={
            "cluster_robust_t": (limits.mean.lower * reach, limits.mean.upper * reach),
            "tango_effective_n": (limits.tango[0] * reach, limits.tango[1] * reach),
            "unseen_clumps": (clumps.lower * reach, clumps.upper * reach),
            "independent": _tango(d, rule),
        },
        mean=limits.mean,
        design_effect=limits.design_effect_used,
        p_rare_loss=_lost_users_p(codes, d, rule),
    )


def _lost_users_p(codes: Codes, d: Floats, rule: DecisionRule) -> float:
    """`rare_loss_p` of whole clusters: they can be lost as single items can. Each counts by its part of the mean."""
    parts = np.bincount(codes, weights=d) * (int(codes.max()) + 1) / len(d)
    return rare_loss_p(parts, margin=rule.margin, reach=rule.reach)


def _clustered(codes: Codes, d: Floats, rule: DecisionRule) -> Inference:
    limits, mean = clustered_continuous_limits(
        codes, d, margin=rule.margin, alpha=rule.alpha, lo=rule.lo, hi=rule.hi
    )
    effect = clump_effect(mean, int(np.count_nonzero(np.bincount(codes, weights=d))))
    of_items = rare_loss_p(d, margin=rule.margin, reach=rule.reach, effect=effect)
    p = max(of_items, _lost_users_p(codes, d, rule))
    return Inference(**limits._asdict(), mean=mean, design_effect=design_effect_used(mean), p_rare_loss=p)


class WorstCase(NamedTuple):
    """The lower limit after every unscored pair, and every item that is gone, is counted as lost; None without one.

    `holds` says that the candidate would be promoted even so. Nothing is forgiven: with 1,000 items at a margin of
    2 points, losses unscored on a quarter of the margin promoted a candidate that is worse by it in 10 % (block G of
    the calibration).
    """

    lower: float | None
    holds: bool


def worst_case(pairs: ScoredPairs, rule: DecisionRule, found: Inference, *, gone: int = 0) -> WorstCase:
    """Count every unscored pair as a full loss, and as many items as are `gone`. `found` is of the scored ones."""
    reach, unscored = rule.reach, pairs.unscored.total + gone
    if unscored == 0 or pairs.n == 0 or found.lower is None:
        return WorstCase(None, unscored == 0)
    if found.is_corrected:  # labels say nothing of single pairs: the mean is moved
        lower = (pairs.n * found.lower - unscored * reach) / (pairs.n + unscored)
        return WorstCase(lower, lower > -rule.margin + rules.STRICT)
    codes = None if pairs.declared_codes is None else dense_codes(pairs.declared_codes)
    d = np.full(len(pairs.scored) + gone, -reach)
    d[: len(pairs.scored)][pairs.scored] = pairs.d
    if codes is not None:
        codes = np.append(codes, codes.max(initial=-1) + 1 + np.arange(gone))
    lost = infer(d, codes, rule, binary=pairs.binary)
    holds = lost.lower is not None and lost.lower > -rule.margin + rules.STRICT
    return WorstCase(lost.lower, holds and max(lost.p_exact or 0.0, lost.p_rare_loss or 0.0) <= rule.alpha)
