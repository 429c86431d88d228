"""Model judges: order swap, position and length bias, calibration with human labels.

A judge's score is a measurement with its own error. Prediction-powered inference corrects it with a few
human labels and still says how sure the result is.

Limits stay on the scale: they are t limits of the log odds of where an estimate lies between the ends.

Sources: Angelopoulos, Duchi & Zrnic 2023 (PPI++, arXiv 2311.01453); Dubois et al. 2024 (length-controlled AlpacaEval,
arXiv 2404.04475); Newcombe 2001, The American Statistician 55:200 (limits on the log odds); Hall 1992, The Bootstrap
and Edgeworth Expansion (skewness); Zou & Donner 2008, Statistics in Medicine 27:1693 (square-and-add).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from freehold.late import np, special
from freehold.stats.binary import Floats, sign_test_p
from freehold.stats.clustered import Codes, cluster_robust_mean, dense_codes, design_effect_used
from freehold.stats.continuous import expansion_limits, rare_loss_p, t_quantile

Call = Literal["C", "I", "T"]
"""One judgement: candidate, incumbent or tie."""

MIN_CONSISTENCY = 0.7
MIN_HUMAN_LABELS = 50
_SKEWNESS_FROM_N = 10
_WINS = (-1.0, 1.0)


class Ppi(NamedTuple):
    """Prediction-powered mean with its limits, the weight the judge got, and the human labels it rests on.

    `p_rare_loss` is the exact p that losses too rare to show among the labels hide a drop beyond the margin
    (`stats.continuous.rare_loss_p`); None where no margin was given.
    """

    lam: float
    estimate: float
    lower: float
    upper: float
    se: float
    labels: int = 0
    p_rare_loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeEvidence:
    """What is known about the model judge that scored. A judge may promote only when it is calibrated.

    `human_labels` counts the items people labelled blindly, `calibrated` is the prediction-powered difference,
    `same_family` says that the judge is of the incumbent's own family.
    """

    human_labels: int = 0
    calibrated: Ppi | None = None
    consistency: float | None = None
    same_family: bool = False
    checks_agree: bool = True

    @property
    def headline(self) -> Ppi | None:
        """The difference that counts in place of the judge's own; None where labels are too few for that."""
        return self.calibrated if self.human_labels >= MIN_HUMAN_LABELS else None

    def objections(self) -> tuple[list[str], list[str]]:
        """Codes that veto a promote, and codes that allow neither promote nor reject."""
        vetoes = [] if self.headline is not None and self.checks_agree else ["judge_uncalibrated"]
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
    """Raw difference and difference at equal length with limits.

    Estimate and limits are None where the scores don't reach that far: the line through them leaves the scale before
    it comes to equal length.
    """

    raw: float
    estimate: float | None
    lower: float | None
    upper: float | None


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
        if k < 2:
            return LengthControlled(raw, None, None, None)
        se = cluster_robust_mean(groups, y, alpha=alpha).se
        lower, upper = on_scale(raw, se, t_quantile(alpha, k - 1), _WINS) or (raw, raw)
        return LengthControlled(raw, raw, lower, upper)
    design = np.column_stack([np.ones(len(y)), ratio / spread])
    weights = np.linalg.pinv(design)  # of each score in both coefficients
    intercept, slope = weights @ y
    of_groups = np.bincount(groups, weights=weights[0] * (y - intercept - slope * design[:, 1]))
    se = math.sqrt(k / (k - 1) * float((of_groups**2).sum()))
    limits = on_scale(float(intercept), se, t_quantile(alpha, k - 2), _WINS)
    return LengthControlled(raw, *((float(intercept), *limits) if limits else (None, None, None)))


