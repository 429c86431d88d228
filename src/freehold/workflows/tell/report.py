"""`freehold report`: write the page, its JSON and its Markdown, make old ones again, and print one as PDF."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import msgspec

from freehold import files
from freehold.errors import StorageError, UsageError
from freehold.report import render, render_markdown, shareable
from freehold.store import open_store
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.workflows.project import Project, now
from freehold.workflows.tell.standing import with_standing

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "chrome",
)
PRINT_SECONDS = 60
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
"""A page that is printed asks for nothing; that it runs nothing, the page itself says to the browser."""


def find_browser() -> str | None:
    """The first browser of this machine that prints without a screen; None where there is none."""
    return next((found for name in BROWSERS if (found := shutil.which(name)) is not None), None)


def print_pdf(page: Path, target: Path) -> Path:
    """Print a page of HTML. Raises `UsageError` without a browser, `StorageError` where it does not print."""
    browser = find_browser()
    if browser is None:
        raise UsageError(
            "no browser that prints PDF is on this machine",
            hint=f"install Chromium, or open {page} in a browser and print it from there",
        )
    with tempfile.TemporaryDirectory(prefix="freehold-print-") as folder:
        made = Path(folder) / "page.pdf"
        # As root a browser refuses its own sandbox; a report allows no scripts and reaches no network.
        as_root = ("--no-sandbox",) if os.name == "posix" and os.geteuid() == 0 else ()
        command = [browser, *_FLAGS, *as_root, f"--user-data-dir={folder}/profile", f"--print-to-pdf={made}"]
        try:
            ran = subprocess.run(
                [*command, page.absolute().as_uri()], capture_output=True, timeout=PRINT_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StorageError(f"{browser} did not print {page}: {error}") from None
        if not made.exists() or not made.read_bytes().startswith(b"%PDF"):
            said = ran.stderr.decode(errors="replace").strip().splitlines()
            raise StorageError(
                f"{browser} did not print {page}",
                hint=said[-1][:200] if said else "open the page and print it",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, target)
        target.chmod(0o600)
    return target


class WrittenReport(Record, frozen=True, kw_only=True):
    """Where a report is on disk. `latest` always shows the last one; of one that is to be shared it is its own page.
    `pdf` is None where none was asked for."""

    id: str
    html: str
    json: str
    latest: str
    markdown: str = ""
    pdf: str | None = None


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
    project: Project, report_id: str | None = None, *, share: bool = False, pdf: bool = False
) -> tuple[Report, WrittenReport]:
    """Make the page of a stored report again, as things stand now. With `share` without customers' words; with `pdf`
    printed as well. Raises what `print_pdf` raises, when the other files are written."""
    report = find(project, report_id)
    with open_store(project.reading_url) as store:
        report = with_standing(project, store, report, at=now())
    if share:
        report = shareable(report)
    written = write_report(report, project.state / "reports")
    if pdf:
        page = Path(written.html)
        written = msgspec.structs.replace(written, pdf=str(print_pdf(page, page.with_suffix(".pdf"))))
    return report, written
