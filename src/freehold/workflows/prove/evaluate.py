"""`freehold evaluate`: is the candidate good enough, on held-out samples, against the frozen incumbent?"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.costs.prices import asking_cost
from freehold.datasets import building
from freehold.errors import UsageError
from freehold.evals.asking import asking_notes, preparation_notes, unread_notes
from freehold.evals.comparing import SideBySide, disagreements, regressions, summarize
from freehold.evals.frozen import (
    frozen_answer,
    reference_notes,
    references_kind,
    self_noise,
    unmeasured,
    with_frozen,
)
from freehold.evals.replay import ReplayOptions, answers, served_model
from freehold.evals.scorer import Scorer
from freehold.evals.scorers import sandbox_of, score_all, scorer_of
from freehold.evals.task_comparison import compare_by_task, prepared
from freehold.progress import Progress, Silent
from freehold.stats.looks import LookPlan
from freehold.store import open_store
from freehold.types.dataset import Dataset, Sample, SplitName
from freehold.types.endpoint import Endpoint
from freehold.types.engine import EngineName
from freehold.types.evaluated import Disagreement, Evaluation, UntrainedBaseline
from freehold.types.evaluation import Task
from freehold.types.record import content_id
from freehold.workflows.data.curate import label_shifts_of
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.looks import Looks, context_of, look_at, with_look
from freehold.workflows.prove.preflight import AskedEndpoint, PreflightRequest, preflight, require
from freehold.workflows.prove.results import (
    DISAGREEMENTS_KEPT,
    answers_id,
    baseline,
    evaluation_id,
    frozen_answers,
    keep,
    measured,
    write_results,
)
from freehold.workflows.prove.task import label_notes
from freehold.workflows.serve.tools import WAYS_OUT, unmet_at

FIRST_LOOK = Looks()
_OPTIONS = ReplayOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """What a candidate is measured on, fixed before it is asked.

    `split` holds the samples; looks are counted of held-out ones alone. `frozen` holds answers of the incumbent by
    sample id, several of one sample where it was asked repeatedly: they stand in where the dataset has none, give the
    incumbent's own noise, and let a sample without gold be scored fairly (the incumbent's second answer against its
    first). `limit` takes the first samples only. With `without_incumbent`, samples that have only gold are
    measured by themselves, without a comparison. More than the planned looks cannot promote; planned ones share alpha
    among them.
    """

    dataset: Dataset
    task: Task
    split: SplitName = "held_out"
    frozen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    looks: Looks = FIRST_LOOK
    limit: int | None = None
    without_incumbent: bool = False

    def split_size(self) -> int:
        """Samples of the whole split."""
        return self.dataset.split(self.split).samples

    def samples(self) -> tuple[list[Sample], dict[str, tuple[str, ...]]]:
        """The samples and the incumbent's further answers by sample id.

        Raises `UsageError` when there are none, or when there is nothing to compare with.
        """
        samples = list(building.samples(self.dataset, self.split))[: self.limit]
        if not samples:
            raise UsageError(
                f"the {self.split.replace('_', '-')} split holds no samples",
                hint="freehold dataset build makes splits",
            )
        samples, repeats = with_frozen(samples, self.frozen)
        if not self.without_incumbent and not any(sample.incumbent is not None for sample in samples):
            raise UsageError(
                "no held-out sample has an answer of the incumbent, so there is nothing to compare with",
                hint="freehold freeze records its answers; freehold import FILE brings in recorded ones",
            )
        return samples, repeats


class ServedCandidate(NamedTuple):
    """The model of an endpoint that answers. The first `untrained_samples` go to `untrained_model` too, if there is
    one."""

    endpoint: Endpoint
    model: str
    untrained_model: str | None = None
    untrained_samples: int = 0

    def answers_file(self, folder: Path) -> Path:
        """Where its answers are kept."""
        return answers_file(folder, self.endpoint.name, self.endpoint.engine, self.model)

    def address(self, *, kept: bool) -> AskedEndpoint:
        """Where it is asked; `kept` says that some of its answers are here."""
        one = self.endpoint
        return AskedEndpoint(
            "the candidate", one.base_url, self.model, one.api_key_env, kept, one.credentials
        )


class HeldOutSelection(NamedTuple):
    """Which held-out samples are evaluated: of which dataset (None: the latest), the first how many, and how often
    in all."""

    dataset_id: str | None = None
    limit: int | None = None
    planned_looks: int = 1


WHOLE_LATEST = HeldOutSelection()


def answers_file(folder: Path, endpoint: str, engine: EngineName, model: str) -> Path:
    """Where the answers of a model are kept that an endpoint of this name serves by an engine."""
    return folder / f"answers-{content_id([endpoint, engine, model])[:12]}.jsonl"


def _look_at_demands(candidate: ServedCandidate, samples: Sequence[Sample], progress: Progress) -> None:
    """Say what of the requests its engine does not read. Raises `UsageError` for calls it cannot be made to write."""
    if (why := unmet_at(candidate.endpoint, candidate.model, samples)) is not None:
        raise UsageError(why, hint=WAYS_OUT)
    for note in unread_notes(samples, candidate.endpoint):
        progress.say(note)


async def evaluate(
    plan: EvaluationPlan,
    candidate: ServedCandidate,
    *,
    cache_dir: Path,
    options: ReplayOptions = _OPTIONS,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Replay the held-out samples against the candidate and compare with the incumbent's frozen answers.

    Both are scored by the task's scorer against gold. A sample without gold is scored against the incumbent's own
    answer; the incumbent is then right by construction and the notes say so. Not so by a judge: it sees the two
    answers and no other. Answers are kept in `cache_dir` (whatever `options` say) and used again unless `fresh`.

    Raises `UsageError` when there is nothing to compare with or where tool calls are demanded that its engine cannot be
    made to write, and what `answers` raises.
    """
    progress = progress or Silent()
    samples, repeats = plan.samples()
    _look_at_demands(candidate, samples, progress)
    options = options._replace(cache_path=candidate.answers_file(cache_dir))
    if fresh:
        candidate.answers_file(cache_dir).unlink(missing_ok=True)
    task, name = prepared(plan.task, cache_dir), plan.dataset.incumbent_model or "incumbent"
    answered = await ask_and_score(candidate, name, samples, repeats, task, options, progress)
    results = answered.results
    id = evaluation_id(plan.dataset.id, task, results)
    comparison = None
    differing: tuple[Disagreement, ...] = ()
    compares = any(sample.incumbent is not None for sample in samples)
    names = name, candidate.model
    seen = look_at(samples, evaluation_id=id, dataset_id=plan.dataset.id, names=names, alpha=task.alpha)
    seen = msgspec.structs.replace(seen, answers=answers_id(task, results.candidate), alone=not compares)
    look = plan.looks.take(seen)
    if compares:
        compared = await compare_by_task(
            results,
            msgspec.structs.replace(task, alpha=look.alpha),
            made_from=(plan.dataset.id,),
            notes=(
                *(() if task.scorer == "judge" else reference_notes(samples, repeats)),
                *asking_notes(samples, candidate.endpoint),
                *preparation_notes(samples, served_model(candidate.endpoint, candidate.model)),
                *label_notes(task, candidate.endpoint, candidate.model),
                *label_shifts_of(plan.dataset),
            ),
            context=context_of(
                look,
                self_noise=answered.self_noise,
                unmeasured=0.0 if task.scorer == "judge" else unmeasured(samples, repeats),
            ),
            patience=options.patience,
            on_progress=lambda done, of: progress.update(done, of, unit="judged"),
        )
        comparison = with_look(compared.comparison, look, plan.looks.period(samples))
        results = results._replace(incumbent=compared.incumbent, candidate=compared.candidate)
        differing = disagreements(samples, results.incumbent, results.candidate, results.references)
    return Evaluation(
        id=id,
        task=task,
        dataset_id=plan.dataset.id,
        incumbent=name,
        candidate=candidate.model,
        endpoint=candidate.endpoint.base_url,
        comparison=comparison,
        measured=measured(results.candidate, task.alpha),
        references=references_kind(samples),
        latency=summarize(
            results.candidate, concurrency=options.concurrency, wall_seconds=answered.wall_seconds
        ),
        disagreements=differing[:DISAGREEMENTS_KEPT],
        disagreements_total=len(differing),
        regressions=None if comparison is None else regressions(results),
        untrained=answered.untrained,
        results_file=str(write_results(cache_dir / f"{id}.jsonl", results)),
        from_cache=answered.from_cache,
        sandbox=sandbox_of(task),
        incumbent_cost_usd=asking_cost(name, [one.usage for one in results.candidate]),
    )