def on_scale(estimate: float, se: float, t: float, scale: tuple[float, float]) -> tuple[float, float] | None:
    """Limits that stay on the scale: t limits of the log odds, ``(x - lo) / (hi - x)``, by the delta method.

    None for an estimate at an end of the scale or beyond: its log odds are infinite. Without variance both limits are
    the estimate.
    """
    lo, hi = scale
    if se == 0 and lo <= estimate <= hi:
        return estimate, estimate
    if not lo < estimate < hi:
        return None
    center = math.log((estimate - lo) / (hi - estimate))
    half = t * se * (hi - lo) / ((estimate - lo) * (hi - estimate))
    lower, upper = (lo + (hi - lo) * float(special.expit(one)) for one in (center - half, center + half))
    return lower, upper


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
    scale: tuple[float, float] = _WINS,
    codes: tuple[Codes, Codes] | None = None,
    margin: float | None = None,
) -> Ppi:
    """Mean difference from n human-labelled items and N further items that only the judge scored.

    ``estimate = lam mean(U) + mean(Y - lam F)`` with sample variances and t (labelled units less one degrees of
    freedom), on the log odds within `scale`, the range of the differences. `lam` None tunes it, by two-fold
    cross-fitting: tuned on the labels it corrects, it makes them agree too well. Where the estimate leaves the scale,
    the labels alone count (``lam = 0``). Rare losses among the labels skew their mean: the skewness-corrected limits
    count where they are wider (independent labels, at least 10), joined with the judge's by square-and-add. When
    judge and humans agree on every label, or all labels are alike, the correction has no variance: a share of items
    that may still be unlike the labelled ones, ``1 - alpha^(1/n)``, then counts from end to end of the scale, so that
    no judge is believed to be perfect. `codes` are the clusters of the labelled and of the further items. The labelled
    items must be drawn at random. With a `margin`, on the same scale, the labels alone are also asked whether losses
    too rare to be among them could hide it: a judge that misses such losses corrects nothing.

    Raises `ValueError` for fewer than two labels or further items.
    """
    y, f, u = (np.asarray(values, dtype=float) for values in (human, judge_on_human, judge_on_rest))
    n = len(y)
    if n < 2 or len(f) != n or len(u) < 2:
        raise ValueError(
            "at least two human labels with the judge's scores, and two further items, are needed"
        )
    if lam is None:
        order = np.random.default_rng(0).permutation(n)
        halves = order[: n // 2], order[n // 2 :]
        weights = np.empty(n)
        weights[halves[0]] = _tuned(y[halves[1]], f[halves[1]], u)
        weights[halves[1]] = _tuned(y[halves[0]], f[halves[0]], u)
    else:
        weights = np.full(n, lam)
    used = float(weights.mean())
    residuals = y - weights * (f - u.mean())
    estimate = float(residuals.mean())
    corrected = y - weights * f if np.ptp(weights) == 0 else residuals
    labelled_codes, rest_codes = codes or (None, None)
    variance = used**2 * _variance_of_mean(u, rest_codes) + _variance_of_mean(corrected, labelled_codes)
    units = n if labelled_codes is None else len(np.unique(labelled_codes))
    limits = on_scale(estimate, math.sqrt(variance), t_quantile(alpha, max(units - 1, 1)), scale)
    if limits is None and lam != 0:
        return ppi_mean(
            human,
            judge_on_human,
            judge_on_rest,
            alpha=alpha,
            lam=0.0,
            scale=scale,
            codes=codes,
            margin=margin,
        )
    # Labels alone leave the scale by rounding only, where all of them stand at its end.
    end = min(max(estimate, scale[0]), scale[1])
    lower, upper = limits or (end, end)
    if codes is None and n >= _SKEWNESS_FROM_N and float(np.ptp(corrected)) > 0:
        of_labels = expansion_limits(corrected, alpha=alpha)
        of_judge = t_quantile(alpha, n - 1) * used * math.sqrt(_variance_of_mean(u, None))
        center = float(corrected.mean())
        low = estimate - math.hypot(center - of_labels[0], of_judge)
        high = estimate + math.hypot(of_labels[1] - center, of_judge)
        lower = min(lower, low) if low >= scale[0] else lower
        upper = max(upper, high) if high <= scale[1] else upper
    if bool((y == f).all()) or float(np.ptp(corrected)) == 0:
        unlike = (scale[1] - scale[0]) * (1 - alpha ** (1 / units))
        # The mean cannot move by more than its distance from the end, however unlike those items are.
        lower, upper = lower - min(unlike, lower - scale[0]), upper + min(unlike, scale[1] - upper)
    hidden = None if margin is None else _hidden_p(y, labelled_codes, margin, (scale[1] - scale[0]) / 2)
    return Ppi(used, estimate, lower, upper, math.sqrt(variance), n, hidden)


def _hidden_p(labels: Floats, codes: Codes | None, margin: float, reach: float) -> float:
    """`rare_loss_p` of the labels, at the design effect of their clusters."""
    effect = 1.0
    if codes is not None and len(np.unique(codes)) > 1:
        effect = design_effect_used(cluster_robust_mean(dense_codes(codes), labels))
    return rare_loss_p(labels, margin=margin, reach=reach, effect=effect)
