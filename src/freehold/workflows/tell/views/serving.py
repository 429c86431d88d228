"""The console's screens of what runs: who can answer and how it goes with each, and how traffic moves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from freehold.errors import UsageError
from freehold.gateway.telemetry import meters
from freehold.gateway.telemetry.meters import Snapshot
from freehold.store import Store
from freehold.store.search import traffic
from freehold.types.endpoint import ENDPOINT_NAME, Endpoint, ServePlan
from freehold.types.generation import Generation
from freehold.types.record import Record
from freehold.types.route import Route, RouteChange
from freehold.types.trace import RecordedTraffic
from freehold.types.verdict import Verdict
from freehold.workflows.project import Project
from freehold.workflows.serve import background
from freehold.workflows.shift.endpoints import configured_endpoints, without_key
from freehold.workflows.shift.rollout import rollout as rollouts
from freehold.workflows.shift.rollout.scoring import PathPoint, quality_path
from freehold.workflows.shift.slots import wanted
from freehold.workflows.tell.views.query import ScreenQuery, WindowQuery


class EndpointLine(Record, frozen=True, kw_only=True):
    """One endpoint and what a gateway counted of it since it started: `failures` are tries that failed, by what went
    wrong. `answers` and `failures` are None where no gateway of this project runs here."""

    name: str
    engine: str
    address: str
    models: tuple[str, ...]
    routes: tuple[str, ...]
    key_missing: bool
    answers: int | None
    errors: int | None
    failures: dict[str, int]
    retries: int


class PlannedEngine(Record, frozen=True, kw_only=True):
    """The engine that was planned last: what it serves, and the memory it takes (0 where that is not known)."""

    engine: str
    model: str
    adapters: tuple[str, ...]
    context_tokens: int
    parallel: int
    memory_bytes: int
    weights: str | None


class GatewayLoad(Record, frozen=True, kw_only=True):
    """What the running gateways hold now."""

    gateways: int
    in_flight: int
    held_bytes: int
    stored: int
    dropped: int
    restarts: dict[str, int]


class ServingScreen(Record, frozen=True, kw_only=True):
    """All endpoints, the engine of this machine, and the gateway; `load` is None where none runs."""

    at: datetime
    gateway_url: str | None
    log: str | None
    load: GatewayLoad | None
    endpoints: tuple[EndpointLine, ...]
    engine: PlannedEngine | None


def serving(project: Project, store: Store, query: ScreenQuery, *, at: datetime) -> ServingScreen:
    """Who can answer, from the project's file, the last plan and the numbers that running gateways leave."""
    running = background.running(project)
    snapshots = [one for some in meters.read_running(project.state / "spool").values() for one in some]
    plan = store.latest(ServePlan)
    endpoints = configured_endpoints(project.config)
    return ServingScreen(
        at=at,
        gateway_url=None if running is None else running.url,
        log=None if running is None else running.log,
        load=_load(snapshots, len(meters.run_folders(project.state / "spool"))) if snapshots else None,
        endpoints=tuple(_lines(store, endpoints, plan, snapshots)),
        engine=None if plan is None else _engine(plan),
    )