class ScoredAnswers(NamedTuple):
    """Both models' answers, scored. `wall_seconds` is None where some answers were not asked for now."""

    results: SideBySide
    self_noise: float | None
    untrained: UntrainedBaseline | None
    from_cache: int
    wall_seconds: float | None


async def ask_and_score(
    candidate: ServedCandidate,
    incumbent: str,
    samples: Sequence[Sample],
    repeats: Mapping[str, Sequence[str]],
    task: Task,
    options: ReplayOptions,
    progress: Progress,
) -> ScoredAnswers:
    """Ask the candidate, and score its answers and those recorded of the incumbent."""
    references = [sample.target for sample in samples]
    recorded = [frozen_answer(sample, repeats) for sample in samples]
    async with scorer_of(task) as scorer:
        began = time.monotonic()
        replies = await answers(
            candidate.endpoint,
            candidate.model,
            samples,
            task,
            options=options._replace(signals=True),
            on_progress=lambda done, of: progress.update(done, of, unit="samples"),
        )
        wall = time.monotonic() - began
        outputs = [reply.answer for reply in replies]
        results = SideBySide(
            samples,
            references,
            await score_all(scorer, incumbent, samples, recorded, references),
            await score_all(scorer, candidate.model, samples, outputs, references),
            incumbent,
            candidate.model,
        )
        noise = await self_noise(scorer, samples, repeats)
        untrained = await _untrained(candidate, samples, task, scorer, options, progress)
    from_cache = sum(reply.cached for reply in replies)
    seconds = None if from_cache else round(wall, 3)
    return ScoredAnswers(results, noise, untrained, from_cache, seconds)


