"""What moves a project's traffic: the gateway, its rollouts, and the watch over what was promoted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from freehold.api.loops import blocking, watched
from freehold.progress import Progress

if TYPE_CHECKING:
    from freehold.types.rollout import Check, Rollout
    from freehold.types.route import Route
    from freehold.workflows.project import Project
    from freehold.workflows.shift.background import Background
    from freehold.workflows.shift.rollout.rollout import Status


class ProjectTraffic:
    """The gateway of a project and the routes it follows. `route` is the project's own unless it is named.

    Each step of a rollout is refused while the tests do not allow it: there is no way around them from Python, the
    command line's `--without` apart. What is done here stands in the audit record.
    """

    def __init__(self, opened: Project) -> None:
        self._opened = opened

    @blocking
    def start(self, *, port: int | None = None, progress: Progress | None = None) -> Background:
        """Start the gateway with the project's model behind it, in a process of its own, and wait until it answers."""
        from freehold.workflows.shift import background

        return background.start(self._opened, progress=watched(progress), port=port)

    def stop(self) -> Background:
        """Stop the gateway that runs in the background. Raises `UsageError` where none does."""
        from freehold.workflows.shift import background

        return background.stop(self._opened)

    def running(self) -> Background | None:
        """The gateway that runs in the background; None where none does."""
        from freehold.workflows.shift import background

        return background.running(self._opened)

    @blocking
    def status(self, route: str | None = None) -> Status:
        """The rollout as its last step left it, and what stands in the way of the next one. Nothing moves."""
        from freehold.workflows.project_store import opened_store
        from freehold.workflows.shift.rollout import rollout

        with opened_store(self._opened, reads=True) as (store, _):
            return rollout.status(store, route or self._opened.config.app.name)

    @blocking
    def begin(self, *, candidate: str | None = None, route: str | None = None) -> Rollout:
        """Begin to mirror traffic to the candidate (default: what is served). Raises `UsageError`."""
        from freehold.store.audit import this_user
        from freehold.workflows.project import now
        from freehold.workflows.shift.rollout.project import start_project

        return start_project(
            self._opened, route_name=route, model=None, candidate_model=candidate, who=this_user(), at=now()
        )

    @blocking
    def check_allowed(self, route: str | None = None, *, promotes: bool = False) -> None:
        """Raise what `advance`, or `promote`, would refuse with now; nothing moves."""
        from freehold.workflows.project import now
        from freehold.workflows.project_store import opened_store
        from freehold.workflows.shift.rollout import rollout

        with opened_store(self._opened, reads=True) as (store, _):
            name = route or self._opened.config.app.name
            rollout.check_allowed(store, name, at=now(), promotes=promotes)

    @blocking
    def advance(self, route: str | None = None, *, why: str = "") -> Status:
        """The next larger canary share, if the tests allow it. Raises `UsageError` that says what is missing."""
        from freehold.store.audit import this_user
        from freehold.workflows.project import now
        from freehold.workflows.shift.rollout import rollout
        from freehold.workflows.shift.rollout.project import opened

        with opened(self._opened, route) as (store, name):
            return rollout.advance(store, name, who=this_user(), at=now(), why=why)

    @blocking
    def promote(self, route: str | None = None, *, why: str = "") -> Status:
        """All traffic to the candidate, if the tests allow it. Raises `UsageError` that says what is missing."""
        from freehold.store.audit import this_user
        from freehold.workflows.project import now
        from freehold.workflows.shift.rollout import rollout
        from freehold.workflows.shift.rollout.project import opened

        with opened(self._opened, route) as (store, name):
            return rollout.promote(store, name, who=this_user(), at=now(), why=why)

    @blocking
    def pause(self, route: str | None = None, *, why: str = "") -> Rollout:
        """All traffic to the incumbent for now; `advance` goes on from there."""
        from freehold.store.audit import this_user
        from freehold.workflows.project import now
        from freehold.workflows.shift.rollout import rollout
        from freehold.workflows.shift.rollout.project import opened

        with opened(self._opened, route) as (store, name):
            return rollout.pause(store, name, who=this_user(), at=now(), why=why)

    @blocking
    def roll_back(self, route: str | None = None, *, why: str = "") -> Route:
        """All traffic to the incumbent, now, from any state, with or without a rollout."""
        from freehold.store.audit import this_user
        from freehold.workflows.project import now
        from freehold.workflows.shift import routes
        from freehold.workflows.shift.rollout import rollout
        from freehold.workflows.shift.rollout.project import opened

        with opened(self._opened, route) as (store, name):
            rollout.rollback_route(store, name, who=this_user(), at=now(), why=why)
            return routes.find(store, name)

    @blocking
    def watch(
        self, route: str | None = None, *, budget_usd: Decimal | None = None, progress: Progress | None = None
    ) -> Check:
        """Check a promoted model once against the incumbent, within a budget. An alarm acts as `[watch]` says."""
        import msgspec

        from freehold.workflows.project import now
        from freehold.workflows.shift.rollout.project import opened
        from freehold.workflows.watch.watch import check

        config = self._opened.config.watch
        if budget_usd is not None:
            config = msgspec.structs.replace(config, budget_usd=budget_usd)
        with opened(self._opened, route) as (store, name):
            return check(self._opened, store, name, at=now(), config=config, progress=watched(progress))

    def checks(self, route: str | None = None) -> tuple[Check, ...]:
        """All checks of a promoted model, oldest first."""
        from freehold.workflows.project_store import opened_store
        from freehold.workflows.watch.watch import history

        with opened_store(self._opened, reads=True) as (store, _):
            return tuple(history(store, route or self._opened.config.app.name))
