"""The rules on bare counts, by a shorter way than `compare` goes.

Kept because the calibration and the published vectors give counts: they hold `compare` and `compare_slices`, which
take items, to the same answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scipy import special

from freehold.stats import exact
from freehold.stats.binary import tango_ci, tango_statistic
from freehold.stats.rules import MIN_PAIRS_PROMOTE, STRICT, DecisionRule, Evidence, Outcome, decide
from freehold.stats.slices import HARM_ALPHA, MIN_N, holm


class BinaryVerdict(NamedTuple):
    """The rule applied to counts alone."""

    verdict: Outcome
    reason: str
    lower: float | None
    upper: float | None
    p_exact_promote: float | None
    p_exact_reject: float | None


def paired_binary_verdict(
    wins: int,
    losses: int,
    n_scored_pairs: int,
    rule: DecisionRule,
    *,
    unscored_pairs: int = 0,
    min_pairs_promote: int = MIN_PAIRS_PROMOTE,
    guard_up_to_n: int = exact.GUARD_UP_TO_N,
) -> BinaryVerdict:
    """Verdict for independent pairs of scores 0 or 1."""
    n, guarded = n_scored_pairs, 0 < n_scored_pairs <= guard_up_to_n
    limits = tango_ci(wins, losses, n, rule.alpha)
    p_promote = exact.p_promote(wins, losses, n, rule.margin) if guarded else None
    p_reject = exact.p_reject(wins, losses, n, rule.margin) if guarded else None
    decision = decide(
        Evidence(
            n=n,
            rule=rule,
            lower=limits.lower,
            upper=limits.upper,
            p_exact_promote=p_promote,
            p_exact_reject=p_reject,
            enough_to_promote=n >= min_pairs_promote,
            lost_harmless=_harmless(wins, losses + unscored_pairs, n + unscored_pairs, rule, guard_up_to_n),
        )
    )
    return BinaryVerdict(decision.outcome, decision.reason, limits.lower, limits.upper, p_promote, p_reject)


def _harmless(wins: int, losses: int, n: int, rule: DecisionRule, guard_up_to_n: int) -> bool:
    """Whether these counts, in which the unscored pairs are losses, exclude the margin."""
    lower = tango_ci(wins, losses, n, rule.alpha).lower
    if lower is None or lower <= -rule.margin + STRICT:
        return False
    return n > guard_up_to_n or exact.p_promote(wins, losses, n, rule.margin) <= rule.alpha


class SliceCounts(NamedTuple):
    """One slice of binary pairs."""

    name: str
    wins: int
    losses: int
    n: int


class HarmTest(NamedTuple):
    """Slices that were large enough, their p-values before and after Holm, the harmed ones, worst first."""

    tested: tuple[str, ...]
    p_harm: tuple[float, ...]
    p_holm: tuple[float, ...]
    flagged: tuple[str, ...]
    worst_first: tuple[str, ...]


def slice_harm(
    slices: Sequence[SliceCounts], *, margin: float, alpha: float = HARM_ALPHA, min_n: int = MIN_N
) -> HarmTest:
    """Per slice H0: difference >= -margin by Tango's statistic, Holm over slices of at least `min_n`."""
    tested = [part for part in slices if part.n >= min_n]
    if not tested:
        return HarmTest((), (), (), (), ())
    scores = tango_statistic(
        [part.wins for part in tested], [part.losses for part in tested], [part.n for part in tested], -margin
    )
    p = [float(value) for value in special.ndtr(scores)]
    adjusted = holm(p)
    worst = sorted(range(len(tested)), key=lambda i: (p[i], tested[i].name))
    return HarmTest(
        tuple(part.name for part in tested),
        tuple(p),
        tuple(adjusted),
        tuple(part.name for part, value in zip(tested, adjusted, strict=True) if value <= alpha),
        tuple(tested[i].name for i in worst),
    )
