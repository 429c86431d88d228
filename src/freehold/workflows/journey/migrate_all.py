"""`freehold migrate --all`: every project of a folder, one after another, and one page over all of them.

Each is migrated as by itself, with its own lock and its own finished steps, so a run that was stopped goes on where it
was. One that fails does not stop the others.
"""

from __future__ import annotations

import os
from pathlib import Path

from freehold import files
from freehold.errors import FreeholdError, UsageError
from freehold.report.curve_page import render_tasks
from freehold.types.migrated import AllMigrated, MigratedProject
from freehold.types.progress import Progress
from freehold.workflows.journey.migrate import Migration, migrate
from freehold.workflows.project import CONFIG_NAME, now, open_project

PAGE, DATA = "tasks.html", "tasks.json"


def projects_in(folder: Path) -> list[Path]:
    """The `freehold.toml` of each project right below `folder`, by name. Raises `UsageError` when there is none."""
    found = sorted(folder.glob(f"*/{CONFIG_NAME}"))
    if not found:
        raise UsageError(
            f"{folder}: no project in a folder right below it",
            hint="freehold init FILE --all --dir FOLDER writes one for each task of a log",
        )
    return found


def migrate_all(folder: Path, *, progress: Progress, fresh: bool = False) -> AllMigrated:
    """Migrate each project below `folder` and write ``tasks.html`` and ``tasks.json`` there, after each of them.

    Raises `UsageError` when there is none, `StorageError` when the page cannot be written.
    """
    known = projects_in(folder)
    done: list[MigratedProject] = []
    for number, path in enumerate(known, 1):
        progress.say(f"task {number} of {len(known)}: {path.parent.name}")
        done.append(_migrated(folder, path, progress=progress, fresh=fresh))
        told = _write(folder, done)
    return told


def _migrated(folder: Path, path: Path, *, progress: Progress, fresh: bool) -> MigratedProject:
    try:
        migration = migrate(open_project(path, must_exist=True), progress=progress, fresh=fresh)
    except FreeholdError as error:
        progress.say(f"{path.parent.name}: {error.message}")
        return MigratedProject(
            name=path.parent.name,
            folder=str(path.parent),
            outcome="failed",
            why=error.message,
            hint=error.hint,
        )
    return _outcome(folder, path, migration)


def _outcome(folder: Path, path: Path, migration: Migration) -> MigratedProject:
    best, report = migration.best, migration.report
    verdict = None if best is None else best.verdict
    comparison = None if best is None else best.comparison
    stopped = next((one.stopped for one in report.candidates if one.stopped), None)
    measured = None if best is None or best.measured is None else best.measured.mean
    return MigratedProject(
        name=report.app,
        folder=str(path.parent),
        outcome="no candidate" if best is None else "hold" if verdict is None else verdict.outcome,
        why=verdict.reasons[0].text if verdict is not None and verdict.reasons else stopped,
        incumbent=report.incumbent,
        candidate=None if best is None else best.model,
        incumbent_mean=None if comparison is None else comparison.incumbent_mean,
        candidate_mean=measured if comparison is None else comparison.candidate_mean,
        items=None if comparison is None else comparison.n,
        alpha=report.task.alpha,
        page=os.path.relpath(migration.written.html, folder),
    )


def _write(folder: Path, done: list[MigratedProject]) -> AllMigrated:
    told = AllMigrated(at=now(), projects=tuple(done), page=str(folder / PAGE))
    with files.writing(
        f"{folder}: the page over all tasks cannot be written", hint="free some space, run it again"
    ):
        files.write_json(folder / DATA, told)
        files.write(folder / PAGE, render_tasks(done, at=told.at).encode())
    return told
