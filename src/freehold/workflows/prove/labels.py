"""Whether answers are held to the labels of a task, and what a reader must know about that."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from freehold.datasets import building
from freehold.evals.replay import served_model
from freehold.evals.scorer import read_options
from freehold.evals.scorers.label import LabelOptions, LabelScorer
from freehold.types.dataset import Dataset
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task

_LOOKED_AT = 20_000
_LONGEST = 200
"""Characters of a label: longer ones are texts, which no grammar should hold."""


def task_labels(task: Task) -> tuple[str, ...]:
    """The closed set a task's answers are of; empty where there is none. Raises `ConfigError` for its options."""
    if task.scorer != "label":
        return ()
    return read_options("label", task.options, LabelOptions).labels


def labels_held(task: Task, dataset: Dataset) -> tuple[str, ...]:
    """The labels to which a candidate for this dataset is held when it is served; empty where it answers freely.

    Answers that may be longer than a label, and requests with tools or a response format of their own, cannot be held
    so: engines refuse two grammars at once. A label is spelled as it was taught, whatever the task's spelling.
    """
    labels = task_labels(task)
    if not labels or task.options.get("anywhere") or max(map(len, labels)) > _LONGEST:
        return ()
    if any(one.tools or one.response_format for one in building.samples(dataset, "held_out")):
        return ()
    scorer = LabelScorer(task.options)
    spellings: dict[str, Counter[str]] = {label: Counter() for label in labels}
    for sample in islice(building.samples(dataset, "train"), _LOOKED_AT):
        label = scorer.label_of(sample.target or "")
        if label is not None and sample.target:
            spellings[label][sample.target.strip()] += 1
    return tuple(counted.most_common(1)[0][0] if counted else label for label, counted in spellings.items())


def label_notes(task: Task, endpoint: Endpoint, model: str) -> list[str]:
    """What held the answers to the labels, on either side. None where a task has no closed set."""
    labels = task_labels(task)
    if not labels:
        return []
    if endpoint.engine == "encoder":
        return [
            f"The candidate can answer nothing but the labels it was taught, {len(labels):,} at most; the incumbent "
            "answered freely, as it was recorded."
        ]
    held = served_model(endpoint, model).labels
    if held:
        return [
            f"The candidate was held to the {len(held):,} labels by {endpoint.engine_kind.title}, as its plan serves "
            "it; the incumbent answered freely, as it was recorded."
        ]
    return [
        f"Nothing was sent that holds answers to the {len(labels):,} labels: both models answered freely, unless the "
        "endpoint itself holds them."
    ]
