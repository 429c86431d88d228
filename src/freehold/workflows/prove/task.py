"""The task of an evaluation: what `freehold.toml` says, with what is asked for on the command line instead."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from freehold.datasets import building
from freehold.errors import ConfigError, UsageError
from freehold.evals.replay import served_model
from freehold.evals.scorer import read_options
from freehold.evals.scorers.label import LabelOptions, LabelScorer
from freehold.settings import Settings
from freehold.types.config import TaskConfig
from freehold.types.config_file import parse
from freehold.types.dataset import Dataset
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task
from freehold.workflows.project import Project, check_trusted


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
    alpha that cannot be, before any request is sent.
    """
    if margin is not None and not 0 < margin < 1:
        raise UsageError(
            f"margin is {margin:g}, expected above 0 and below 1",
            hint="the margin is the largest drop you accept, on the score's scale: 0.02 is two points",
        )
    if alpha is not None and not 0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha:g}, expected between 0 and 0.5", hint="0.025 is the usual choice")
    config = project.config.task
    if scorer is not None and scorer.endswith(".toml"):
        config, scorer = _task_in(Path(scorer), project.settings), None
    from_file = config.options if scorer in (None, config.scorer) else {}
    return Task(
        name=project.config.app.name,
        scorer=scorer or config.scorer,
        margin=config.margin if margin is None else margin,
        alpha=config.alpha if alpha is None else alpha,
        group_by=config.group_by,
        slices=config.slices,
        options=from_file | (options or {}),
        max_tokens=config.max_tokens,
    )


def _task_in(path: Path, settings: Settings) -> TaskConfig:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not valid UTF-8") from None
    if not re.search(r"^\s*\[app\]", text, re.MULTILINE):
        text += '\n[app]\nname = "a task"\n'  # behind the rest, so that errors count its lines
    read = parse(text, path=str(path))
    check_trusted(read, path, settings)
    return read.task


# Whether answers are held to the labels of a task, and what a reader must know about that.

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
