"""What a trained model kept of what its base could do: both are asked the same probes, and compared pair by pair."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import anyio
import msgspec

from freehold.engines import start
from freehold.errors import UsageError
from freehold.evals.replay import ReplayOptions, answers
from freehold.evals.retained import Probe, passes, probes
from freehold.stats.compare import compare_scores
from freehold.stats.rules import DecisionRule
from freehold.store import open_store
from freehold.types.config.train import Skill
from freehold.types.endpoint import Endpoint, ServePlan
from freehold.types.engine import ENGINE_KINDS, EngineName
from freehold.types.evaluation import Task
from freehold.types.progress import Progress
from freehold.types.record import content_id
from freehold.types.retained import SKILLS, RetainedSkills, SkillResult
from freehold.types.training import TrainingResult
from freehold.workflows.project import Project
from freehold.workflows.serve.mounts import trained_adapter
from freehold.workflows.serve.plan import ServeRequest, of_config
from freehold.workflows.serve.plan import plan as serving_plan
from freehold.workflows.weights.pull import ensure_weights

MARGIN = 0.1
"""The largest drop of a skill that does not count as lost: one answer in ten."""
ANSWER_TOKENS = 40
"""Enough for every probe; an answer that runs on is cut, which fails probes of form only."""


async def ask_retained(
    endpoint: Endpoint,
    plan: ServePlan,
    *,
    trained: str,
    base: str,
    trained_id: str,
    count: int,
    folder: Path,
    progress: Progress,
) -> RetainedSkills:
    """Ask `count` probes of the trained model and of its base, both served by `endpoint` under these names.

    Answers are kept in `folder` as they come and never asked for twice: the base's for every adapter on it, as long as
    the weights and the template stay. Raises what `answers` raises.
    """
    asked = probes(count)
    left_out: tuple[Skill, ...] = ()
    if not endpoint.capabilities.tools:
        asked, left_out = [probe for probe in asked if probe.tools is None], ("no_tool",)
    identity = content_id([plan.weights_sha256, plan.engine, plan.options, plan.kv_type, plan.context_tokens])
    options = ReplayOptions(plan.parallel, cache_path=folder / f"answers-{identity[:12]}.jsonl")

    async def rights(model: str, done_before: int) -> list[float | None]:
        replies = await answers(
            endpoint,
            model,
            [probe.sample() for probe in asked],
            Task(name="retained", scorer="exact", max_tokens=ANSWER_TOKENS),
            options=options,
            on_progress=lambda done, of: progress.update(done_before + done, 2 * of, unit="probes"),
        )
        return [
            None if one.answer.fault == "infrastructure" else float(passes(probe.check, one.answer))
            for probe, one in zip(asked, replies, strict=True)
        ]

    return compared(
        asked,
        await rights(base, 0),
        await rights(trained, len(asked)),
        base=base,
        trained_id=trained_id,
        left_out=left_out,
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


def probe_adapter(
    project: Project, adapter: TrainingResult, *, count: int, progress: Progress
) -> RetainedSkills:
    """Serve an adapter of the project on its base, ask both, and keep the record.

    Raises `UsageError` for one that is not served next to its base, `WeightsError` where the base is not here or is
    another, and what `ask_retained` raises.
    """
    if adapter.is_whole or adapter.config.use_dora:
        raise UsageError(
            f"{adapter.name} is a model of its own, so its base cannot be asked next to it",
            hint="LoRA adapters can be probed",
        )
    weights = ensure_weights(adapter.base_model, project.settings, progress=progress)
    request = of_config(project.config.serve)
    if ENGINE_KINDS[_engine(request)].brings_weights:
        request = msgspec.structs.replace(request, engine="llamacpp", options={})
    mount = trained_adapter(adapter, f"{weights.model_id}:{adapter.name}", ENGINE_KINDS[_engine(request)])
    plan = serving_plan(
        weights,
        msgspec.structs.replace(request, engine=_engine(request), tuned=False),
        project.settings,
        adapters=(mount,),
        progress=progress,
    )
    found = anyio.run(
        functools.partial(retained, project, plan, trained_id=adapter.id, count=count, progress=progress)
    )
    with open_store(project.store_url) as store:
        store.put(found, made_from=found.made_from)
    return found


def _engine(request: ServeRequest) -> EngineName:
    """The engine that a request names, llama.cpp where it leaves it open."""
    return next((name for name in ENGINE_KINDS if name == request.engine), "llamacpp")


async def retained(
    project: Project, plan: ServePlan, *, trained_id: str, count: int, progress: Progress
) -> RetainedSkills:
    """`ask_retained` of a plan that serves one adapter on its base."""
    async with start(plan, log_dir=project.state / "engines", name="retained") as endpoint:
        return await ask_retained(
            endpoint,
            plan,
            trained=plan.served_name,
            base=plan.model,
            trained_id=trained_id,
            count=count,
            folder=project.state / "retained",
            progress=progress,
        )
