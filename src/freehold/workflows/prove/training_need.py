"""`freehold power --curve`: how many training samples until a candidate passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import anyio

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.evals.frozen import with_frozen
from freehold.stats import power as planner
from freehold.stats.learning_curve import LearnedPoint, fit, samples_until
from freehold.store import open_store
from freehold.types.dataset import Dataset
from freehold.types.evaluation import Task
from freehold.types.training import TrainingCurve, TrainingNeed
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.power import PowerTarget
from freehold.workflows.prove.preflight.incumbent import incumbent_scores
from freehold.workflows.prove.results import frozen_answers


class NeedAssumptions(NamedTuple):
    """What is known besides the curve; None: from the project's dataset."""

    held_out: int | None = None
    incumbent_rate: float | None = None
    discordance: float = planner.PLANNED_DISCORDANCE


def training_need(
    curve: TrainingCurve,
    target: PowerTarget,
    *,
    held_out: int,
    incumbent_rate: float,
    discordance: float = planner.PLANNED_DISCORDANCE,
) -> TrainingNeed:
    """Read off a curve when its candidate would pass on `held_out` items like its validation items.

    Where the two must differ by more than `discordance`, that is assumed instead. Raises `UsageError` where no accuracy
    would pass.
    """
    points = [LearnedPoint(one.samples, one.right, one.asked) for one in curve.runs]
    difference = planner.difference_for(
        held_out, discordance=discordance, margin=target.margin, alpha=target.alpha, power=target.power
    )
    if difference is None or incumbent_rate + difference >= 1:
        raise UsageError(
            f"with {held_out:,} held-out items no accuracy is promoted with a probability of {target.power:.0%} at a "
            f"margin of {target.margin:g}",
            hint=f"freehold power --margin {target.margin:g} says how many items to hold out",
        )
    accuracy = incumbent_rate + difference
    until = samples_until(points, accuracy)
    largest = max(points)
    return TrainingNeed(
        curve_id=curve.id,
        base_model=curve.base_model,
        margin=target.margin,
        power=target.power,
        held_out=held_out,
        discordance=discordance,
        incumbent_rate=incumbent_rate,
        difference=difference,
        accuracy=accuracy,
        trained=largest.samples,
        reached=largest.accuracy,
        samples=until.samples,
        low=until.low,
        high=until.high,
        farthest=until.farthest,
        fits=fit(points).fits,
    )


def project_need(project: Project, target: PowerTarget, task: Task, known: NeedAssumptions) -> TrainingNeed:
    """`training_need` of the project's last curve, with what its dataset says of the held-out items.

    Raises `UsageError` where there is no curve, or where nothing says how right the incumbent is.
    """
    with open_store(project.store_url) as store:
        curve = store.latest(TrainingCurve)
        if curve is None:
            raise UsageError("no learning curve has been made yet", hint="freehold train --curve makes one")
        dataset = find_dataset(store, curve.dataset_id)
    rate = known.incumbent_rate
    if rate is None:
        scores = anyio.run(_incumbent_scores, project, dataset, task)
        if not scores:
            raise UsageError(
                "how right the incumbent is on the held-out items is not known: they lack right answers or its "
                "answers, or the scorer asks a model",
                hint="--incumbent-rate 0.93 says it",
            )
        rate = sum(scores) / len(scores)
    held_out = dataset.split("held_out").samples if known.held_out is None else known.held_out
    return training_need(curve, target, held_out=held_out, incumbent_rate=rate, discordance=known.discordance)


async def _incumbent_scores(project: Project, dataset: Dataset, task: Task) -> Sequence[float] | None:
    held_out = list(building.samples(dataset, "held_out"))
    filled, repeats = with_frozen(held_out, frozen_answers(project, dataset))
    return await incumbent_scores(task, [one for one in filled if one.incumbent is not None], repeats)
