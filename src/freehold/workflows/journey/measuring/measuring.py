"""The step that measures a candidate on the selection split, once for the same candidate and samples."""

from __future__ import annotations

from functools import partial

import anyio

from freehold import __version__
from freehold.engines import start
from freehold.evals.replay import ReplayOptions
from freehold.types.selected import SelectionScores
from freehold.workflows.journey.measuring.scores import SELECTION_SPLIT, score_on_selection
from freehold.workflows.journey.methods import Bench, Candidate, Made
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate
from freehold.workflows.prove.evidence_basis import answers_folder
from freehold.workflows.prove.results import frozen_answers


def measured(bench: Bench, candidate: Candidate, made: Made, *, items: int) -> SelectionScores:
    """What a candidate does on the first `items` samples of the split; answers that are kept are not asked for again.

    Raises what starting its engine and asking it raise.
    """
    frozen = frozen_answers(bench.project, bench.dataset, SELECTION_SPLIT)
    return bench.steps.run(
        f"select-{items}:{candidate.key}",
        f"{candidate.short_name}: measure it on {items:,} selection samples",
        [made.plan.identity, bench.dataset.id, bench.task, items, frozen, __version__],
        SelectionScores,
        lambda: anyio.run(partial(_ask, bench, made, items, frozen)),
    )


async def _ask(bench: Bench, made: Made, items: int, frozen: dict[str, tuple[str, ...]]) -> SelectionScores:
    plan = made.plan
    async with start(plan, log_dir=bench.project.state / "engines", name="select") as endpoint:
        return await score_on_selection(
            EvaluationPlan(dataset=bench.dataset, task=bench.task, split=SELECTION_SPLIT, frozen=frozen),
            ServedCandidate(endpoint, plan.served_name),
            items=items,
            cache_dir=answers_folder(bench.project.state / "evaluations", plan),
            options=ReplayOptions(plan.parallel),
            progress=bench.progress,
        )
