"""What paraphrases brought: the candidate that learned from them beside the same without, on the same samples."""

from __future__ import annotations

from freehold.late import np
from freehold.stats.clustered import encode_groups
from freehold.stats.selection import SelectionRule, TriedCandidate, assess
from freehold.types.selected import ParaphraseGain, SelectionScores


def gain(
    scores: SelectionScores, without: SelectionScores, name: str, rule: SelectionRule
) -> ParaphraseGain | None:
    """The paired difference on the samples that both were asked; None where there is none.

    Both are compared with the same answers of the incumbent, so that the difference of the differences is theirs.
    """
    pairs = list(zip(scores.differences, without.differences, strict=False))  # one may have stopped early
    differences = [np.nan if one is None or other is None else one - other for one, other in pairs]
    codes = encode_groups(scores.groups[: len(pairs)])
    tried = TriedCandidate(name=name, differences=np.array(differences, dtype=float), codes=codes)
    row = assess(tried, rule)
    if row.difference is None:
        return None
    return ParaphraseGain(
        without=name, n=len(tried.d), difference=row.difference, ci_low=row.ci_low, ci_high=row.ci_high
    )
