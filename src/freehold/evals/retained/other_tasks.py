"""Requests of the log's other tasks, and whether a trained model still answers them as its base does.

Right is what the log recorded: gold where it is known, else the incumbent's answer. The scorer is the one that suits
the task's answers; free text is compared by the words in common. Both are crude and the same for both models: what
counts is the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.dataset import Sample
from freehold.types.evaluation import EvalResult, PairedResult, Task
from freehold.types.record import Record
from freehold.types.retained import TaskResult


class OtherTask(Record, frozen=True, kw_only=True):
    """Another task of the log: how its answers are scored, and some of its requests with what was answered."""

    task: Task
    samples: tuple[Sample, ...]

    @property
    def name(self) -> str:
        return self.task.name

    @property
    def needs_tools(self) -> bool:
        """Whether a request offers tools, which not every endpoint takes."""
        return any(one.tools for one in self.samples)


class AnsweredTask(NamedTuple):
    """What both models answered to the same requests, scored."""

    other: OtherTask
    base: Sequence[EvalResult]
    trained: Sequence[EvalResult]


class KeptTasks(NamedTuple):
    """The tasks in numbers, and all their pairs compared."""

    tasks: tuple[TaskResult, ...]
    result: PairedResult


def kept_tasks(answered: Sequence[AnsweredTask], margin: float) -> KeptTasks | None:
    """What became of each task, by paired statistics over all, where harm is adjusted for the number of tasks.

    A request that neither model could answer whole (too long for the context, cut at the limit) says nothing of a loss,
    and is not a pair. None where there is no pair at all.
    """
    names, ids = list[str](), list[str]()
    before, after = list[float](), list[float]()
    for one in answered:
        for sample, base, trained in zip(one.other.samples, one.base, one.trained, strict=True):
            if base.score.value is None or trained.score.value is None or (base.error and trained.error):
                continue
            ids.append(f"{one.other.name} {sample.id}")
            names.append(one.other.name)
            before.append(base.score.value)
            after.append(trained.score.value)
    if not ids:
        return None
    rule = DecisionRule(margin=margin, slice_margin=margin)
    result = compare_scores(ids, before, after, rule, slices={"task": names})
    harmed = {part.name.removeprefix("task=") for part in result.slices if part.harmed}
    tasks = []
    for one in answered:
        rows = [row for row, name in enumerate(names) if name == one.other.name]
        if rows:
            tasks.append(
                TaskResult(
                    name=one.other.name,
                    scorer=one.other.task.scorer,
                    n=len(rows),
                    base_score=sum(before[row] for row in rows) / len(rows),
                    trained_score=sum(after[row] for row in rows) / len(rows),
                    lost=one.other.name in harmed,
                )
            )
    return KeptTasks(tuple(tasks), result)
