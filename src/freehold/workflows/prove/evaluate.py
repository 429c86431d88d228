"""`freehold evaluate`: is the candidate good enough, on held-out samples, against the frozen incumbent?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import stdev
from typing import Any

import msgspec
from scipy.stats import t as student

from freehold import files
from freehold.datasets import building
from freehold.errors import ConfigError, UsageError
from freehold.evals.chat.chat_client import Patience
from freehold.evals.comparing import SideBySide, disagreements
from freehold.evals.frozen import (
    frozen_answer,
    read_frozen,
    reference_notes,
    references_kind,
    self_noise,
    with_frozen,
)
from freehold.evals.latency import summarize
from freehold.evals.replay import Budget, ReplayOptions, answers
from freehold.evals.scoring import score_all, scorer_of
from freehold.evals.task_comparison import compare_by_task, prepared
from freehold.stats.binary import wilson_limits
from freehold.stats.compare import ScoreContext
from freehold.store import Store, open_store
from freehold.types.config import TaskConfig, parse
from freehold.types.dataset import Dataset, Sample
from freehold.types.endpoint import Endpoint
from freehold.types.evaluated import (
    Evaluation,
    ItemResult,
    Measured,
    UntrainedBaseline,
)
from freehold.types.evaluation import EvalResult, Task
from freehold.types.progress import Progress, Silent
from freehold.types.record import content_id
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.incumbent.list_price import asking_cost
from freehold.workflows.project import Project

DISAGREEMENTS_KEPT = 50


async def evaluate(
    *,
    dataset: Dataset,
    task: Task,
    endpoint: Endpoint,
    model: str,
    cache_dir: Path,
    untrained_model: str | None = None,
    untrained_samples: int = 0,
    concurrency: int = 4,
    limit: int | None = None,
    fresh: bool = False,
    count_looks: Callable[[str], int] | None = None,
    planned_looks: int = 1,
    without_incumbent: bool = False,
    patience: Patience | None = None,
    budget: Budget | None = None,
    frozen: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Replay the held-out samples against `model` and compare with the incumbent's frozen answers.

    Both are scored by the task's scorer against gold. A sample without gold is scored against the
    incumbent's own answer; the incumbent is then right by construction and the notes say so. `limit` takes
    the first samples only. Answers are kept in `cache_dir` and used again unless `fresh`.
    `frozen` holds answers of the incumbent by sample id, several of one sample where it was asked repeatedly:
    they stand in where the dataset has none, give the incumbent's own noise, and let a sample without gold
    be scored fairly (the incumbent's second answer against its first).
    With `untrained_model`, the first `untrained_samples` are asked that model too. With `without_incumbent`,
    samples that have only gold are measured by themselves, without a comparison.

    `count_looks` tells, from the evaluation's id, how often these items were evaluated before, this time
    included; more than `planned_looks` can't promote any more. Planned looks share alpha among them.

    Raises `UsageError` when there is nothing to compare with, and what `answers` raises.
    """
    progress = progress or Silent()
    samples = list(building.samples(dataset, "held_out"))[:limit]
    if not samples:
        raise UsageError("no held-out samples", hint="freehold dataset build holds some out")
    samples, repeats = with_frozen(samples, frozen or {})
    alone = not any(sample.incumbent is not None for sample in samples)
    if alone and not without_incumbent:
        raise UsageError(
            "no held-out sample has an answer of the incumbent, so there is nothing to compare with",
            hint="freehold freeze records its answers; freehold import FILE brings in recorded ones",
        )
    cache = cache_dir / f"answers-{content_id([endpoint.name, endpoint.engine, model])[:12]}.jsonl"
    if fresh:
        cache.unlink(missing_ok=True)
    references = [sample.target for sample in samples]
    task = prepared(task, cache_dir)
    name = dataset.incumbent_model or "incumbent"
    untrained = None
    async with scorer_of(task) as scorer:
        began = time.monotonic()
        asked = await answers(
            endpoint,
            model,
            samples,
            task,
            options=ReplayOptions(concurrency, cache, patience, budget),
            on_progress=lambda done, of: progress.update(done, of, unit="samples"),
        )
        wall = time.monotonic() - began
        from_cache = sum(one.cached for one in asked)
        candidate = await score_all(scorer, model, samples, [one.answer for one in asked], references)
        incumbent = await score_all(
            scorer, name, samples, [frozen_answer(one, repeats) for one in samples], references
        )
        noise = await self_noise(scorer, samples, repeats)
        if untrained_model is not None and untrained_samples > 0:
            few = samples[:untrained_samples]
            progress.say(f"asking {untrained_model} without the adapter, {len(few)} samples")
            plain = await answers(
                endpoint,
                untrained_model,
                few,
                task,
                options=ReplayOptions(concurrency, cache, patience),
            )
            untrained = baseline(
                await score_all(
                    scorer, untrained_model, few, [one.answer for one in plain], references[: len(few)]
                )
            )
    kind = references_kind(samples)
    id = evaluation_id(dataset.id, task, incumbent, candidate)
    looks = count_looks(id) if count_looks is not None else 1
    comparison = None
    if not alone:
        compared = await compare_by_task(
            SideBySide(samples, references, incumbent, candidate, name, model),
            msgspec.structs.replace(task, alpha=task.alpha / planned_looks),
            made_from=(dataset.id,),
            notes=reference_notes(samples, repeats),
            context=ScoreContext(self_noise=noise, looks=looks if looks > planned_looks else 1),
            patience=patience,
            on_progress=lambda done, of: progress.update(done, of, unit="judged"),
        )
        comparison, incumbent, candidate = compared
    differing = () if alone else disagreements(samples, incumbent, candidate, references)
    return Evaluation(
        id=id,
        task=task,
        dataset_id=dataset.id,
        incumbent=name,
        candidate=model,
        endpoint=endpoint.base_url,
        comparison=comparison,
        measured=measured([one.score.value for one in candidate], task.alpha),
        references=kind,
        latency=summarize(
            candidate, concurrency=concurrency, wall_seconds=None if from_cache else round(wall, 3)
        ),
        disagreements=differing[:DISAGREEMENTS_KEPT],
        disagreements_total=len(differing),
        untrained=untrained,
        results_file=str(write_results(cache_dir / f"{id}.jsonl", samples, references, incumbent, candidate)),
        from_cache=from_cache,
        incumbent_cost_usd=asking_cost(name, [one.usage for one in candidate]),
    )


