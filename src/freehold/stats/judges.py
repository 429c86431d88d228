"""Model judges: order swap, position and length bias, calibration with human labels.

A judge's score is a measurement with its own error. Prediction-powered inference corrects it with a few
human labels and still says how sure the result is.

Sources: Angelopoulos, Duchi & Zrnic 2023 (PPI++, arXiv 2311.01453); Dubois et al. 2024 (length-controlled AlpacaEval,
arXiv 2404.04475).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from freehold.stats.binary import Floats, sign_test_p
from freehold.stats.clustered import Codes, cluster_robust_mean, dense_codes
from freehold.stats.continuous import t_quantile

Call = Literal["C", "I", "T"]
"""One judgement: candidate, incumbent or tie."""

MIN_CONSISTENCY = 0.7
MIN_HUMAN_LABELS = 50
_CROSSFIT_BELOW = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeEvidence:
    """What is known about the model judge that scored. A judge may promote only when it is calibrated.

    `human_labels` counts the items people labelled blindly, `calibrated_low` is the lower limit of the
    prediction-powered difference, `same_family` says that the judge is of the incumbent's own family.
    """

    human_labels: int = 0
    calibrated_low: float | None = None
    margin: float = 0.0
    consistency: float | None = None
    same_family: bool = False
    checks_agree: bool = True

    def objections(self) -> tuple[list[str], list[str]]:
        """Codes that veto a promote, and codes that allow neither promote nor reject."""
        calibrated = (
            self.human_labels >= MIN_HUMAN_LABELS
            and self.calibrated_low is not None
            and self.calibrated_low > -self.margin
            and self.checks_agree
        )
        vetoes = [] if calibrated else ["judge_uncalibrated"]
        blocks = []
        if self.consistency is not None and self.consistency < MIN_CONSISTENCY:
            blocks.append("judge_inconsistent")
        if self.same_family and self.human_labels < MIN_HUMAN_LABELS:
            blocks.append("judge_uncalibrated")
            vetoes = []
        return vetoes, blocks


class OrderSwap(NamedTuple):
    """Scores in {-1, 0, 1} per item with the judge's consistency and its preference for the first answer.

    `p_position` tests, one vote per item, that first and second are preferred alike.
    """

    scores: list[int]
    mean: float | None
    consistency: float | None
    first_position_share: float | None
    p_position: float


class LengthControlled(NamedTuple):
    """Raw difference and difference at equal length with limits; `slope` is per standard deviation."""

    raw: float
    estimate: float
    lower: float
    upper: float
    slope: float


class Ppi(NamedTuple):
    """Prediction-powered mean with its limits and the weight the judge got."""

    lam: float
    estimate: float
    lower: float
    upper: float
    se: float


def order_swap(candidate_first: Sequence[Call], candidate_second: Sequence[Call]) -> OrderSwap:
    """Join judgements of the same items in both orders: a win counts only when both orders say so."""
    worth = {"C": 1, "I": -1, "T": 0}
    scores, same, first_wins, decided, leaning = [], 0, 0, 0, []
    for one, two in zip(candidate_first, candidate_second, strict=True):
        scores.append(worth[one] if one == two else 0)
        same += one == two
        firsts = (one == "C") + (two == "I")
        seconds = (one == "I") + (two == "C")
        first_wins, decided = first_wins + firsts, decided + firsts + seconds
        if firsts != seconds:
            leaning.append(firsts > seconds)
    n = len(scores)
    return OrderSwap(
        scores,
        sum(scores) / n if n else None,
        same / n if n else None,
        first_wins / decided if decided else None,
        sign_test_p(sum(leaning), len(leaning)),
    )


def length_controlled(
    scores: Floats, log_length_ratio: Floats, *, alpha: float = 0.025, codes: Codes | None = None
) -> LengthControlled:
    """Regress scores on log(candidate length / incumbent length), scaled to unit spread, not centred.

    The intercept is the difference at equal length. Standard errors are cluster-robust (each item its own
    cluster when `codes` is None), t with K - 2 degrees of freedom.
    """
    y, ratio = np.asarray(scores, dtype=float), np.asarray(log_length_ratio, dtype=float)
    raw = float(y.mean())
    spread = float(ratio.std())
    groups = np.arange(len(y)) if codes is None else dense_codes(codes)
    k = int(groups.max()) + 1
    if spread == 0 or k < 3:
        mean = cluster_robust_mean(groups, y, alpha=alpha)
        return LengthControlled(raw, raw, mean.lower, mean.upper, 0.0)
    design = np.column_stack([np.ones(len(y)), ratio / spread])
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ y
    residuals = y - design @ beta
    meat = np.zeros((k, 2))
    np.add.at(meat, groups, design * residuals[:, None])
    variance = k / (k - 1) * (bread @ (meat.T @ meat) @ bread)[0, 0]
    half = t_quantile(alpha, k - 2) * math.sqrt(max(float(variance), 0.0))
    return LengthControlled(raw, float(beta[0]), float(beta[0]) - half, float(beta[0]) + half, float(beta[1]))


def _variance_of_mean(values: Floats, codes: Codes | None) -> float:
    if codes is not None:
        return cluster_robust_mean(dense_codes(codes), values).se ** 2
    return float(values.var(ddof=1)) / len(values)


def _tuned(human: Floats, judge: Floats, rest: Floats) -> float:
    """The weight in [0, 1] of the judge's scores that makes the variance of the estimate smallest."""
    pooled = np.concatenate([judge, rest])
    variance = float(pooled.var(ddof=1))
    if variance == 0 or len(human) < 2:
        return 0.0
    covariance = float(((human - human.mean()) * (judge - judge.mean())).sum()) / (len(human) - 1)
    return min(max(covariance / ((1 + len(human) / len(rest)) * variance), 0.0), 1.0)


