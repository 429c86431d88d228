"""How right the incumbent's recorded answers are, where that can be told in a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio

from freehold.evals.frozen import frozen_answer
from freehold.evals.scorers import score_all, scorer_of
from freehold.types.dataset import Sample
from freehold.types.evaluation import Task
from freehold.workflows.data.curate import SCORERS_AT_ONCE

_SCORED_AT_ONCE = SCORERS_AT_ONCE | {"turn"}
"""Scorers that only compute (unless they ask a model): all of the incumbent's answers are scored in a moment."""
_SCORING_SECONDS = 2.0


async def incumbent_scores(
    task: Task, samples: Sequence[Sample], repeats: Mapping[str, Sequence[str]]
) -> list[float] | None:
    """The incumbent's scores against what is right; None where that takes long, costs a call, or
    where nothing says what is right."""
    if task.scorer not in _SCORED_AT_ONCE or any(one.gold is None for one in samples):
        return None
    with anyio.move_on_after(_SCORING_SECONDS):
        async with scorer_of(task) as scorer:
            if scorer.asks is not None:
                return None
            results = await score_all(
                scorer,
                "incumbent",
                samples,
                [frozen_answer(one, repeats) for one in samples],
                [one.gold for one in samples],
            )
        scores = [one.score.value for one in results]
        return [value for value in scores if value is not None] if None not in scores else None
    return None