def evaluation_id(
    items: str, task: Task, incumbent: Sequence[EvalResult], candidate: Sequence[EvalResult]
) -> str:
    """Id of what was measured: the items, the task, all answers and scores; not how long they took."""
    seen = [
        [one.output, one.score.value, other.output, other.score.value]
        for one, other in zip(incumbent, candidate, strict=True)
    ]
    return content_id([items, task, seen])


def measured(scores: Sequence[float | None], alpha: float) -> Measured:
    """The mean of the scored ones, with the two-sided 1 − 2·alpha interval: Wilson's for 0/1, else Student's t."""
    values = [value for value in scores if value is not None]
    n, level = len(values), 1 - 2 * alpha
    mean = sum(values) / n if values else None
    if mean is not None and all(value in (0.0, 1.0) for value in values):
        low, high = wilson_limits(sum(values), n, alpha)
        return Measured(n=n, mean=mean, ci_low=low, ci_high=high, level=level, method="wilson")
    if mean is None or n < 2:
        return Measured(n=n, mean=mean, ci_low=None, ci_high=None, level=level, method="t")
    half = float(student.ppf(1 - alpha, n - 1)) * stdev(values) / n**0.5
    return Measured(n=n, mean=mean, ci_low=mean - half, ci_high=mean + half, level=level, method="t")


def baseline(results: Sequence[EvalResult]) -> UntrainedBaseline:
    """What the base scores without the adapter."""
    values = [one.score.value for one in results if one.score.value is not None]
    return UntrainedBaseline(
        n=len(values),
        mean=sum(values) / len(values) if values else None,
        format_failures=sum(not one.score.format_ok for one in results),
    )


