"""What a trained model kept of what its base could do: both are asked the same, and compared pair by pair.

They are asked probes of general skills, and requests of the log's other tasks where the log holds some.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.engines import start
from freehold.evals.replay import ReplayOptions, answers
from freehold.evals.retained import AnsweredTask, OtherTask, Probe, kept_tasks, passes, probes
from freehold.evals.scorer import ChatAnswer
from freehold.evals.scorers import score_all, scorer_of
from freehold.progress import Progress
from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.types.config import Skill
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.evaluation import EvalResult, Task
from freehold.types.gates import SKILLS, RetainedSkills, SkillResult
from freehold.types.record import content_id
from freehold.workflows.project import Project

MARGIN = 0.1
"""The largest drop of a skill that does not count as lost: one answer in ten."""
ANSWER_TOKENS = 40
"""Enough for every probe; an answer that runs on is cut, which fails probes of form only."""


class Probing(NamedTuple):
    """What both are asked: `most` probes at most, and requests of other tasks."""

    most: int
    others: tuple[OtherTask, ...] = ()
    notes: tuple[str, ...] = ()
    """Why others are not among them."""


async def ask_retained(
    endpoint: Endpoint,
    plan: ServePlan,
    probing: Probing,
    *,
    trained: str,
    base: str,
    trained_id: str,
    folder: Path,
    progress: Progress,
) -> RetainedSkills:
    """Ask the trained model and its base, both served by `endpoint` under these names, what `probing` says.

    Answers are kept in `folder` as they come and never asked for twice: the base's for every adapter on it, as long as
    the weights and the template stay. Raises what `answers` raises.
    """
    asked, others = probes(probing.most), list(probing.others)
    left_out: tuple[Skill, ...] = ()
    notes = list(probing.notes)
    if not endpoint.capabilities.tools:
        asked, left_out = [probe for probe in asked if probe.tools is None], ("no_tool",)
        notes += [f"{one.name}: not asked, the endpoint takes no tools" for one in others if one.needs_tools]
        others = [one for one in others if not one.needs_tools]
    identity = content_id([plan.weights_sha256, plan.engine, plan.options, plan.kv_type, plan.context_tokens])
    options = ReplayOptions(plan.parallel, cache_path=folder / f"answers-{identity[:12]}.jsonl")
    requests = [probe.sample() for probe in asked] + [sample for one in others for sample in one.samples]

    async def outputs(model: str, done_before: int) -> list[ChatAnswer]:
        # All in one: an endpoint that refuses whatever it is asked is an error, one that refuses a task's long requests
        # is not.
        replies = await answers(
            endpoint,
            model,
            requests,
            Task(name="retained", scorer="exact", max_tokens=ANSWER_TOKENS),
            options=options,
            on_progress=lambda done, of: progress.update(done_before + done, 2 * of, unit="probes"),
        )
        return [one.answer for one in replies]

    of_base, of_trained = await outputs(base, 0), await outputs(trained, len(requests))
    found = compared(
        asked,
        _rights(asked, of_base),
        _rights(asked, of_trained),
        base=base,
        trained_id=trained_id,
        left_out=left_out,
    )
    answered = []
    place = len(asked)
    for other in others:
        part = slice(place, place := place + len(other.samples))
        answered.append(
            AnsweredTask(
                other,
                await _scores(other, base, of_base[part]),
                await _scores(other, trained, of_trained[part]),
            )
        )
    return with_tasks(found, answered, notes)


def _rights(asked: Sequence[Probe], told: Sequence[ChatAnswer]) -> list[float | None]:
    return [
        None if answer.fault == "infrastructure" else float(passes(probe.check, answer))
        for probe, answer in zip(asked, told, strict=False)
    ]


async def _scores(other: OtherTask, model: str, told: Sequence[ChatAnswer]) -> list[EvalResult]:
    async with scorer_of(other.task) as scorer:
        return await score_all(scorer, model, other.samples, told, [one.target for one in other.samples])


def with_tasks(
    found: RetainedSkills, answered: Sequence[AnsweredTask], notes: Sequence[str] = ()
) -> RetainedSkills:
    """The record with what became of the log's other tasks."""
    if not answered and not notes:
        return found
    kept = kept_tasks(answered, MARGIN)
    scores = [
        [
            one.other.name,
            [[side.score.value for side in pair] for pair in zip(one.base, one.trained, strict=True)],
        ]
        for one in answered
    ]
    return msgspec.structs.replace(
        found,
        id=content_id([found.id, scores, list(notes)]),
        tasks=() if kept is None else kept.tasks,
        tasks_result=None if kept is None else kept.result,
        notes=tuple(notes),
    )


def compared(
    asked: Sequence[Probe],
    base_rights: Sequence[float | None],
    trained_rights: Sequence[float | None],
    *,
    base: str,
    trained_id: str,
    left_out: tuple[Skill, ...] = (),
) -> RetainedSkills:
    """The record: paired statistics over all probes, and by skill, where harm is adjusted for their number."""
    result = compare_scores(
        [probe.id for probe in asked],
        base_rights,
        trained_rights,
        DecisionRule(margin=MARGIN, slice_margin=MARGIN),
        slices={"skill": [probe.skill for probe in asked]},
    )
    harmed = {part.name.rpartition("=")[2] for part in result.slices if part.harmed}
    skills = []
    for skill in SKILLS:
        pairs = [
            (before, after)
            for probe, before, after in zip(asked, base_rights, trained_rights, strict=True)
            if probe.skill == skill and before is not None and after is not None
        ]
        if pairs:
            skills.append(
                SkillResult(
                    skill=skill,
                    n=len(pairs),
                    base_right=round(sum(before for before, _ in pairs)),
                    trained_right=round(sum(after for _, after in pairs)),
                    lost=skill in harmed,
                )
            )
    return RetainedSkills(
        id=content_id(
            [trained_id, base, [probe.id for probe in asked], list(base_rights), list(trained_rights)]
        ),
        base_model=base,
        trained_id=trained_id,
        skills=tuple(skills),
        result=result,
        left_out=left_out,
        made_from=(trained_id,),
    )


async def retained(
    project: Project, plan: ServePlan, probing: Probing, *, trained_id: str, progress: Progress
) -> RetainedSkills:
    """`ask_retained` of a plan that serves one adapter on its base."""
    async with start(plan, log_dir=project.state / "engines", name="retained") as endpoint:
        return await ask_retained(
            endpoint,
            plan,
            probing,
            trained=plan.served_name,
            base=plan.model,
            trained_id=trained_id,
            folder=project.state / "retained",
            progress=progress,
        )