async def _untrained(
    candidate: ServedCandidate,
    samples: Sequence[Sample],
    task: Task,
    scorer: Scorer,
    options: ReplayOptions,
    progress: Progress,
) -> UntrainedBaseline | None:
    model, few = candidate.untrained_model, samples[: candidate.untrained_samples]
    if model is None or not few:
        return None
    progress.say(f"asking {model} without the adapter, {len(few)} samples")
    replies = await answers(candidate.endpoint, model, few, task, options=options._replace(budget=None))
    return baseline(
        await score_all(scorer, model, few, [one.answer for one in replies], [one.target for one in few])
    )


async def evaluate_project(
    project: Project,
    candidate: ServedCandidate,
    task: Task,
    *,
    selection: HeldOutSelection = WHOLE_LATEST,
    options: ReplayOptions = _OPTIONS,
    fresh: bool = False,
    anyway: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a candidate on the project's held-out samples and keep the records.

    Raises as `evaluate`, and before anything is asked `PreflightError` where no good end is possible (with `anyway` it
    is only told).
    """
    cache_dir = project.state / "evaluations"
    with open_store(project.store_url) as store:
        dataset = find_dataset(store, selection.dataset_id)
        plan = EvaluationPlan(
            dataset=dataset,
            task=task,
            frozen=frozen_answers(project, dataset),
            looks=Looks(store, LookPlan(selection.planned_looks)),
            limit=selection.limit,
        )
        address = candidate.address(kept=not fresh and candidate.answers_file(cache_dir).exists())
        found = await preflight(
            PreflightRequest(
                dataset=dataset,
                task=task,
                held_out=plan.samples()[0],
                frozen=plan.frozen,
                looks=LookPlan(selection.planned_looks),
                addresses=(address,),
            )
        )
        require(found, anyway=anyway, progress=progress or Silent())
        made = await evaluate(
            plan,
            candidate,
            cache_dir=cache_dir,
            options=options,
            fresh=fresh,
            progress=progress,
        )
        keep(store, made)
    return made
