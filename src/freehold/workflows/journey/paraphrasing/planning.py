"""Who is asked for paraphrases and what for, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from freehold.datasets import building
from freehold.errors import UsageError
from freehold.types.config import ParaphrasesConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.evaluation import Task
from freehold.types.record import Record, content_id
from freehold.types.teaching import Paraphrases
from freehold.workflows.journey.harvest.parts import Ask, Asked
from freehold.workflows.journey.harvest.written import (
    EACH,
    NONE_RARE,
    classes_of,
    paraphrase_ask,
    rare_of,
    writer_of,
)
from freehold.workflows.journey.paying.asked_model import asked_model
from freehold.workflows.journey.paying.prices import Prices
from freehold.workflows.project import Project

FOLDER = "paraphrases"
"""Of a project's state: what was asked for paraphrases, and answered."""
ROLE = "the writer of paraphrases"
MOST_CLASSES = 300
"""More classes than this do not fit a question for the label."""


class ParaphrasesFound(Record, frozen=True, kw_only=True):
    """What was kept, as training samples, and what became of the rest."""

    told: Paraphrases
    samples: tuple[Sample, ...]


class ParaphrasesPlan(NamedTuple):
    """Everything that is asked. `classes` are all training samples by class; `rounds` holds a request for each rare
    class in turn, so that a budget that ends early leaves none out."""

    asked: Asked
    prices: Prices
    config: ParaphrasesConfig
    classes: dict[str, list[Sample]]
    rare: int
    rounds: tuple[Ask, ...]
    train: tuple[Sample, ...]
    judged: tuple[Sample, ...]
    """Validation and held-out samples: nothing that repeats one is learned from."""
    near_duplicates: float
    folder: Path


def writer_named(config: ParaphrasesConfig, project: Project) -> str:
    """The model that will write. Raises `UsageError` where the endpoint cannot be asked."""
    return writer_of(asked_model(config.endpoint, project.config, role=ROLE).model)


def plan(project: Project, dataset: Dataset, task: Task, config: ParaphrasesConfig) -> ParaphrasesPlan:
    """Count what will be asked. Nothing is sent.

    Raises `UsageError` where the answers are no classes or none is rare, where a budget in dollars cannot be kept for
    want of a price, and for an endpoint that cannot be asked.
    """
    found = asked_model(config.endpoint, project.config, role=ROLE)
    writer = writer_of(found.model)
    if config.budget_usd is not None and found.prices.usd(writer, 1, 1) is None:
        raise UsageError(
            f"no price of {writer} is known, so a budget in dollars cannot be kept",
            hint="state it: price = { prompt = 2.5, completion = 10 } where its address is, in dollars per million "
            "tokens; or budget_requests",
        )
    train = tuple(building.samples(dataset, "train"))
    classes = classes_of(train)
    if not classes or len(classes) > MOST_CLASSES:
        why = f"there are {len(classes):,} classes" if classes else "the answers are not classes"
        raise UsageError(f"no paraphrases can be asked for: {why}", hint="leave paraphrases out")
    rare = rare_of(classes)
    if not rare:
        raise UsageError(f"no paraphrases are needed: {NONE_RARE}", hint="leave paraphrases out")
    asked = Asked(found.endpoint, found.model, task)
    return ParaphrasesPlan(
        asked=asked,
        prices=found.prices,
        config=config,
        classes=classes,
        rare=len(rare),
        rounds=tuple(_rounds(asked, rare, math.ceil(config.per_class / EACH))),
        train=train,
        judged=(*building.samples(dataset, "validation"), *building.samples(dataset, "held_out")),
        near_duplicates=float(dataset.recipe.get("near_duplicates", 0.0)),
        folder=project.state
        / FOLDER
        / content_id([dataset.id, found.endpoint.base_url, writer, config.per_class])[:12],
    )


def _rounds(asked: Asked, rare: Sequence[Sequence[Sample]], count: int) -> list[Ask]:
    """A request for each class in each round, of another of its samples each time, and of the first again after all."""
    return [
        paraphrase_ask(asked, some[number % len(some)], number // len(some))
        for number in range(count)
        for some in rare
    ]
