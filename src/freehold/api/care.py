"""What keeps a project: its health, its store, deletions, and who changed what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from freehold.api.loops import blocking, watched
from freehold.api.values import FilePath
from freehold.errors import UsageError
from freehold.progress import Progress

if TYPE_CHECKING:
    from freehold.store.backup import Backup
    from freehold.store.check import StoreCheck
    from freehold.types.audit import AuditEntry
    from freehold.types.journey import JourneyState
    from freehold.workflows.data.forget import ForgetReceipt
    from freehold.workflows.doctor.examine import Diagnosis
    from freehold.workflows.project import Project


class ProjectCare:
    """Checks, backups, deletions and the audit record of a project."""

    def __init__(self, opened: Project) -> None:
        self._opened = opened

    @blocking
    def journey(self) -> JourneyState:
        """Where the project is on its way, and what to do next, with the command. Changes nothing."""
        from freehold.workflows.project import now
        from freehold.workflows.tell.project_facts import journey_of_project

        return journey_of_project(self._opened, at=now())

    @blocking
    def diagnose(self) -> Diagnosis:
        """What is wrong here, or soon will be; each finding has a way out. Changes nothing."""
        from freehold.workflows.doctor.examine import diagnose, site_of
        from freehold.workflows.project import now

        return diagnose(site_of(self._opened.config_path, now=now()))

    @blocking
    def check_store(self, *, progress: Progress | None = None) -> StoreCheck:
        """Whether the store is what was written. Raises `StoreError` where there is none."""
        from freehold.store.check import check
        from freehold.workflows.data.store_care import url_of

        shown = watched(progress)
        shown.step("check the store")
        return check(url_of(self._opened, None), tell=lambda n, of: shown.update(n, of, unit="rows"))

    @blocking
    def back_up(self, file: FilePath | None = None, *, progress: Progress | None = None) -> Backup:
        """Copy the store to a file (default: one with the time in its name in the state folder)."""
        from freehold.store.audit import this_user
        from freehold.workflows.data.store_care import make_backup
        from freehold.workflows.project import now

        target = None if file is None else Path(file)
        return make_backup(self._opened, target, who=this_user(), at=now(), progress=watched(progress))

    @blocking
    def forget(
        self,
        *,
        user: str | None = None,
        conversation: str | None = None,
        trace: str | None = None,
        dry_run: bool = True,
        progress: Progress | None = None,
    ) -> ForgetReceipt:
        """Delete a person's words, wherever they are here, and keep a receipt. With `dry_run` (the default) nothing is
        deleted and the receipt says what would be. Raises `UsageError` unless exactly one is named."""
        from freehold.store.audit import this_user
        from freehold.workflows.data.forget import Whom, forget
        from freehold.workflows.project import now

        if sum(one is not None for one in (user, conversation, trace)) != 1:
            raise UsageError("say what to forget, in one way", hint="a user, a conversation or a trace")
        whom = Whom(user=user, conversation=conversation, trace=trace)
        shown = watched(progress)
        return forget(self._opened, whom, who=this_user(), at=now(), dry_run=dry_run, progress=shown)

    def audit(self, *, action: str | None = None, last: int = 100) -> tuple[AuditEntry, ...]:
        """Who changed what, when, from where and why; the last entries, oldest first."""
        from collections import deque

        from freehold.workflows import project_store
        from freehold.workflows.project_store import opened_store

        with opened_store(self._opened, reads=True) as (store, _):
            return tuple(deque(project_store.audit_entries(store, action=action), maxlen=last))
