"""`freehold report`: write the page, its JSON and its Markdown, and make old ones again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from freehold import files
from freehold.errors import UsageError
from freehold.report import render, render_markdown, shareable
from freehold.store import open_store
from freehold.types.evaluated import Evaluation, EvaluationLine, ItemLook
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.workflows.project import Project, now
from freehold.workflows.tell.standing import with_standing


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
        if report_id is None:
            report = store.latest(Report)
        else:
            matches = [r for r in store.records(Report) if r.id.startswith(report_id)]
            if len(matches) > 1:
                raise UsageError(f"{len(matches)} reports start with {report_id}", hint="give more of the id")
            report = matches[0] if matches else None
    if report is None:
        raise UsageError(
            "no report yet" if report_id is None else f"no report {report_id}",
            hint="freehold migrate ends with one",
        )
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
