"""What is known of a project: read from its file, its store and its running gateway. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from freehold.catalog.retirements import ending_of
from freehold.errors import FreeholdError, StorageError
from freehold.gateway.telemetry import meters
from freehold.store import Store, open_store
from freehold.store.tables import from_micros
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset
from freehold.types.encoder import EncoderModel
from freehold.types.evaluated import Evaluation, EvaluationLine, Freeze
from freehold.types.evaluation import Comparison
from freehold.types.generation import Generation
from freehold.types.journey import JourneyState, ProjectFacts, RolloutFacts, VerdictFacts
from freehold.types.license import Ruling
from freehold.types.mixture import Mixture
from freehold.types.record import StoredRecord
from freehold.types.report import Report
from freehold.types.rollout import Check, Rollout, RouteAlarm
from freehold.types.training import Adapter
from freehold.types.verdict import MAX_AGE_DAYS, SEVERITY, EvidenceAge, Verdict
from freehold.workflows.choose.cost import known_costs
from freehold.workflows.license.rule import learning_sentence
from freehold.workflows.project import Project, current_folder, open_project
from freehold.workflows.prove.evidence_basis import ages_of
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve import background
from freehold.workflows.shift.alarms import incidents
from freehold.workflows.shift.rollout import rollout as rollouts
from freehold.workflows.tell.next_step import journey_state
from freehold.workflows.watch import watch

BUSY_MS = 1000
"""How long a store that another process writes is waited for: who asks where they are does not want to wait."""

QUICKLY_PRICED = 500
"""Traces that are read and priced in a fraction of a second; of more, this many are."""

MADE: tuple[type[StoredRecord], ...] = (Adapter, EncoderModel)
"""What training leaves."""


def journey_of(config_path: Path | None, *, at: datetime) -> JourneyState:
    """Where the project around the current folder is, also where there is none, or its file cannot be read.

    Raises `ConfigError` where the current folder is gone, or `config_path` names no file.
    """
    here = current_folder()
    try:
        project = open_project(config_path, looks=True)
    except FreeholdError as error:
        if config_path is not None and not config_path.exists():
            raise
        broken = ProjectFacts(app=here.name, at=at, broken=error.message, broken_hint=error.hint)
        return journey_state(broken)
    return journey_of_project(project, at=at)


def journey_of_project(project: Project, *, at: datetime) -> JourneyState:
    """Where a project is, also where its store cannot be read."""
    try:
        with open_store(project.reading_url, busy_timeout_ms=BUSY_MS) as store:
            facts = project_facts(project, store, at=at)
        facts = msgspec.structs.replace(facts, rented=known_costs(project, most=QUICKLY_PRICED).sentence)
        return journey_state(facts)
    except FreeholdError as error:
        name = project.config.app.name
        return journey_state(
            ProjectFacts(
                app=name,
                at=at,
                broken=error.message,
                broken_hint=error.hint,
                broken_store=isinstance(error, StorageError) and not error.retryable,
                incidents=_incidents(project, ()),
            )
        )


def project_facts(project: Project, store: Store, *, at: datetime) -> ProjectFacts:
    """What is known of a project with an open store. Raises `StoreError` for a record that cannot be read."""
    config = project.config
    incumbent = config.incumbent
    dataset = store.latest(Dataset)
    freeze = None if dataset is None else _frozen(store, dataset)
    report = store.latest(Report)
    evaluation = store.latest(Evaluation)
    name = incumbent.model if incumbent is not None else None if dataset is None else dataset.incumbent_model
    ending = None if name is None else ending_of(name)
    judged = store.latest(Verdict)
    verdict = None if judged is None else verdict_facts(store, judged)
    rollout = _rollout(store, config.app.name, None if verdict is None else verdict.id, at)
    facts = ProjectFacts(
        app=config.app.name,
        at=at,
        has_config=project.config_path is not None,
        files=(*config.data.files, *config.data.held_out_files),
        incumbent=name,
        can_ask_incumbent=incumbent is not None and incumbent.base_url is not None,
        ending=ending,
        learning=_learning(config, name, dataset),
        traces=store.traces_state()[0],
        traces_until=_last_recorded(store),
        dataset_id=None if dataset is None else dataset.id,
        train=0 if dataset is None else dataset.split("train").samples,
        held_out=0 if dataset is None else dataset.split("held_out").samples,
        frozen=0 if freeze is None else freeze.answered,
        frozen_at=None if freeze is None else freeze.at,
        trained=sum(store.count_records(kind) for kind in MADE),
        evaluations=store.count_records(Evaluation) + store.count_records(EvaluationLine),
        compared=evaluation is not None and evaluation.comparison is not None,
        report_id=None if report is None else report.id,
        report_at=None if report is None else report.at,
        report_stopped=_stopped(report),
        verdict=verdict,
        evidence=() if judged is None else _evidence(project, store, judged, at),
        rollout=rollout,
        **_gateway(project),
        incidents=_incidents(project, store.records(RouteAlarm)),
    )
    return facts if rollout is None else _with_watch(project, store, rollout.route, facts)


def _learning(config: ProjectConfig, incumbent: str | None, dataset: Dataset | None) -> str | None:
    """Of a dataset that has right answers everywhere nothing of the incumbent is learned."""
    if incumbent is None or (dataset is not None and not dataset.targets_from.get("incumbent", 0)):
        return None
    sentence = learning_sentence(config.named, config, incumbent, config.use)
    if sentence is None or dataset is not None:
        return sentence
    return f"where no record says what is right, {sentence}"


def _frozen(store: Store, dataset: Dataset) -> Freeze | None:
    made = [one for one in store.records(Freeze) if one.dataset_id == dataset.id and one.split == "held_out"]
    return made[-1] if made else None


def _last_recorded(store: Store) -> datetime | None:
    at = store.newest_trace().at
    return None if at is None else from_micros(at)


def _stopped(report: Report | None) -> str | None:
    """Why no candidate of a report was measured, where none was."""
    if report is None or any(one.stopped is None for one in report.candidates):
        return None
    return next((one.stopped for one in report.candidates), None)


def _evidence(project: Project, store: Store, verdict: Verdict, at: datetime) -> tuple[EvidenceAge, ...]:
    return ages_of(store, verdict, task=task_of(project), candidate=None, at=at, max_age_days=MAX_AGE_DAYS)


def verdict_facts(store: Store, verdict: Verdict) -> VerdictFacts:
    """What is told of a verdict, and what to do about it follows from."""
    comparison = store.get(Comparison, verdict.made_from[0]) if verdict.made_from else None
    ruling = next(
        (one for one in (store.get(Ruling, id) for id in verdict.made_from) if one is not None), None
    )
    mixture = None if verdict.mixture_id is None else store.get(Mixture, verdict.mixture_id)
    report = store.latest(Report)
    reported = report is not None and any(
        one.verdict is not None and one.verdict.id == verdict.id for one in report.candidates
    )
    reasons = [one for one in verdict.reasons if one.effect == verdict.outcome]
    worst = sorted(reasons, key=lambda one: -SEVERITY[one.effect or "promote"])
    return VerdictFacts(
        id=verdict.id,
        outcome=verdict.outcome,
        candidate=verdict.candidate,
        model=verdict.candidate if ruling is None else ruling.model,
        fallback=None if mixture is None else mixture.upper or mixture.incumbent,
        codes=tuple(one.code for one in worst),
        texts=tuple(one.text for one in worst),
        conditions=len(verdict.conditions),
        n=None if comparison is None else comparison.n,
        needed_n=None if comparison is None else comparison.needed_n,
        at=report.at if report is not None and reported else None,
    )


def _rollout(store: Store, app: str, verdict_id: str | None, at: datetime) -> RolloutFacts | None:
    """The rollout of the project's own route, else the one that began last."""
    known = store.records(Rollout)
    if not known:
        return None
    own = [one for one in known if one.route == app]
    rollout = own[-1] if own else max(known, key=lambda one: one.started_at)
    status = rollouts.status(store, rollout.route, at=at)
    return RolloutFacts(
        route=rollout.route,
        state=rollout.state,
        share=_share(rollout),
        missing=status.missing,
        is_last_share=rollout.stage + 1 == len(rollout.stages),
        since=rollout.stage_began_at,
        why=rollout.why,
        verdict_is_newer=verdict_id is not None and verdict_id != rollout.verdict_id,
        trouble=status.troubles[0].why if status.troubles else None,
    )


