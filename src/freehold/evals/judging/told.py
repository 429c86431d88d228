"""What a judge may be told besides the answers it judges: nothing that is one of them.

A judge that reads "the right answer is ..." prefers what equals it. Where no right answer is known, the incumbent's
answer is what other scorers compare with; told to a judge it would decide the judgement.
"""

from __future__ import annotations

from freehold.evals.normalizing import collapsed, normalized_label
from freehold.types.dataset import Sample


def same_answer(one: str | None, other: str | None) -> bool:
    """Whether two answers are the same but for white space: equally good, whatever a judge would say."""
    return collapsed(one or "") == collapsed(other or "")


def told_answer(sample: Sample, *answers: str | None) -> str | None:
    """The right answer that a judge of `answers` is told, None where it is told none.

    Only gold is told, and only where it is neither the incumbent's recorded answer nor one of `answers`, whatever
    their case and punctuation: such a gold may have been copied from it. Withheld for either side alike, so that
    telling it favours neither.
    """
    gold = sample.gold
    if gold is None or not gold.strip():
        return None
    told = _bare(gold)
    return (
        None if any(told == _bare(one) for one in (sample.incumbent, *answers) if one is not None) else gold
    )


def _bare(text: str) -> str:
    return normalized_label(text) or collapsed(text)