def _lines(
    store: Store, endpoints: tuple[Endpoint, ...], plan: ServePlan | None, snapshots: list[Snapshot]
) -> Iterable[EndpointLine]:
    missing = set(without_key(endpoints))
    routes: dict[str, list[str]] = defaultdict(list)
    for route in store.routes():
        targets = [route.incumbent, *([route.candidate] if route.candidate else []), *route.fallback]
        for name in dict.fromkeys(target.endpoint for target in targets):
            routes[name].append(route.name)
    known = {
        one.name: (one.engine, one.base_url, tuple(model.name for model in one.models)) for one in endpoints
    }
    if plan is not None:
        known.setdefault(ENDPOINT_NAME, (plan.engine, "on this machine", (plan.served_name,)))
    for name, slot in wanted(store).slots.items():
        known.setdefault(name, (slot.plan.engine, "on this machine", (slot.plan.served_name,)))
    for name in routes:
        known.setdefault(name, ("remote", "not in freehold.toml", ()))
    for name, (engine, address, models) in known.items():
        answers = _labelled(snapshots, "freehold_requests", endpoint=(1, name))
        failures = _labelled(snapshots, "freehold_upstream_failures", endpoint=(0, name))
        yield EndpointLine(
            name=name,
            engine=engine,
            address=address,
            models=models,
            routes=tuple(routes[name]),
            key_missing=name in missing,
            answers=sum(answers.values()) if snapshots else None,
            errors=sum(n for labels, n in answers.items() if labels[3] >= "500") if snapshots else None,
            failures={labels[1]: n for labels, n in failures.items()},
            retries=sum(_labelled(snapshots, "freehold_retries", endpoint=(0, name)).values()),
        )


def _labelled(
    snapshots: list[Snapshot], counter: str, *, endpoint: tuple[int, str]
) -> dict[tuple[str, ...], int]:
    """A counter's values by their labels, where the label at a place is the endpoint's name."""
    place, name = endpoint
    found: dict[tuple[str, ...], int] = {}
    for taken in snapshots:
        for labels, value in taken.counters.get(counter, ()):
            if len(labels) > place and labels[place] == name:
                found[tuple(labels)] = found.get(tuple(labels), 0) + int(value)
    return found


def _load(snapshots: list[Snapshot], gateways: int) -> GatewayLoad:
    restarts: dict[str, int] = {}
    dropped = stored = 0
    for taken in snapshots:
        for labels, value in taken.counters.get("freehold_restarts", ()):
            restarts[": ".join(labels)] = restarts.get(": ".join(labels), 0) + int(value)
        dropped += sum(int(value) for _, value in taken.counters.get("freehold_traces_dropped", ()))
        stored += sum(int(value) for _, value in taken.counters.get("freehold_traces_stored", ()))
    return GatewayLoad(
        gateways=gateways,
        in_flight=int(sum(taken.gauges.get("freehold_in_flight", 0) for taken in snapshots)),
        held_bytes=int(sum(taken.gauges.get("freehold_held_bytes", 0) for taken in snapshots)),
        stored=stored,
        dropped=dropped,
        restarts=restarts,
    )


def _engine(plan: ServePlan) -> PlannedEngine:
    return PlannedEngine(
        engine=plan.engine,
        model=plan.model,
        adapters=tuple(adapter.name for adapter in plan.adapters),
        context_tokens=plan.context_tokens,
        parallel=plan.parallel,
        memory_bytes=plan.memory_bytes,
        weights=plan.weights_path,
    )


# The console's rollout screen: each route's split of traffic, its rollout with tests over time, and its history.
#
# Everything is read from the store; nothing here keeps state. Content of traces is never part of it: an operator who
# may see that traffic moves need not see what customers write.

HISTORY_SHOWN = 20


class RouteView(Record, frozen=True, kw_only=True):
    """One route: its traffic in the window, its rollout, how its quality test went, and its history, newest first."""

    route: Route
    status: rollouts.Status | None
    path: tuple[PathPoint, ...]
    traffic: RecordedTraffic
    history: tuple[RouteChange, ...]
    generations: tuple[Generation, ...]
    """Of the model that serves, the newest first, without their plans and rules."""


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
        generations=_generations(store, route.name),
    )


def _generations(store: Store, route: str) -> tuple[Generation, ...]:
    known = sorted(
        (one for one in store.records(Generation) if one.route == route), key=lambda one: one.number
    )
    shown = reversed(known[-HISTORY_SHOWN:])
    return tuple(msgspec.structs.replace(one, plan=None, rule=None) for one in shown)


def _status(store: Store, route_name: str, at: datetime) -> rollouts.Status | None:
    try:
        return rollouts.status(store, route_name, at=at)
    except UsageError:  # no rollout of this route yet
        return None