def _share(rollout: Rollout) -> float:
    """Of the traffic that the candidate answers."""
    if rollout.state == "canary":
        return rollout.stages[rollout.stage]
    return 1.0 if rollout.state == "promoted" else 0.0


def _gateway(project: Project) -> dict[str, Any]:
    """Whether a gateway runs here. A folder of state is not made for the question."""
    folder = project.settings.state or project.root / ".freehold"
    if not folder.exists():
        return {}
    up = background.running(project)
    runs = up is not None or bool(meters.read_running(folder.absolute() / "spool"))
    return {"gateway_runs": runs, "gateway_url": None if up is None else up.url}


def _incidents(project: Project, alarms: Iterable[RouteAlarm]) -> tuple[str, ...]:
    folder = project.settings.state or project.root / ".freehold"
    return tuple(f"{one.text} ({one.fix})" for one in incidents(folder, alarms)) if folder.exists() else ()


def _with_watch(project: Project, store: Store, route: str, facts: ProjectFacts) -> ProjectFacts:
    assert facts.rollout is not None
    if facts.rollout.state != "promoted":
        return facts
    served = [one.number for one in store.records(Generation) if one.route == route and one.state == "serves"]
    last = next(
        (
            one
            for one in reversed(store.records(Check))
            if one.route == route and one.at >= facts.rollout.since
        ),
        None,
    )
    if last is None:
        return msgspec.structs.replace(facts, generation=max(served, default=0))
    return msgspec.structs.replace(
        facts,
        generation=max(served, default=0),
        watched_at=last.at,
        watch_due=watch.next_due(store, route, project.config.watch, at=facts.at),
        watch_alarm=_alarm(last),
    )


def _alarm(check: Check) -> str | None:
    if check.exit_code != 1:
        return None
    drift = [one.name for one in check.drift if one.alarm]
    what = "the candidate with its fallback did not keep its promise"
    if check.alarm:
        what = "the candidate got worse"
    elif drift:
        what = f"{', '.join(drift)} changed"
    return f"the check of {check.at:%Y-%m-%d} alarmed: {what}"
