"""`freehold parity`: the same prompts through the trainer's model and the served one.

The served model answers greedily. The trainer's model then reads the same prompt and, token by token, the
served answer: its token ids of the prompt must be equal, its most likely tokens the served ones, its
log-probabilities close. One pass for each prompt, so an early difference does not drag the rest along. More prompts are
asked until it is decided where turns end, or all were.

Covered: chat template, BOS, end of turn, adapter applied and scaled, quantization and numbers, KV type.
Where the prompts have a reference, both sides' answers are scored by the task and compared in pairs.
Not covered: sampling, tools the template does not render.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import anyio
import msgspec

from freehold import engines
from freehold.datasets import building
from freehold.engines.transcript import Transcript, transcript
from freehold.errors import InputError, UsageError
from freehold.evals.scorer import ChatAnswer
from freehold.evals.scorers import score_all, scorer_class, scorer_of
from freehold.progress import Progress
from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.store import open_store
from freehold.training.reference import ReferenceJob, ReferenceQuery, ReferenceScores, judge
from freehold.types.dataset import Message, Sample
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Task
from freehold.types.gates import ParityItem, ParityReport, ScoreParity
from freehold.types.model import Weights
from freehold.types.record import content_id
from freehold.types.training import Adapter
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.encoder_parity import encoder_meant, kept_report, parity_of
from freehold.workflows.prove.parity_judging import ServedAs, compare, summarize, undecided
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve import plan as serving
from freehold.workflows.serve.plan import of_config
from freehold.workflows.weights.pull import ensure_weights
from freehold.workflows.weights.trained import mount

MAX_TOKENS = 48
BATCH = 40
"""Prompts at a time: a few more than show that turns end as they should, where all of them do."""
MOST_PROMPTS = 3 * BATCH

GENERAL = (
    "Where is my order 4711? It should have been here on Monday.",
    "Write one sentence about the sea.",
    "What is 17 + 25?",
    "Give me a JSON object with the keys a and b.",
    "Translate to French: good morning.",
    "List three colours.",
    "Why is the sky blue?",
    "Ich möchte mein Geld zurück!",
)


def parity(
    project: Project,
    *,
    plan: ServePlan,
    weights: Weights,
    adapter_path: str | None,
    samples: Sequence[Sample],
    progress: Progress,
    task: Task | None = None,
) -> ParityReport:
    """Serve `plan`, compare its last model (the adapter where there is one) with the trainer's, keep the report.

    `samples` are the most that are asked: as soon as it is decided where turns end, the rest is not.
    With `task`, answers to samples that have a reference are scored too.

    Raises what starting an engine and loading the trainer's model raise.
    """
    scored = task if any(sample.target is not None for sample in samples) else None
    if scored is not None and not scorer_class(scored.scorer).checks_parity:
        scored = None
    asked: list[Sample] = []
    served: list[Transcript] = []
    trained: list[ReferenceScores] = []
    items: list[ParityItem] = []
    for batch in _batches(samples):
        more, judged = _both(project, plan, weights, adapter_path, batch, scored, progress)
        asked += batch
        served += more
        trained += judged
        items += [
            compare(one, other, wants_call=any(message.tool_calls for message in sample.answer))
            for sample, one, other in zip(batch, more, judged, strict=True)
        ]
        if not undecided(items):
            break
    adapter_id = plan.adapters[-1].adapter_id if plan.adapters else None
    draft = summarize(
        items,
        ServedAs(_model(plan), plan.engine, adapter_id, has_adapter=adapter_path is not None),
        score=anyio.run(score_parity, scored, asked, served, trained) if scored is not None else None,
    )
    return kept_report(project, draft, tuple(one for one in (weights.sha256, adapter_id) if one))


def _model(plan: ServePlan) -> str:
    return plan.adapters[-1].name if plan.adapters else plan.model


def _batches(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Engine and trainer's model are loaded once a batch, never together: the first decides where all is well."""
    for first in range(0, max(len(samples), 1), BATCH):
        yield samples[first : first + BATCH]


def _both(
    project: Project,
    plan: ServePlan,
    weights: Weights,
    adapter_path: str | None,
    samples: Sequence[Sample],
    scored: Task | None,
    progress: Progress,
) -> tuple[list[Transcript], list[ReferenceScores]]:
    """The served answers to `samples`, and what the trainer's model makes of them."""
    model = _model(plan)
    max_tokens = scored.max_tokens if scored is not None else MAX_TOKENS
    progress.say(f"{len(samples)} prompts to {model}, served")

    async def ask() -> list[Transcript]:
        log_dir = project.state / "engines"
        async with engines.start(plan, log_dir=log_dir, name="parity") as endpoint:
            found = []
            for number, sample in enumerate(samples):
                messages = [msgspec.to_builtins(message) for message in sample.messages]
                messages = [{k: v for k, v in one.items() if v is not None} for one in messages]
                found.append(
                    await transcript(endpoint, model, messages, tools=sample.tools, max_tokens=max_tokens)
                )
                progress.update(number + 1, len(samples), unit="prompts")
            return found

    served = anyio.run(ask)
    progress.say("the same prompts to the trainer's model")
    queries = tuple(
        ReferenceQuery(
            id=sample.id,
            messages=sample.messages,
            tools=sample.tools,
            answer_ids=one.answer_ids,
            answer_text=one.text,
        )
        for sample, one in zip(samples, served, strict=True)
    )
    trained = judge(
        ReferenceJob(
            weights=weights,
            adapter_path=adapter_path,
            queries=queries,
            threads=project.settings.threads,
            max_tokens=max_tokens if scored is not None else None,
        )
    )
    return served, trained


