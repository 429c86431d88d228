"""What moves a project's traffic: the gateway, its rollouts, the watch over what was promoted; and what keeps a
project: its health, its store, deletions, and who changed what."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from pathlib import Path

import msgspec

from freehold.api.calling import FilePath, blocking, watched
from freehold.errors import UsageError
from freehold.progress import Progress
from freehold.store import check as store_check
from freehold.store.audit import this_user
from freehold.store.backup import Backup
from freehold.store.check import StoreCheck
from freehold.types.audit import AuditEntry
from freehold.types.journey import JourneyState
from freehold.types.rollout import Check, Rollout
from freehold.types.route import Route
from freehold.workflows import project_store
from freehold.workflows.data import forget as deleting
from freehold.workflows.data import store_care
from freehold.workflows.data.forget import ForgetReceipt
from freehold.workflows.doctor import examine
from freehold.workflows.doctor.examine import Diagnosis
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import opened_store
from freehold.workflows.serve import background
from freehold.workflows.serve.background import Served
from freehold.workflows.shift import routes
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.project import opened, start_project
from freehold.workflows.shift.rollout.rollout import Status
from freehold.workflows.tell import project_facts
from freehold.workflows.watch import watch as watching


class ProjectTraffic:
    """The gateway of a project and the routes it follows. `route` is the project's own unless it is named.

    Each step of a rollout is refused while the tests do not allow it: there is no way around them from Python, the
    command line's `--without` apart. What is done here stands in the audit record.
    """

    def __init__(self, opened: Project) -> None:
        self._opened = opened

    @blocking
    def start(self, *, port: int | None = None, progress: Progress | None = None) -> Served:
        """Start the gateway with the project's model behind it, in a process of its own, and wait until it answers."""
        return background.start(self._opened, progress=watched(progress), port=port)

    def stop(self) -> Served:
        """Stop the gateway that runs in the background. Raises `UsageError` where none does."""
        return background.stop(self._opened)

    def running(self) -> Served | None:
        """The gateway that runs in the background; None where none does."""
        return background.running(self._opened)

    @blocking
    def status(self, route: str | None = None) -> Status:
        """The rollout as its last step left it, and what stands in the way of the next one. Nothing moves."""
        with opened_store(self._opened, reads=True) as (store, _):
            return rollout.status(store, route or self._opened.config.app.name)

    @blocking
    def begin(self, *, candidate: str | None = None, route: str | None = None) -> Rollout:
        """Begin to mirror traffic to the candidate (default: what is served). Raises `UsageError`."""
        return start_project(
            self._opened, route_name=route, model=None, candidate_model=candidate, who=this_user(), at=now()
        )

    @blocking
    def check_allowed(self, route: str | None = None, *, promotes: bool = False) -> None:
        """Raise what `advance`, or `promote`, would refuse with now; nothing moves."""
        with opened_store(self._opened, reads=True) as (store, _):
            name = route or self._opened.config.app.name
            rollout.check_allowed(store, name, at=now(), promotes=promotes)

    @blocking
    def advance(self, route: str | None = None, *, why: str = "") -> Status:
        """The next larger canary share, if the tests allow it. Raises `UsageError` that says what is missing."""
        with opened(self._opened, route) as (store, name):
            return rollout.advance(store, name, who=this_user(), at=now(), why=why)

    @blocking
    def promote(self, route: str | None = None, *, why: str = "") -> Status:
        """All traffic to the candidate, if the tests allow it. Raises `UsageError` that says what is missing."""
        with opened(self._opened, route) as (store, name):
            return rollout.promote(store, name, who=this_user(), at=now(), why=why)

    @blocking
    def pause(self, route: str | None = None, *, why: str = "") -> Rollout:
        """All traffic to the incumbent for now; `advance` goes on from there."""
        with opened(self._opened, route) as (store, name):
            return rollout.pause(store, name, who=this_user(), at=now(), why=why)

    @blocking
    def roll_back(self, route: str | None = None, *, why: str = "") -> Route:
        """All traffic to the incumbent, now, from any state, with or without a rollout."""
        with opened(self._opened, route) as (store, name):
            rollout.rollback_route(store, name, who=this_user(), at=now(), why=why)
            return routes.find(store, name)

    @blocking
    def watch(
        self, route: str | None = None, *, budget_usd: Decimal | None = None, progress: Progress | None = None
    ) -> Check:
        """Check a promoted model once against the incumbent, within a budget. An alarm acts as `[watch]` says."""
        config = self._opened.config.watch
        if budget_usd is not None:
            config = msgspec.structs.replace(config, budget_usd=budget_usd)
        with opened(self._opened, route) as (store, name):
            return watching.check(
                self._opened, store, name, at=now(), config=config, progress=watched(progress)
            )

    def checks(self, route: str | None = None) -> tuple[Check, ...]:
        """All checks of a promoted model, oldest first."""
        with opened_store(self._opened, reads=True) as (store, _):
            return tuple(watching.history(store, route or self._opened.config.app.name))


class ProjectCare:
    """Checks, backups, deletions and the audit record of a project."""

    def __init__(self, opened: Project) -> None:
        self._opened = opened

    @blocking
    def journey(self) -> JourneyState:
        """Where the project is on its way, and what to do next, with the command. Changes nothing."""
        return project_facts.journey_of_project(self._opened, at=now())

    @blocking
    def diagnose(self) -> Diagnosis:
        """What is wrong here, or soon will be; each finding has a way out. Changes nothing."""
        return examine.diagnose(examine.site_of(self._opened.config_path, now=now()))

    @blocking
    def check_store(self, *, progress: Progress | None = None) -> StoreCheck:
        """Whether the store is what was written. Raises `StoreError` where there is none."""
        shown = watched(progress)
        shown.step("check the store")
        return store_check.check(
            store_care.url_of(self._opened, None), tell=lambda n, of: shown.update(n, of, unit="rows")
        )

    @blocking
    def back_up(self, file: FilePath | None = None, *, progress: Progress | None = None) -> Backup:
        """Copy the store to a file (default: one with the time in its name in the state folder)."""
        target = None if file is None else Path(file)
        return store_care.make_backup(
            self._opened, target, who=this_user(), at=now(), progress=watched(progress)
        )

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
        if sum(one is not None for one in (user, conversation, trace)) != 1:
            raise UsageError("say what to forget, in one way", hint="a user, a conversation or a trace")
        whom = deleting.Whom(user=user, conversation=conversation, trace=trace)
        shown = watched(progress)
        return deleting.forget(self._opened, whom, who=this_user(), at=now(), dry_run=dry_run, progress=shown)

    def audit(self, *, action: str | None = None, last: int = 100) -> tuple[AuditEntry, ...]:
        """Who changed what, when, from where and why; the last entries, oldest first."""
        with opened_store(self._opened, reads=True) as (store, _):
            return tuple(deque(project_store.audit_entries(store, action=action), maxlen=last))
