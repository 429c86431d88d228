"""What an evaluation leaves: its id, figures, files and records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import stdev

import msgspec

from freehold import files
from freehold.evals.comparing import SideBySide
from freehold.evals.frozen import read_frozen
from freehold.evals.task_comparison import labels_id
from freehold.late import special
from freehold.stats.binary import wilson_limits
from freehold.store import Store
from freehold.types.dataset import Dataset, SplitName
from freehold.types.evaluated import Evaluation, ItemResult, Measured, UntrainedBaseline
from freehold.types.evaluation import EvalResult, Task
from freehold.types.record import content_id
from freehold.workflows.project import Project

DISAGREEMENTS_KEPT = 50


def evaluation_id(items: str, task: Task, results: SideBySide) -> str:
    """Id of what was measured: the items, the task, all answers and scores; not how long they took.

    Human labels that correct a judge decide as scores do: with more of them it is another evaluation. Raises
    `InputError` where their file cannot be read.
    """
    pairs = [
        [one.output, one.score.value, other.output, other.score.value]
        for one, other in zip(results.incumbent, results.candidate, strict=True)
    ]
    return content_id([items, task, pairs, *filter(None, [labels_id(task)])])


def answers_id(task: Task, candidate: Sequence[EvalResult]) -> str:
    """Id of a candidate's answers to a task and their scores, whatever the incumbent's are."""
    return content_id([task, [[one.output, one.score.value] for one in candidate]])


def measured(results: Sequence[EvalResult], alpha: float) -> Measured:
    """The mean of the scored ones, with the two-sided 1 − 2·alpha interval: Wilson's for 0/1, else Student's t."""
    values = [one.score.value for one in results if one.score.value is not None]
    n, level = len(values), 1 - 2 * alpha
    mean = sum(values) / n if values else None
    if mean is not None and all(value in (0.0, 1.0) for value in values):
        low, high = wilson_limits(sum(values), n, alpha)
        return Measured(n=n, mean=mean, ci_low=low, ci_high=high, level=level, method="wilson")
    if mean is None or n < 2:
        return Measured(n=n, mean=mean, ci_low=None, ci_high=None, level=level, method="t")
    half = float(special.stdtrit(n - 1, 1 - alpha)) * stdev(values) / n**0.5
    return Measured(n=n, mean=mean, ci_low=mean - half, ci_high=mean + half, level=level, method="t")


def baseline(results: Sequence[EvalResult]) -> UntrainedBaseline:
    """What the base scores without the adapter."""
    values = [one.score.value for one in results if one.score.value is not None]
    return UntrainedBaseline(
        n=len(values),
        mean=sum(values) / len(values) if values else None,
        format_failures=sum(not one.score.format_ok for one in results),
    )


def write_results(path: Path, results: SideBySide) -> Path:
    """Write the results file. Raises `StorageError`."""
    lines = (
        ItemResult(sample=sample, reference=reference, incumbent=one, candidate=other)
        for sample, reference, one, other in zip(
            results.samples, results.references, results.incumbent, results.candidate, strict=True
        )
    )
    with files.writing(
        f"{path}: results cannot be written",
        hint="free some space or check who owns the folder, then run the command again",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return path


def frozen_file(project: Project, dataset_id: str, split: SplitName = "held_out") -> Path:
    """Where a split's frozen answers are."""
    return project.state / "frozen" / f"{dataset_id}-{split}.jsonl"


def frozen_answers(
    project: Project, dataset: Dataset, split: SplitName = "held_out"
) -> dict[str, tuple[str, ...]]:
    """The incumbent's answers to a split's samples that `freehold freeze` recorded, by sample id."""
    return read_frozen(frozen_file(project, dataset.id, split))


def keep(store: Store, made: Evaluation) -> None:
    """Keep an evaluation's records; one that is there keeps its place among the evaluations."""
    comparison = made.comparison
    made_from = [made.dataset_id]
    if comparison is not None:
        store.put(comparison, made_from=comparison.made_from)
        made_from.append(comparison.id)
    store.put_once(made, made_from=made_from)