async def score_parity(
    task: Task, samples: Sequence[Sample], served: Sequence[Transcript], trained: Sequence[ReferenceScores]
) -> ScoreParity | None:
    """Both sides' answers, scored against the same references and compared in pairs (None: nothing to score)."""
    rows = [
        (sample, one.text, other.own_text)
        for sample, one, other in zip(samples, served, trained, strict=True)
        if sample.target is not None and other.own_text is not None
    ]
    if not rows:
        return None
    kept, references = [row[0] for row in rows], [row[0].target for row in rows]
    async with scorer_of(task) as scorer:

        async def scores(texts: Sequence[str | None]) -> list[float | None]:
            answers = [ChatAnswer(output=text) for text in texts]
            results = await score_all(scorer, "parity", kept, answers, references)
            return [result.score.value for result in results]

        of_served = await scores([row[1] for row in rows])
        of_trained = await scores([row[2] for row in rows])
    found = compare_scores(
        [f"{sample.id}#{place}" for place, sample in enumerate(kept)],
        of_trained,
        of_served,
        DecisionRule(margin=task.margin, alpha=task.alpha),
    )
    return ScoreParity(
        n=found.n,
        trained_mean=found.incumbent_mean,
        served_mean=found.candidate_mean,
        difference=found.difference,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        level=found.level,
        method=found.method,
    )


def prompts(project: Project, count: int) -> list[Sample]:
    """Held-out samples of the project's latest dataset; without one, a few general prompts."""
    try:
        with open_store(project.store_url) as store:
            data = find_dataset(store)
    except (UsageError, InputError):
        return [
            Sample(id=content_id(text), messages=(Message(role="user", content=text),))
            for text in GENERAL[:count]
        ]
    return list(itertools.islice(building.samples(data, "held_out"), count))


def _merged(plan: ServePlan, results: Sequence[Adapter]) -> Adapter | None:
    """The adapter that is merged into what a plan without adapters serves: ``base:name``, which cannot be pulled."""
    if plan.adapters:
        return None
    return next((one for one in reversed(results) if plan.model.startswith(f"{one.base_model}:")), None)


def _first(project: Project) -> str:
    if (first := project.config.writer) is None:
        raise UsageError(
            "no candidate here writes text, and none was chosen yet",
            hint="name a model, or run freehold migrate",
        )
    return first.model


def project_parity(
    project: Project,
    *,
    model: str | None,
    adapter: Path | None,
    count: int,
    progress: Progress,
) -> ParityReport:
    """Parity of what `freehold migrate` chose last, or of a model (and an adapter folder) or an encoder by name."""
    settings = project.settings
    chosen = None
    folder: Any = adapter
    if model is None:
        with open_store(project.store_url) as store:
            chosen = store.latest(ServePlan)
            own = _merged(chosen, store.records(Adapter)) if chosen is not None else None
        if own is not None and adapter is None:
            model, folder = own.base_model, own.path
    if adapter is None and (encoder := encoder_meant(project, model, chosen)) is not None:
        plan = chosen if model is None else None
        return parity_of(project, encoder, plan=plan, most=count, progress=progress)
    name = model or (chosen.model if chosen is not None else _first(project))
    weights = ensure_weights(name, settings, progress=progress)
    if chosen is not None and adapter is None:
        plan = chosen
        if plan.adapters:
            path = Path(plan.adapters[-1].path)
            folder = path if path.is_dir() else path.parent
    else:
        mounts = [mount(f"parity={adapter}", weights.model_id)] if adapter is not None else []
        # As `freehold serve` would run it. The trainer's model is read from the weights themselves, whatever the
        # engine has to be given.
        request = msgspec.structs.replace(of_config(project.config.serve), parallel=1)
        plan = serving.plan(weights, request, settings, adapters=mounts, progress=progress)
    # The trainer's model answers freely, so the served one must: what holds its answers was not learned.
    plan = msgspec.structs.replace(plan, port=0, labels=())
    return parity(
        project,
        plan=plan,
        weights=weights,
        adapter_path=str(folder) if folder is not None else None,
        samples=prompts(project, count),
        progress=progress,
        task=task_of(project),
    )