def write_results(
    path: Path,
    samples: Sequence[Sample],
    references: Sequence[str | None],
    incumbent: Sequence[EvalResult],
    candidate: Sequence[EvalResult],
) -> Path:
    """Write the results file. Raises `StorageError`."""
    lines = (
        ItemResult(sample=sample, reference=reference, incumbent=one, candidate=other)
        for sample, reference, one, other in zip(samples, references, incumbent, candidate, strict=True)
    )
    with files.writing(
        f"{path}: results cannot be written",
        hint="free some space or check who owns the folder, then run the command again",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


def task_of(
    project: Project,
    *,
    scorer: str | None = None,
    options: dict[str, Any] | None = None,
    margin: float | None = None,
    alpha: float | None = None,
) -> Task:
    """The task of `freehold.toml`, with what is asked for here instead. Options belong to a scorer: another one
    starts without the file's. A `scorer` that ends in ``.toml`` is a file with a `[task]` table, taken whole.

    Raises `ConfigError` for a file that can't be read or says something unknown, and `UsageError` for a margin or
    alpha that cannot be: before anything is asked, not after everything was.
    """
    if margin is not None and not 0 < margin < 1:
        raise UsageError(
            f"margin is {margin:g}, expected above 0 and below 1",
            hint="the margin is the largest drop you accept, on the score's scale: 0.02 is two points",
        )
    if alpha is not None and not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}, expected between 0 and 0.5", hint="0.025 is the usual choice")
    told = project.config.task
    if scorer is not None and scorer.endswith(".toml"):
        told, scorer = _task_in(Path(scorer)), None
    kept = told.options if scorer in (None, told.scorer) else {}
    return Task(
        name=project.config.app.name,
        scorer=scorer or told.scorer,
        margin=told.margin if margin is None else margin,
        alpha=told.alpha if alpha is None else alpha,
        group_by=told.group_by,
        slices=told.slices,
        options=kept | (options or {}),
        max_tokens=told.max_tokens,
    )


def _task_in(path: Path) -> TaskConfig:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not valid UTF-8") from None
    named = "" if re.search(r"^\s*\[app\]", text, re.MULTILINE) else f'app.name = "{path.stem}"\n'
    return parse(named + text, path=str(path)).task


def frozen_file(project: Project, dataset_id: str, split: str = "held_out") -> Path:
    """Where a split's frozen answers are."""
    return project.state / "frozen" / f"{dataset_id}-{split}.jsonl"


class Looks:
    """How often the held-out samples of a dataset were evaluated before: looking again and again is no test."""

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self._earlier = [one.id for one in store.records(Evaluation) if one.dataset_id == dataset.id]

    def count(self, id: str) -> int:
        """Which look this evaluation is, the first being 1; the same evaluation again is the same look."""
        return (self._earlier.index(id) if id in self._earlier else len(self._earlier)) + 1

    def is_new(self, id: str) -> bool:
        return id not in self._earlier


async def evaluate_project(
    project: Project,
    *,
    url: str,
    model: str,
    task: Task,
    dataset_id: str | None = None,
    api_key_env: str | None = None,
    concurrency: int = 4,
    limit: int | None = None,
    fresh: bool = False,
    planned_looks: int = 1,
    budget: Budget | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate `model` at `url` on the project's held-out samples and keep the records. Raises as `evaluate`."""
    with open_store(project.store_url) as store:
        dataset = find_dataset(store, dataset_id)
        looks = Looks(store, dataset)
        made = await evaluate(
            dataset=dataset,
            task=task,
            endpoint=Endpoint(name=url, engine="remote", base_url=url, api_key_env=api_key_env),
            model=model,
            cache_dir=project.state / "evaluations",
            concurrency=concurrency,
            limit=limit,
            fresh=fresh,
            count_looks=looks.count,
            planned_looks=planned_looks,
            budget=budget,
            frozen=read_frozen(frozen_file(project, dataset.id)),
            progress=progress,
        )
        keep(store, made, is_new=looks.is_new(made.id))
    return made


def keep(store: Store, made: Evaluation, *, is_new: bool) -> None:
    """Keep an evaluation's records; one that is there keeps its place in the order of looks."""
    comparison = made.comparison
    made_from = [made.dataset_id]
    if comparison is not None:
        store.put(comparison, made_from=comparison.made_from)
        made_from.append(comparison.id)
    if is_new:
        store.put(made, made_from=made_from)
