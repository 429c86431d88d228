"""`freehold freeze`: the incumbent's answers recorded before it is retired, several times for its own noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from freehold.catalog.retirements import retirement_of
from freehold.costs.prices import asking_cost
from freehold.datasets import building
from freehold.errors import UsageError
from freehold.evals.frozen import FrozenAnswers, self_noise, with_frozen, write_frozen
from freehold.evals.replay import Replayed, ReplayOptions, answers
from freehold.evals.scorers import scorer_of
from freehold.progress import Progress, Silent
from freehold.store import open_store
from freehold.types.dataset import Dataset, Sample, SplitName
from freehold.types.endpoint import Endpoint
from freehold.types.evaluated import Freeze
from freehold.types.record import content_id
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project, now
from freehold.workflows.prove.results import frozen_file
from freehold.workflows.prove.task import task_of

_OPTIONS = ReplayOptions()


async def freeze(
    project: Project,
    *,
    dataset_id: str | None = None,
    split: SplitName = "held_out",
    repeats: int = 1,
    options: ReplayOptions = _OPTIONS,
    progress: Progress | None = None,
) -> Freeze:
    """Ask the incumbent every sample of a split `repeats` times and keep the answers with the dataset.

    A sample is asked as its request was recorded, as a candidate is. What was asked before is not asked again, so a
    stopped freeze continues, and a higher `repeats` only adds.
    Raises `UsageError` without an address or model, and what `answers` raises.
    """
    progress = progress or Silent()
    incumbent = project.config.incumbent
    if incumbent is None or incumbent.base_url is None:
        raise UsageError("no incumbent is named", hint="set base_url and model in [incumbent]")
    url, model = incumbent.base_url, incumbent.model
    if repeats < 1:
        raise UsageError(f"repeats is {repeats}, expected at least 1")
    task = task_of(project)
    with open_store(project.store_url) as store:
        dataset = find_dataset(store, dataset_id)
        samples = list(building.samples(dataset, split))
        if not samples:
            raise UsageError(f"the {split} split is empty", hint="--split train, or freehold dataset build")
        endpoint = Endpoint(
            name=url,
            engine="remote",
            base_url=url,
            api_key_env=incumbent.api_key_env,
            credentials=incumbent.credentials,
        )
        cache = project.state / "frozen" / f"asked-{content_id([url, model])[:12]}.jsonl"
        rounds: list[list[Replayed]] = []
        for number in range(repeats):
            progress.step(f"ask {model}", note=f"round {number + 1} of {repeats}")
            rounds.append(
                await answers(
                    endpoint,
                    model,
                    samples,
                    task,
                    options=options._replace(cache_path=cache, repeat=number),
                    on_progress=lambda done, of: progress.update(done, of, unit="samples"),
                )
            )
        frozen_rows = _frozen_rows(samples, rounds)
        path = write_frozen(frozen_file(project, dataset.id, split), frozen_rows)
        frozen = {one.sample_id: one.answers for one in frozen_rows}
        filled, more = with_frozen(samples, frozen)
        async with scorer_of(task) as scorer:
            noise = await self_noise(scorer, filled, more)
        made = _record(dataset, model, split, repeats, rounds, frozen_rows, path, noise)
        store.put(made, made_from=(dataset.id,))
    return made


def _frozen_rows(samples: Sequence[Sample], rounds: Sequence[Sequence[Replayed]]) -> list[FrozenAnswers]:
    """All answers that came, cut ones too: a cut answer is what the application would have got."""
    rows = []
    for number, sample in enumerate(samples):
        outputs = tuple(
            one.output
            for replies in rounds
            if (one := replies[number].answer).output is not None and one.fault != "infrastructure"
        )
        if outputs:
            rows.append(FrozenAnswers(sample_id=sample.id, answers=outputs))
    return rows


def _record(
    dataset: Dataset,
    model: str,
    split: SplitName,
    repeats: int,
    rounds: Sequence[Sequence[Replayed]],
    frozen_rows: Sequence[FrozenAnswers],
    path: Path,
    noise: float | None,
) -> Freeze:
    at = now()
    answered = [reply.answer for replies in rounds for reply in replies]
    usages = [one.usage for one in answered if one.usage is not None]
    end = retirement_of(model)
    return Freeze(
        id=content_id([dataset.id, split, model, frozen_rows]),
        at=at,
        dataset_id=dataset.id,
        model=model,
        split=split,
        repeats=repeats,
        samples=len(rounds[0]),
        answered=sum(len(one.answers) for one in frozen_rows),
        failed=sum(one.fault is not None for one in answered),
        file=str(path),
        self_noise=noise,
        retires=end.shutdown if end else None,
        days_left=(end.shutdown - at.date()).days if end else None,
        prompt_tokens=sum(one.prompt_tokens or 0 for one in usages) if usages else None,
        completion_tokens=sum(one.completion_tokens or 0 for one in usages) if usages else None,
        cost_usd=asking_cost(model, usages, at=at),
    )
