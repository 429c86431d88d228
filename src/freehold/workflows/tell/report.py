"""`freehold report`: write the page, its JSON and its Markdown, and make old ones again, as things stand on the day
(what to do next, how long it holds, what it costs)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from freehold import files
from freehold.errors import UsageError
from freehold.report import render, render_markdown, shareable
from freehold.store import Store, open_store
from freehold.types.evaluated import Evaluation, EvaluationLine, ItemLook
from freehold.types.journey import Standing
from freehold.types.record import Record
from freehold.types.report import CandidateReport, Report
from freehold.types.verdict import MAX_AGE_DAYS, EvidenceAge
from freehold.workflows.choose.cost import Hosting, known_costs
from freehold.workflows.license.rule import done_duties
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import meant
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
    known = known_costs(project, None if lead.endpoint else Hosting().of(lead))
    if known.weighed is not None:
        return {"rented": known.sentence, "cost": known.weighed}
    if known.missing is None:
        return {
            "rented": known.sentence,
            "cost_why_not": f"the candidate runs behind the endpoint {lead.endpoint}",
        }
    command = _told_by(known.missing.hint)
    return {"rented": known.sentence, "cost_why_not": known.missing.message, "cost_command": command}


def _told_by(hint: str | None) -> str:
    """The command with the first option that the hint of an error names, and what it takes."""
    option = re.search(r"--[a-z-]+", hint or "")
    if option is None:
        return "freehold cost"
    return f"freehold cost {option[0]} N"


class WrittenReport(Record, frozen=True, kw_only=True):
    """Where a report is on disk. `latest` always shows the last one; of one that is to be shared it is its own page."""

    id: str
    html: str
    json: str
    latest: str
    markdown: str = ""


def write_report(report: Report, folder: Path) -> WrittenReport:
    """Write ``report-<id>.html``, ``.json``, ``.md`` and ``latest.html`` into `folder`, each in one step. One to be
    shared has names of its own, and is never the latest.

    Raises `StorageError` when the disk refuses; a half-written file is never left under its final name.
    """
    short = report.id[:12] + ("-shared" if report.is_shared else "")
    html, data, text = (folder / f"report-{short}.{ending}" for ending in ("html", "json", "md"))
    latest = html if report.is_shared else folder / "latest.html"
    page = render(report).encode()
    with files.writing(
        f"{folder}: the report cannot be written",
        hint="free some space, then run freehold report: the results are in the store",
    ):
        files.write_json(data, report)
        files.write(text, render_markdown(report).encode())
        files.write(html, page)
        if latest != html:
            files.write(latest, page)
    return WrittenReport(id=report.id, html=str(html), json=str(data), latest=str(latest), markdown=str(text))


def find(project: Project, report_id: str | None = None) -> Report:
    """A stored report by the start of its id; the last one without. Raises `UsageError` when there is none."""
    with open_store(project.reading_url) as store:
        hint = "freehold migrate ends with one"
        known = [] if report_id is None else store.records(Report)
        report = store.latest(Report) if report_id is None else meant(known, report_id, "report", hint=hint)
    if report is None:
        raise UsageError("no report yet", hint=hint)
    return report


def has_report(project: Project) -> bool:
    """Whether anything was migrated here."""
    with open_store(project.reading_url) as store:
        return store.latest(Report) is not None


def rewrite(
    project: Project, report_id: str | None = None, *, share: bool = False
) -> tuple[Report, WrittenReport]:
    """Make the page of a stored report again, as things stand now. With `share` without customers' words."""
    report = find(project, report_id)
    with open_store(project.reading_url) as store:
        report = with_standing(project, store, report, at=now())
    if share:
        report = shareable(report)
    return report, write_report(report, project.state / "reports")


_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)


def evaluations(project: Project) -> list[EvaluationLine]:
    """All evaluations in the project's store, the last one first."""
    with open_store(project.reading_url) as store:
        looks = {look.id: look.at for look in store.records(ItemLook)}
        found = [EvaluationLine.of(one, looks.get(one.id)) for one in store.records(Evaluation)]
        found += store.records(EvaluationLine)
    return sorted(found, key=lambda one: one.at or _BEFORE, reverse=True)
