"""Successive halving: many ways to ask on few samples, the better half of them on twice as many, until one is left.

All ways answer the same samples, so that they differ by what was changed and not by luck of the draw. The request as it
is sent is measured to the end whatever happens to the others: what is won is won over it.
"""

from __future__ import annotations

from collections.abc import Sequence

from freehold.prompts.measuring import Measure, PromptAnswer, SearchEndedError, standing, trial
from freehold.prompts.variants import Variant
from freehold.types.dataset import Sample
from freehold.types.prompting import PromptTrial

FEWEST = 8
"""Samples of the first round at least: fewer say nothing."""


def rounds(variants: int, samples: int) -> list[int]:
    """How many samples have been asked after each round; the last is all of them. Each round halves what is left."""
    if variants < 2:
        return [samples]
    count = (variants - 1).bit_length()
    sizes = [max(min(FEWEST, samples), samples >> (count - number)) for number in range(1, count)]
    return sorted({*sizes, samples})


def requests(variants: int, samples: int) -> int:
    """Requests that `halve` makes at most."""
    alive, asked, total = variants, 0, 0
    for size in rounds(variants, samples):
        total += (size - asked) * alive
        total += (size - asked) if alive < variants else 0  # as sent, where it has dropped behind
        asked, alive = size, max(1, (alive + 1) // 2)
    return total


def halve(
    variants: Sequence[Variant], samples: Sequence[Sample], measure: Measure
) -> tuple[list[PromptTrial], str | None]:
    """A trial for each variant, in their order, and why it ended early (None where it did not).

    `variants` begin with the request as it is sent. What an early end left unmeasured is told as it stands; where not
    even the request as it is sent was measured, what ended it is raised.
    """
    answers: dict[str, list[PromptAnswer]] = {one.name: [] for one in variants}
    alive, asked, stopped = list(variants), 0, None
    first = variants[0]
    try:
        for size in rounds(len(variants), len(samples)):
            part = samples[asked:size]
            for one in alive if first in alive else [first, *alive]:
                answers[one.name] += measure(one.preparation, part, name=one.name)
            asked = size
            alive = sorted(alive, key=lambda one: standing(_trial(one, answers, len(samples))))
            alive = alive[: max(1, (len(alive) + 1) // 2)]
    except SearchEndedError as error:
        if len(answers[first.name]) == 0:
            raise
        stopped = error.message
    return [_trial(one, answers, len(samples)) for one in variants if answers[one.name]], stopped


def _trial(one: Variant, answers: dict[str, list[PromptAnswer]], of: int) -> PromptTrial:
    own = answers[one.name]
    return trial(one.name, one.preparation, own, complete=len(own) == of)
