"""The promote / reject / hold rule, apart from how the limits were made.

promote: the lower limit is strictly above -margin and nothing else speaks against it. reject: the candidate
is *shown* to be worse by more than the margin, which is neither "measurably worse than 0" nor an estimate
below -margin. hold: everything else. Both errors are then at most alpha at the boundary.

Superiority needs no correction after non-inferiority (Morikawa & Yoshida 1995): one interval, two readings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["promote", "hold", "reject"]

MIN_PAIRS_PROMOTE = 30
STRICT = 1e-12  # a limit exactly at -margin is hold, also after rounding

REASONS: dict[str, str] = {
    "superior": "the candidate is measurably better than the incumbent",
    "noninferior": "a drop as large as the margin is excluded",
    "noninferior_but_measurably_worse": "the candidate is measurably worse, by less than the margin accepts",
    "worse_than_margin": "the candidate is shown to be worse by more than the margin",
    "no_scored_pairs": "not one pair has two scores",
    "too_few_pairs": "too few independent pairs to promote on, whatever they say",
    "interval_spans_margin": "the interval reaches below minus the margin: not proven either way",
    "exact_test_not_passed": "the score limit passes but the exact test does not",
    "unscored_pairs_could_hide_harm": "counting every unscored pair as a loss, the margin is not excluded",
    "measurably_worse_margin_not_excluded": "measurably worse, and the margin is not excluded",
    "slice_harm": "a declared slice is harmed",
    "judge_uncalibrated": "a model judge scored and has not been calibrated with human labels",
    "judge_inconsistent": "the judge contradicts itself too often when the order is swapped",
    "cluster_dominates": "one cluster holds over a fifth of the items",
    "repeated_look": "these items were evaluated before for this route; a second look needs a correction",
    "margin_not_below_incumbent": "the margin is at least the incumbent's own score: nothing could fail it",
}
"""Every reason code a comparison can carry, with its sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the rule looks at. None for a p-value means that the guard does not apply."""

    n: int
    lower: float | None
    upper: float | None
    margin: float
    alpha: float
    p_exact_promote: float | None = None
    p_exact_reject: float | None = None
    enough_to_promote: bool = True
    enough_to_reject: bool = True
    unscored_harmless: bool = True
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
    if evidence.n == 0 or evidence.lower is None or evidence.upper is None:
        return Decision("hold", ("no_scored_pairs",))
    floor = -evidence.margin
    p_reject = evidence.p_exact_reject
    worse = (
        evidence.upper < floor - STRICT
        and (p_reject is None or p_reject <= evidence.alpha)
        and evidence.enough_to_reject
    )
    if evidence.blocks:
        return Decision("hold", (*evidence.blocks, *_obstacles(evidence)))
    if worse:
        return Decision("reject", ("worse_than_margin",))
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
    if evidence.lower <= -evidence.margin + STRICT:
        first = (
            "measurably_worse_margin_not_excluded" if evidence.upper < -STRICT else "interval_spans_margin"
        )
        return (first,) if evidence.enough_to_promote else (first, "too_few_pairs")
    found = []
    if not evidence.enough_to_promote:
        found.append("too_few_pairs")
    if evidence.p_exact_promote is not None and evidence.p_exact_promote > evidence.alpha:
        found.append("exact_test_not_passed")
    if not evidence.unscored_harmless:
        found.append("unscored_pairs_could_hide_harm")
    return tuple(found)
