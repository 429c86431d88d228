"""By what the chosen candidate will be judged, and what is enough for that while it is still in training."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from freehold.datasets import building
from freehold.evals.frozen import with_frozen
from freehold.evals.scorers import for_task
from freehold.stats.looks import LookPlan
from freehold.stats.rules import DecisionRule
from freehold.stats.selection import SelectionRule, sufficing_share
from freehold.types.dataset import Sample, SplitName
from freehold.workflows.journey.methods.method import Bench
from freehold.workflows.prove.preflight import incumbent_scores
from freehold.workflows.prove.results import frozen_answers


def selection_rule(bench: Bench) -> SelectionRule:
    """By what the chosen one will be judged: the held-out samples that have something to be compared with."""
    compared, _ = _compared(bench, "held_out")
    alpha = LookPlan(bench.project.config.task.looks, grows=True).alpha(bench.task.alpha)
    return SelectionRule(decision=DecisionRule(margin=bench.task.margin, alpha=alpha), held_out=len(compared))


def enough(bench: Bench) -> float | None:
    """The share of the selection split that an answer must have right for a good chance of promotion, by the
    incumbent's answers there; None where scores are not right or wrong, or cannot be had in a moment, and where
    every candidate is to be tried to its end."""
    if bench.project.config.selection.stop == "all" or not for_task(bench.task).binary:
        return None
    samples, repeats = _compared(bench, "validation")
    judged = [one for one in samples if one.incumbent is not None and one.gold is not None]
    scores = anyio.run(incumbent_scores, bench.task, judged, repeats) if judged else []
    if scores is None or not samples:
        return None
    # What nothing else says is right has the incumbent's answer for right.
    theirs = (sum(scores) + len(samples) - len(judged)) / len(samples)
    rule, units = selection_rule(bench), _units(samples)
    held_out, _ = _compared(bench, "held_out")
    return sufficing_share(
        SelectionRule(decision=rule.decision, held_out=_units(held_out)), incumbent=theirs, items=units
    )


def _compared(bench: Bench, split: SplitName) -> tuple[list[Sample], dict[str, tuple[str, ...]]]:
    """Samples of a split that the incumbent answered, all where it answered none, and its further answers."""
    filled, repeats = with_frozen(
        list(building.samples(bench.dataset, split)), frozen_answers(bench.project, bench.dataset, split)
    )
    return [one for one in filled if one.incumbent is not None] or filled, repeats


def _units(samples: Sequence[Sample]) -> int:
    """Independent ones: of a conversation one."""
    return len({one.group if one.group is not None else one.id for one in samples})
