"""A comparison made by whatever the task names: a scorer on each side, or a judge on both together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold.evals.client import Patience
from freehold.evals.comparing import UNIT, Scale, SideBySide, compare
from freehold.evals.judging import Judge, JudgeOptions, load, same_family
from freehold.evals.pairwise import (
    calibrated,
    haste_note,
    judge_pairs,
    labels_of_answers,
    read_differences,
    read_labels,
)
from freehold.evals.scorer import read_options
from freehold.evals.scorers import SCORERS, scorer_class
from freehold.stats.compare import ScoreContext
from freehold.stats.judges import JudgeEvidence
from freehold.types.evaluation import Comparison, EvalResult, Score, Task
from freehold.types.record import content_id

WIN_SCALE = Scale(-1.0, 1.0)
_NOTHING_KNOWN = ScoreContext()


class Compared(NamedTuple):
    """The comparison with the results it rests on."""

    comparison: Comparison
    incumbent: list[EvalResult]
    candidate: list[EvalResult]


def prepared(task: Task, cache_dir: Path) -> Task:
    """The task, with a file for the judge's judgements where it has a judge and names none."""
    if task.scorer != "judge" or task.options.get("cache"):
        return task
    options: dict[str, Any] = {
        **task.options,
        "cache": str(cache_dir / f"judge-{content_id(task.options)[:12]}.jsonl"),
    }
    return msgspec.structs.replace(task, options=options)


def labels_id(task: Task) -> str | None:
    """Id of the human labels that correct the task's judge, None without. Raises `InputError` for a file of labels that
    cannot be read."""
    labels = task.options.get("human_labels") if task.scorer == "judge" else None
    if not labels:
        return None
    path = Path(labels)
    return content_id([sorted(read_labels(path).items()), sorted(read_differences(path, 1.0).items())])


async def compare_by_task(
    results: SideBySide,
    task: Task,
    *,
    made_from: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
    context: ScoreContext = _NOTHING_KNOWN,
    patience: Patience | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Compared:
    """Compare scored results. With a pairwise judge the answers are judged here and the results get its scores."""
    scale = UNIT
    if task.scorer == "judge":
        options = read_options("judge", task.options, JudgeOptions)
        human, of_others = _human(options, results)
        if options.mode == "pairwise":
            async with Judge(options, patience=patience) as judge:
                judged = await judge_pairs(
                    judge, results, margin=task.margin, alpha=task.alpha, human=human, on_progress=on_progress
                )
            results = results._replace(incumbent=judged.incumbent, candidate=judged.candidate)
            scale = WIN_SCALE
            evidence, more = judged.evidence, judged.notes
        else:
            evidence, more = _graded(options, results, task, human)
        haste = haste_note(Path(options.human_labels)) if options.human_labels else ""
        notes = (*notes, *more, *filter(None, [of_others, haste]))
        context = replace(context, judge=evidence)
    slices = {}
    if task.scorer in SCORERS:  # scores that were given in files have no scorer
        kind = scorer_class(task.scorer)
        context = replace(context, whole_units=kind.whole_groups)
        slices = kind.own_slices(task.options, results.samples, results.references)
        notes = (*notes, *kind.own_notes(task.options, results.incumbent, results.candidate))
    comparison = compare(
        results, task, made_from=made_from, notes=notes, scale=scale, context=context, slices=slices
    )
    return Compared(comparison, list(results.incumbent), list(results.candidate))


def _human(options: JudgeOptions, results: SideBySide) -> tuple[dict[str, float], str]:
    """The human labels of these answers, by sample id, and what a reader must know of others."""
    if not options.human_labels:
        return {}, ""
    path = Path(options.human_labels)
    if options.mode == "pairwise":
        return labels_of_answers(path, read_labels(path), results)
    rubric = load(Path(options.rubric) if options.rubric else None, "absolute")
    return labels_of_answers(path, read_differences(path, rubric.highest - rubric.lowest), results)


def _graded(
    options: JudgeOptions, results: SideBySide, task: Task, human: dict[str, float]
) -> tuple[JudgeEvidence, tuple[str, ...]]:
    """What is known about a judge that graded each answer alone."""
    differences = [
        Score(value=None)
        if one.score.value is None or other.score.value is None
        else Score(value=other.score.value - one.score.value)
        for one, other in zip(results.incumbent, results.candidate, strict=True)
    ]
    found, notes = calibrated(results.samples, differences, human, margin=task.margin, alpha=task.alpha)
    related = same_family(options.model, results.incumbent_name)
    if related:
        notes.append(f"The judge {options.model} is of the incumbent's own family and may favour it.")
    evidence = JudgeEvidence(
        human_labels=0 if found is None else found.labels, calibrated=found, same_family=related
    )
    return evidence, tuple(notes)
