"""The console's rollout screen: each route's split of traffic, its rollout with tests over time, and its history.

Everything is read from the store; nothing here keeps state. Content of traces is never part of it: an
operator who may see that traffic moves need not see what customers write.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from freehold.errors import UsageError
from freehold.store import Store
from freehold.store.search import traffic
from freehold.types.record import Record
from freehold.types.route import Route, RouteChange
from freehold.types.trace import RecordedTraffic
from freehold.types.verdict import Verdict
from freehold.workflows.project import Project
from freehold.workflows.shift.rollout import rollout as rollouts
from freehold.workflows.shift.rollout.scoring import PathPoint, quality_path
from freehold.workflows.tell.views.query import WindowQuery

HISTORY_SHOWN = 20


class RouteView(Record, frozen=True, kw_only=True):
    """One route: its traffic in the window, its rollout, how its quality test went, and its history, newest first."""

    route: Route
    status: rollouts.Status | None
    path: tuple[PathPoint, ...]
    traffic: RecordedTraffic
    history: tuple[RouteChange, ...]


class RolloutScreen(Record, frozen=True, kw_only=True):
    """All routes; those with a rollout that runs stand first."""

    at: datetime
    window_s: float
    verdict: Verdict | None
    routes: tuple[RouteView, ...]


def rollout(project: Project, store: Store, query: WindowQuery, *, at: datetime) -> RolloutScreen:
    """What there is to see at a time, as far back as the query says."""
    since = at - timedelta(seconds=query.window_s)
    routes = store.routes()
    views = [_view(store, route, since=since, at=at) for route in routes]
    return RolloutScreen(
        at=at,
        window_s=query.window_s,
        verdict=store.latest(Verdict),
        routes=tuple(sorted(views, key=lambda view: (not _is_live(view), view.route.name))),
    )


def _is_live(view: RouteView) -> bool:
    return view.status is not None and view.status.rollout.is_live


def _view(store: Store, route: Route, *, since: datetime, at: datetime) -> RouteView:
    status = _status(store, route.name, at)
    return RouteView(
        route=route,
        status=status,
        path=() if status is None else quality_path(store, status.rollout),
        traffic=traffic(
            store.database,
            since=since,
            until=at,
            route=route.name,
        ),
        history=tuple(reversed(store.route_history(route.name)[-HISTORY_SHOWN:])),
    )


def _status(store: Store, route_name: str, at: datetime) -> rollouts.Status | None:
    try:
        return rollouts.status(store, route_name, at=at)
    except UsageError:  # no rollout of this route yet
        return None
