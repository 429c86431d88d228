"""`freehold store`: where copies of a project's store go, and what is put in its place."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from freehold.store.care.backup import Backup, backup
from freehold.store.care.restore import Restored, restore
from freehold.store.care.salvage import Salvage, salvage
from freehold.types.progress import Progress
from freehold.workflows.project import Project

BACKUPS = "backups"


def url_of(project: Project, file: Path | None) -> str:
    """The project's store, or the SQLite file that was named instead."""
    return project.store_url if file is None else f"sqlite:///{file.absolute()}"


def _place(project: Project, what: str, at: datetime) -> Path:
    folder = project.state / BACKUPS
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{what}-{at:%Y%m%d-%H%M%S}.sqlite"


def make_backup(project: Project, file: Path | None, *, at: datetime, progress: Progress) -> Backup:
    """Back the store up to `file`, else to a file with the time in its name in the state folder."""
    progress.step("back up the store")
    return backup(
        project.store_url, file or _place(project, "store", at), tell=lambda n, of: progress.update(n, of)
    )


def put_back(project: Project, file: Path, *, at: datetime, progress: Progress) -> Restored:
    """Put a backup in the store's place; the former store is kept among the backups."""
    progress.step("restore the store")
    kept = _place(project, "replaced", at)
    return restore(project.store_url, file, kept, tell=lambda n, of: progress.update(n, of))


def save_what_can_be_read(
    project: Project, source: Path | None, file: Path | None, *, at: datetime, progress: Progress
) -> Salvage:
    """Write what can be read of the store, or of the file `source`, to a new store `file`."""
    progress.step("salvage the store")
    target = file or _place(project, "salvaged", at)
    return salvage(url_of(project, source), target, tell=lambda n, of: progress.update(n, of, unit="rows"))
