"""A larger model of one's own as the upper one of a mixture: asked by its endpoint, scored against the incumbent."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio

from freehold import __version__
from freehold.evals.replay import ReplayOptions
from freehold.evals.task_comparison import prepared
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Sample
from freehold.types.deferral import UpperModel
from freehold.types.evaluation import EvalResult
from freehold.types.record import content_id
from freehold.types.selected import SelectionScores
from freehold.wire.base_url import stem
from freehold.workflows.journey.measuring import SELECTION_SPLIT, score_on_selection
from freehold.workflows.journey.methods import Bench, Candidate
from freehold.workflows.journey.methods.method import endpoint_of
from freehold.workflows.journey.paying import PricedModel, asked_model
from freehold.workflows.prove.evaluate import EvaluationPlan, ServedCandidate, ask_and_score
from freehold.workflows.prove.results import frozen_answers

AT_ONCE = 4
"""Requests that the upper model is asked at once."""


def named_upper(config: ProjectConfig) -> PricedModel | None:
    """The model that ``[defer] upper`` names; None without one. Raises `UsageError` where it cannot be asked."""
    name = config.upper
    return None if name is None else asked_model(name, config, role="the upper model of [defer]")


def is_itself(asked: PricedModel, candidate: Candidate, config: ProjectConfig) -> bool:
    """Whether the upper model is the candidate: the same model at the same address."""
    if candidate.endpoint is None or candidate.model != asked.model:
        return False
    return stem(endpoint_of(config, candidate.endpoint).base_url) == stem(asked.endpoint.base_url)


def as_upper(asked: PricedModel) -> UpperModel:
    """What a rule says of it."""
    endpoint = asked.endpoint
    return UpperModel(endpoint=endpoint.name, model=asked.model, base_url=endpoint.base_url)


def measured_upper(bench: Bench, asked: PricedModel, *, items: int) -> SelectionScores:
    """What it does on the first `items` selection samples; answers that are kept are not asked for again.

    Raises what asking it raises.
    """
    frozen = frozen_answers(bench.project, bench.dataset, SELECTION_SPLIT)
    plan = EvaluationPlan(dataset=bench.dataset, task=bench.task, split=SELECTION_SPLIT, frozen=frozen)
    return bench.steps.run(
        f"upper-{items}:{asked.endpoint.name}/{asked.model}",
        f"{asked.model}: measure it on {items:,} selection samples, as the upper model",
        [asked.endpoint.base_url, asked.model, bench.dataset.id, bench.task, items, frozen, __version__],
        SelectionScores,
        lambda: anyio.run(
            partial(
                score_on_selection,
                plan,
                ServedCandidate(asked.endpoint, asked.model),
                items=items,
                cache_dir=_kept_in(bench, asked),
                options=ReplayOptions(AT_ONCE),
                progress=bench.progress,
            )
        ),
    )


async def upper_results(bench: Bench, asked: PricedModel, samples: Sequence[Sample]) -> Sequence[EvalResult]:
    """Its answers to these samples, scored as the candidate's are. Raises what asking it raises."""
    served, folder = ServedCandidate(asked.endpoint, asked.model), _kept_in(bench, asked)
    options = ReplayOptions(AT_ONCE)._replace(cache_path=served.answers_file(folder))
    bench.progress.say(
        f"asking {asked.model} the {len(samples):,} requests that the candidate is not sure of"
    )
    scored = await ask_and_score(
        served,
        bench.dataset.incumbent_model or "incumbent",
        samples,
        {},
        prepared(bench.task, folder),
        options,
        bench.progress,
    )
    return scored.results.candidate


def _kept_in(bench: Bench, asked: PricedModel) -> Path:
    identity = content_id([asked.endpoint.base_url, asked.model])
    return bench.project.state / "evaluations" / identity[:12]
