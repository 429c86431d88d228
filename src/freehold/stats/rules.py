"""The promote / reject / hold rule, apart from how the limits were made.

promote: the lower limit is strictly above -margin and nothing else speaks against it. reject: the candidate
is *shown* to be worse by more than the margin, which is neither "measurably worse than 0" nor an estimate
below -margin. hold: everything else. Both errors are then at most alpha at the boundary.

Superiority needs no correction after non-inferiority (Morikawa & Yoshida 1995): one interval, two readings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from freehold.errors import UsageError

Outcome = Literal["promote", "hold", "reject"]

MIN_PAIRS_PROMOTE = 30
STRICT = 1e-12  # a limit exactly at -margin is hold, also after rounding

MOST_NOISE = 0.2
"""The share of items on which two answers of an incumbent are taken to differ at most, where it was not measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRule:
    """What must be shown, fixed before any score is seen. Scores lie in [lo, hi], higher is better.

    `margin` is the largest accepted drop, `alpha` the one-sided error of a promote and of a reject.
    `slice_margin` is the largest accepted drop of a slice (None: `harm_margin`). Raises `UsageError` for
    a range that does not begin with its lower end, a margin outside (0, hi - lo) or an alpha outside (0, 0.5).
    """

    margin: float
    alpha: float = 0.025
    lo: float = 0.0
    hi: float = 1.0
    slice_margin: float | None = None

    def __post_init__(self) -> None:
        if not self.hi > self.lo:
            raise UsageError(f"the range is {self.lo:g} to {self.hi:g}, expected the lower end first")
        if not 0 < self.margin < self.reach:
            raise UsageError(
                f"margin is {self.margin:g}, expected above 0 and below {self.reach:g}",
                hint="the margin is the largest drop you accept, on the score's scale: 0.02 is two points",
            )
        if not 0 < self.alpha < 0.5:
            raise UsageError(
                f"alpha is {self.alpha:g}, expected between 0 and 0.5", hint="0.025 is the usual choice"
            )

    @property
    def reach(self) -> float:
        """Width of the range of scores."""
        return self.hi - self.lo

    @property
    def unit_margin(self) -> float:
        """The margin as a share of the range."""
        return self.margin / self.reach

    @property
    def harm_margin(self) -> float:
        """The drop above which a slice counts as harmed: twice the margin, at least 5 points of the range."""
        return max(2 * self.margin, 0.05 * self.reach) if self.slice_margin is None else self.slice_margin


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the rule looks at. None for a p-value means that the guard does not apply.

    `unmeasured` is the share of items whose right answer is the incumbent's own single one. There it is right by
    construction and a clone of it is not, so a reject must exceed what a noise of `MOST_NOISE` would take.
    """

    n: int
    rule: DecisionRule
    lower: float | None
    upper: float | None
    p_exact_promote: float | None = None
    p_exact_reject: float | None = None
    p_rare_loss: float | None = None
    enough_to_promote: bool = True
    enough_to_reject: bool = True
    lost_harmless: bool = True
    lost: tuple[str, ...] = ("unscored_pairs",)
    """What was counted as lost for a promote: ``unscored_pairs``, ``gone_items``, ``removed_items``."""
    unmeasured: float = 0.0
    vetoes: tuple[str, ...] = field(default=())
    """Codes that turn a promote into a hold: slice_harm, judge_uncalibrated, cluster_dominates …"""
    blocks: tuple[str, ...] = field(default=())
    """Codes that allow neither promote nor reject: an uncalibrated judge, a meaningless margin."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome with its reasons, the deciding one first."""

    outcome: Outcome
    reasons: tuple[str, ...]

    @property
    def reason(self) -> str:
        return self.reasons[0]


def decide(evidence: Evidence) -> Decision:
    """Apply the rule. Each hold names everything that stood in the way, the first obstacle first."""
    if evidence.n == 0:
        return Decision("hold", ("no_scored_pairs",))
    if evidence.lower is None or evidence.upper is None:  # one cluster: a single independent unit
        return Decision("hold", (*evidence.blocks, "too_few_pairs"))
    floor = -evidence.rule.margin
    p_reject = evidence.p_exact_reject
    noise = MOST_NOISE * evidence.unmeasured * evidence.rule.reach
    worse = (
        evidence.upper < floor - STRICT
        and (p_reject is None or p_reject <= evidence.rule.alpha)
        and evidence.enough_to_reject
    )
    if evidence.blocks:
        return Decision("hold", (*evidence.blocks, *_obstacles(evidence)))
    if worse and evidence.upper < floor - noise - STRICT:
        return Decision("reject", ("worse_than_margin",))
    if worse:
        return Decision("hold", ("noise_could_explain_it", *_obstacles(evidence), *evidence.vetoes))
    obstacles = (*_obstacles(evidence), *evidence.vetoes)
    if obstacles:
        return Decision("hold", obstacles)
    if evidence.lower > STRICT:
        return Decision("promote", ("superior",))
    if evidence.upper < -STRICT:
        return Decision("promote", ("noninferior_but_measurably_worse",))
    return Decision("promote", ("noninferior",))


def _obstacles(evidence: Evidence) -> tuple[str, ...]:
    assert evidence.lower is not None
    assert evidence.upper is not None
    if evidence.lower <= -evidence.rule.margin + STRICT:
        first = (
            "measurably_worse_margin_not_excluded" if evidence.upper < -STRICT else "interval_spans_margin"
        )
        return (first,) if evidence.enough_to_promote else (first, "too_few_pairs")
    found = []
    if not evidence.enough_to_promote:
        found.append("too_few_pairs")
    if evidence.p_exact_promote is not None and evidence.p_exact_promote > evidence.rule.alpha:
        found.append("exact_test_not_passed")
    if evidence.p_rare_loss is not None and evidence.p_rare_loss > evidence.rule.alpha:
        found.append("rare_losses_could_hide_harm")
    if not evidence.lost_harmless:
        found += [f"{lost}_could_hide_harm" for lost in evidence.lost]
    return tuple(found)
