"""How things stand on the day a report is written: what to do next, how long it holds, what it costs."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from freehold.errors import FreeholdError
from freehold.store import Store
from freehold.types.journey import Standing
from freehold.types.report import CandidateReport, Report
from freehold.types.verdict import MAX_AGE_DAYS, EvidenceAge
from freehold.workflows.choose.cost import Hosting, weigh
from freehold.workflows.choose.traffic import price_traffic
from freehold.workflows.license.duties import done_duties
from freehold.workflows.project import Project
from freehold.workflows.prove.evidence_basis import ages_of
from freehold.workflows.prove.task import task_of
from freehold.workflows.tell.next_step import journey_state
from freehold.workflows.tell.project_facts import project_facts


def with_standing(project: Project, store: Store, report: Report, *, at: datetime) -> Report:
    """The report with how things stand at a time. Nothing that was measured is changed."""
    facts = project_facts(project, store, at=at)
    state = journey_state(facts)
    lead = report.lead
    evidence = () if lead is None else _evidence(project, store, lead, at)
    latest = store.latest(Report)
    standing = Standing(
        at=at,
        stage=state.stage,
        next=state.next,
        evidence=evidence,
        retires=state.retires,
        days_left=state.days_left,
        of_fallback=facts.of_fallback,
        invalid=tuple(f"{one.gate}: {why}" for one in evidence for why in one.stale),
        **_money(project, lead),
        duties=tuple(
            mark
            for one in report.candidates
            if one.ruling is not None
            for mark in done_duties(store, one.ruling.model, one.ruling.obligations).values()
        ),
        is_latest=latest is None or latest.id == report.id,
    )
    until, why = valid_until(evidence, state.retires, incumbent=report.incumbent)
    standing = msgspec.structs.replace(standing, valid_until=until, valid_why=why)
    return msgspec.structs.replace(report, standing=standing)


def valid_until(
    evidence: tuple[EvidenceAge, ...], retires: date | None, *, incumbent: str | None
) -> tuple[date | None, str]:
    """The first day on which something that a report rests on ends, and what. Pure."""
    ends: list[tuple[date, str]] = [
        (
            (one.made_at + timedelta(days=one.max_age_days)).date(),
            f"the evidence is then {one.max_age_days:g} days old; freehold migrate renews it",
        )
        for one in evidence
        if one.made_at is not None and one.max_age_days is not None
    ]
    if retires is not None:
        ends.append(
            (retires, f"{incumbent or 'the incumbent'} is shut down, and is not there to be compared with")
        )
    return min(ends) if ends else (None, "")


def _evidence(project: Project, store: Store, lead: CandidateReport, at: datetime) -> tuple[EvidenceAge, ...]:
    if lead.verdict is None:
        return ()
    return ages_of(
        store,
        lead.verdict,
        task=task_of(project),
        candidate=lead.served_as,
        at=at,
        max_age_days=MAX_AGE_DAYS,
    )


def _money(project: Project, lead: CandidateReport | None) -> dict[str, Any]:
    """What holding the candidate costs beside the bill, as fields of a `Standing`; where that is not known, why, and
    the command that tells it."""
    if lead is None:
        return {"cost_why_not": "there is no candidate"}
    rented = None
    try:
        priced = price_traffic(project)
        rented = priced.sentence
        if lead.endpoint is not None:
            return {
                "rented": rented,
                "cost_why_not": f"the candidate runs behind the endpoint {lead.endpoint}",
            }
        weighed = weigh(project, priced, Hosting().of(lead))
    except FreeholdError as error:
        return {"rented": rented, "cost_why_not": error.message, "cost_command": _told_by(error.hint)}
    return {"rented": rented, "cost": weighed}


def _told_by(hint: str | None) -> str:
    """The command with the first option that the hint of an error names, and what it takes."""
    option = re.search(r"--[a-z-]+", hint or "")
    if option is None:
        return "freehold cost"
    return f"freehold cost {option[0]} N"
