"""Does the scorer load, and does it find the right answer right?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from freehold.errors import FreeholdError
from freehold.evals.scorer import Scorer
from freehold.evals.scorers import for_task
from freehold.types.dataset import Sample
from freehold.types.evaluation import Score, Task
from freehold.types.finding import Finding, fail, ok, warn

CHECK = "scorer"
SECONDS = 6.0
"""For loading and trying a scorer: one that takes longer is told of, not waited for."""
_ENDING_SECONDS = 2.0
_TRIED = 3
"""Samples whose right answer is put to the scorer: one may be odd."""


class _Tried(NamedTuple):
    sample: Sample
    score: Score


async def scorer_findings(
    task: Task, samples: Sequence[Sample], *, seconds: float = SECONDS
) -> list[Finding]:
    """What is wrong with the task's scorer. Right answers of `samples` are scored against themselves, which takes
    `seconds` at most."""
    try:
        scorer = for_task(task)
    except FreeholdError as error:
        return [fail(CHECK, error.message, error.hint or "docs/reference/scorers.md lists its options")]
    if scorer.asks is not None:  # its address is looked at elsewhere
        return [
            ok(CHECK, f"{task.scorer}: its options are complete; it is not tried, since that costs a call")
        ]
    known = [one for one in samples if one.gold is not None or one.incumbent is not None][:_TRIED]
    if scorer.needs_reference and not known:
        return [
            fail(
                CHECK,
                f"{task.scorer} needs right answers, and no held-out sample has one",
                "name the column of the right answer ([data] label), or choose another scorer",
            )
        ]
    tried: list[_Tried] = []
    trying = asyncio.ensure_future(_try(scorer, known, tried))
    done, _ = await asyncio.wait({trying}, timeout=seconds)
    if not done:
        # Cancelled once, so that the scorer can end its process; one that does not even end is left behind.
        trying.cancel()
        await asyncio.wait({trying}, timeout=_ENDING_SECONDS)
        return [
            warn(
                CHECK,
                f"{task.scorer} had not scored {len(known)} samples after {seconds:g} s: it loads slowly, or hangs",
                "try it on two small files: freehold evaluate --a FILE --b FILE",
            )
        ]
    try:
        trying.result()
    except FreeholdError as error:
        return [fail(CHECK, error.message, error.hint or "mend the scorer, or choose another in [task]")]
    return list(_judged(task, tried))


async def _try(scorer: Scorer, samples: Sequence[Sample], tried: list[_Tried]) -> None:
    try:
        for sample in samples:
            right = sample.target or ""
            tried.append(_Tried(sample, await scorer.score(sample, right, right)))
    finally:
        await scorer.close()


def _judged(task: Task, tried: Sequence[_Tried]) -> Iterator[Finding]:
    """What the scores of right answers say of the scorer."""
    bad = [one for one in tried if one.score.value is None or one.score.value < 1]
    if not tried:
        yield ok(CHECK, f"{task.scorer} loads")
    elif not bad:
        yield ok(CHECK, f"{task.scorer} finds the right answer right")
    else:
        first = bad[0]
        said = "is not scored" if first.score.value is None else f"scores {first.score.value:g}"
        why = f" ({first.score.reason})" if first.score.reason else ""
        text = (
            f"{task.scorer}: the right answer of sample {first.sample.id[:12]}, put to it as an answer, {said}{why}; "
            f"so it is for {len(bad)} of {len(tried)} tried"
        )
        fix = "look at [task] scorer and its options: an answer that says just what is right should score 1"
        yield fail(CHECK, text, fix) if len(bad) == len(tried) else warn(CHECK, text, fix)
