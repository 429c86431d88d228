"""What a candidate did on the selection split, as the statistics of selection take it."""

from __future__ import annotations

from dataclasses import replace

from freehold.late import np
from freehold.stats.clustered import encode_groups
from freehold.stats.selection import SelectionRule, TriedCandidate
from freehold.types.selected import SelectionScores


def tried(
    name: str, scores: SelectionScores, *, usd: float | None = None, stopped: str | None = None
) -> TriedCandidate:
    """The scores under a candidate's name. `usd` is what 1,000 requests cost, `stopped` why it was not asked all."""
    return TriedCandidate(
        name=name,
        differences=np.array([np.nan if d is None else d for d in scores.differences], dtype=float),
        cost=usd,
        codes=encode_groups(scores.groups),
        stopped=stopped,
    )


def on_scale_of(scores: SelectionScores, rule: SelectionRule) -> SelectionRule:
    """The rule on the scale of the scores, which a pairwise judge has from -1 to 1."""
    return replace(rule, decision=replace(rule.decision, lo=scores.lo, hi=scores.hi))
