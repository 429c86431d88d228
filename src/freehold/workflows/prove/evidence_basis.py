"""What evidence rests on, by part: as it was measured, and as it is now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from importlib import metadata
from pathlib import Path

from freehold.catalog.licenses import licenses, releases_of
from freehold.store import Store
from freehold.types.dataset import Dataset
from freehold.types.endpoint import ServePlan
from freehold.types.engine import EngineName
from freehold.types.evaluation import Task
from freehold.types.license import Ruling
from freehold.types.record import content_id
from freehold.types.verdict import EvidenceAge, EvidenceBasis, EvidenceGate, EvidencePart, Verdict
from freehold.verdict.aging import evidence_ages

ENGINE_PACKAGES: dict[EngineName, str] = {"llamacpp": "xllamacpp", "encoder": "onnxruntime"}
"""The package whose version decides what an engine of this process's own environment computes."""
AS_ASKED = "as asked"
"""The part of a candidate whose requests are sent as they come."""
_JUDGE_OPTIONS = ("base_url", "model", "mode", "rubric", "human_labels")


def basis_of(
    dataset: Dataset,
    task: Task,
    plan: ServePlan,
    ruling: Ruling | None,
    made_at: dict[EvidenceGate, datetime],
) -> EvidenceBasis:
    """What a candidate is measured with that is served by a plan."""
    models = () if ruling is None else ruled_models(ruling)
    parts: dict[EvidencePart, str] = {"data": dataset.id, **task_parts(task), **plan_parts(plan)}
    if models:
        parts["catalog"] = catalog_part(models)
    return EvidenceBasis(parts=parts, models=models, made_at=made_at)


def task_parts(task: Task) -> dict[EvidencePart, str]:
    """What counts as right, and who says so where that is a model."""
    judged = task.scorer == "judge"
    options = {
        name: value for name, value in task.options.items() if not judged or name not in _JUDGE_OPTIONS
    }
    decisive = [task.scorer, task.margin, task.alpha, task.group_by, task.slices, options, task.max_tokens]
    parts: dict[EvidencePart, str] = {"task": content_id(decisive)}
    if judged:
        parts["judge"] = content_id([task.options.get(name) for name in _JUDGE_OPTIONS])
    return parts


def plan_parts(plan: ServePlan, name: str | None = None) -> dict[EvidencePart, str]:
    """Weights, preparation and engine of what answers under a served `name` (default: the candidate's). The engine is
    left out where its package is not installed here, so that its version is not known."""
    mount = next((one for one in plan.adapters if one.name == (name or plan.served_name)), None)
    adapter = None if mount is None else mount.adapter_id or mount.path
    weights = plan.weights_sha256 or plan.weights_path or plan.model
    parts: dict[EvidencePart, str] = {
        "adapter": content_id([weights, adapter]),
        "prompt": AS_ASKED if plan.preparation is None else plan.preparation.id,
    }
    package = ENGINE_PACKAGES.get(plan.engine)
    version = "" if package is None else _version(package)
    if version is not None:
        told = [plan.engine, version, plan.kv_type, plan.context_tokens, plan.labels, plan.options]
        parts["engine"] = content_id(told)
    return parts


def engine_part(plan: ServePlan) -> str | None:
    """The engine with its version, None where that is not known here."""
    return plan_parts(plan).get("engine")


def answers_folder(evaluations: Path, plan: ServePlan) -> Path:
    """Where answers of what a plan serves are kept: another version of its engine gives others."""
    return evaluations / content_id([plan.identity, engine_part(plan)])[:12]


def catalog_part(models: Iterable[str]) -> str:
    """The catalog's facts about some models: their releases, and the licences these carry."""
    found = [one for model in models for one in releases_of(model)]
    known = licenses()
    # The day a fact was read is not part of it.
    said = [(one.license, one.confidence, one.bases, one.also, one.since, one.until) for one in found]
    ids = sorted({one.license for one in found if one.license in known})
    return content_id([said, [known[id] for id in ids]])


def ruled_models(ruling: Ruling) -> tuple[str, ...]:
    """The models whose facts a ruling rests on."""
    return tuple(
        dict.fromkeys([ruling.model, *(one.model for one in ruling.reasons if one.model is not None)])
    )


def present_parts(
    store: Store, basis: EvidenceBasis, *, task: Task, candidate: str | None
) -> dict[EvidencePart, str]:
    """The parts as they are now: of the dataset that was built last, the `task`, what is served under the name of the
    `candidate`, and the catalog. What cannot be told is left out."""
    parts: dict[EvidencePart, str] = dict(task_parts(task))
    if (built := store.latest(Dataset)) is not None:
        parts["data"] = built.id
    plans = [one for one in store.records(ServePlan) if candidate in names_of(one)]
    if plans:
        parts |= plan_parts(plans[-1], candidate)
    if basis.models:
        parts["catalog"] = catalog_part(basis.models)
    return parts


def ages_of(
    store: Store, verdict: Verdict, *, task: Task, candidate: str | None, at: datetime, max_age_days: float
) -> tuple[EvidenceAge, ...]:
    """The age of every gate of a verdict, beside what is here now."""
    now = (
        {}
        if verdict.evidence is None
        else present_parts(store, verdict.evidence, task=task, candidate=candidate or verdict.candidate)
    )
    return evidence_ages(verdict, now, at=at, max_age_days=max_age_days)


def names_of(plan: ServePlan) -> tuple[str, ...]:
    """The model names that a plan serves."""
    return (plan.model, *(mount.name for mount in plan.adapters))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