def ppi_mean(
    human: Sequence[float],
    judge_on_human: Sequence[float],
    judge_on_rest: Sequence[float],
    *,
    alpha: float = 0.025,
    lam: float | None = None,
    reach: float = 2.0,
    codes: tuple[Codes, Codes] | None = None,
    seed: int = 0,
) -> Ppi:
    """Mean difference from n human-labelled items and N further items that only the judge scored.

    ``estimate = lam mean(U) + mean(Y - lam F)`` with t (n - 1 degrees of freedom) and sample variances. `lam`
    None tunes it, by two-fold cross-fitting below 50 labels. `reach` is the width of the range of scores: when
    judge and humans agree on every label the correction has no variance, and the limits move outwards by
    ``reach (1 - alpha^(1/n))`` instead of believing in a perfect judge. `codes` are the clusters of the labelled
    and of the further items. The labelled items must be drawn at random.
    """
    y, f, u = (np.asarray(values, dtype=float) for values in (human, judge_on_human, judge_on_rest))
    n = len(y)
    if n < 2 or len(f) != n or len(u) < 2:
        raise ValueError(
            "at least two human labels with the judge's scores, and two further items, are needed"
        )
    if lam is None and n < _CROSSFIT_BELOW:
        order = np.random.default_rng(seed).permutation(n)
        halves = order[: n // 2], order[n // 2 :]
        weights = np.empty(n)
        weights[halves[0]] = _tuned(y[halves[1]], f[halves[1]], u)
        weights[halves[1]] = _tuned(y[halves[0]], f[halves[0]], u)
    else:
        weights = np.full(n, _tuned(y, f, u) if lam is None else lam)
    used = float(weights.mean())
    residuals = y - weights * (f - u.mean())
    estimate = float(residuals.mean())
    corrected = y - weights * f if np.ptp(weights) == 0 else residuals
    labelled_codes, rest_codes = codes or (None, None)
    variance = used**2 * _variance_of_mean(u, rest_codes) + _variance_of_mean(corrected, labelled_codes)
    half = t_quantile(alpha, n - 1) * math.sqrt(variance)
    if bool((y == f).all()):
        half += reach * (1 - alpha ** (1 / n))
    return Ppi(used, estimate, estimate - half, estimate + half, math.sqrt(variance))
