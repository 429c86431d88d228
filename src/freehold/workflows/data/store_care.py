"""`freehold store`: where copies of a project's store go, and what is put in its place."""

from __future__ import annotations

from datetime import datetime
from itertools import count
from pathlib import Path

from freehold.errors import StorageError
from freehold.gateway.limits import key_requirement
from freehold.progress import Progress
from freehold.store import audit, open_store
from freehold.store.backup import Backup, Restored, backup, restore
from freehold.store.database import Database, file_url
from freehold.store.routes import stored_keys
from freehold.workflows.project import Project

BACKUPS = "backups"


def url_of(project: Project, file: Path | None) -> str:
    """The project's store, or the SQLite file that was named instead."""
    return project.store_url if file is None else file_url(file.absolute())


def _place(project: Project, what: str, at: datetime) -> Path:
    """Where there is no file yet: the second one of a second has a number."""
    folder = project.state / BACKUPS
    folder.mkdir(mode=0o700, exist_ok=True)
    ends = (f"-{number}" if number > 1 else "" for number in count(1))
    places = (folder / f"{what}-{at:%Y%m%d-%H%M%S}{end}.sqlite" for end in ends)
    return next(place for place in places if not place.exists())


def make_backup(project: Project, file: Path | None, *, who: str, at: datetime, progress: Progress) -> Backup:
    """Back the store up to `file`, else to a file with the time in its name in the state folder."""
    progress.step("back up the store")
    target = file or _place(project, "store", at)
    if not target.exists():
        _note_backup(project, who, at, progress)
    return backup(project.store_url, target, tell=lambda n, of: progress.update(n, of))


def _note_backup(project: Project, who: str, at: datetime, progress: Progress) -> None:
    """Before the copy, so that it holds its own entry. A store that cannot be written to is backed up all the same."""
    try:
        with open_store(project.store_url) as store:
            audit.note(store.database, "store.backup", "store", who=who, at=at)
    except StorageError as error:
        progress.say(f"the audit record of the store has no entry of this backup: {error.message}")


def put_back(project: Project, file: Path, *, who: str, at: datetime, progress: Progress) -> Restored:
    """Put a backup in the store's place; the former store is kept among the backups.

    The audit record of the store goes on from the backup's, with the last entry of the former one in what it says of
    the restore: so what happened in between is in the store that is kept, and it can be told whether that is whole.
    """
    progress.step("restore the store")
    kept = _place(project, "replaced", at)
    former = _head_of(project.store_url)
    _remember_keys(project, at)
    made = restore(project.store_url, file, kept, tell=lambda n, of: progress.update(n, of))
    detail = {"lost": made.loss.rows, "former_head": former}
    with open_store(project.store_url) as store:
        audit.note(store.database, "store.restore", "store", who=who, at=at, detail=detail)
    return made


def _remember_keys(project: Project, at: datetime) -> None:
    """Keep how many changes of keys the store has seen before it is replaced: in an older copy a key that was revoked
    since may be good. A store that cannot be read, or is not the one that held the keys, says nothing about them."""
    try:
        database = Database(project.store_url, as_is=True)
        try:
            found = stored_keys(database)
        finally:
            database.close()
        key_requirement.reconcile(
            project.keys_file,
            store_id=found.store_id,
            changes=found.changes,
            has_keys=bool(found.keys or found.damaged),
            forgotten=found.forgotten,
            at=at,
        )
    except StorageError:
        return


def _head_of(url: str) -> str | None:
    """``NUMBER:HASH`` of the last audit entry of a store; None where there is none, or it cannot be read."""
    try:
        database = Database(url, as_is=True)
        try:
            return audit.check(database).head
        finally:
            database.close()
    except StorageError:
        return None
