"""`freehold rollout`: traffic moves from the incumbent to a candidate in steps, and back in one.

A rollout is a record beside its route. A look takes in what is new; an alarm sets the route to ``rolled_back`` at
once. Looks come from the process beside the gateway (`freehold.workflows.observer`) and from anybody who asks for the
status. Steps forward are asked for by a person and refused while the tests do not allow them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from freehold.errors import RevisionError, UsageError
from freehold.gateway.config import check_apart
from freehold.store import Store
from freehold.types.evaluation import Task
from freehold.types.record import Record, event_id
from freehold.types.route import Route, RouteState, Target
from freehold.types.serving.rollout import Rollout
from freehold.types.verdict import Verdict
from freehold.workflows.rollout_looking import Plan, learn, shown
from freehold.workflows.rollout_tests import Look, Tests, look

UNITS_A_STAGE = 50
HOURS_A_STAGE = 24.0
_TRIES = 5

RUNNING = ("shadow", "canary", "paused")


class Status(Record, frozen=True, kw_only=True):
    """A rollout, what the tests say now, and what stands in the way of the next step."""

    rollout: Rollout
    look: Look
    missing: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0: the next step is allowed. 1: rolled back. 3: not yet."""
        if self.rollout.state == "rolled_back":
            return 1
        return 3 if self.missing else 0


def start(
    store: Store,
    route: Route,
    *,
    task: Task,
    stages: tuple[float, ...],
    shadow_share: float,
    max_p95_ms: float | None,
    who: str,
    at: datetime,
    requests_per_user: int = 5,
    window_s: float = 120.0,
) -> Rollout:
    """Begin to mirror a route's traffic. Raises `UsageError` while another rollout of the route runs."""
    earlier = store.get(Rollout, route.name)
    if earlier is not None and earlier.state in RUNNING:
        raise UsageError(
            f"a rollout of the route {route.name} is running ({earlier.state})",
            hint=f"freehold rollout rollback --route {route.name} ends it",
        )
    check_apart(route, store.routes())
    if not stages or list(stages) != sorted(set(stages)) or not all(0 < share < 1 for share in stages):
        raise UsageError(f"canary stages {list(stages)} are not rising shares between 0 and 1")
    verdict = store.latest(Verdict)
    made = Rollout(
        id=event_id(int(at.timestamp() * 1000)),
        route=route.name,
        state="shadow",
        task=task,
        stages=stages,
        shadow_share=shadow_share,
        started_at=at,
        stage_began_at=at,
        max_p95_ms=max_p95_ms,
        verdict_id=verdict.id if verdict is not None else None,
        number=1 if earlier is None else earlier.number + 1,
        requests_per_user=requests_per_user,
        window_s=window_s,
    )
    _move(store, made, route, "shadow", who=who, at=at, why=f"rollout {made.number} begins")
    return made


def running(store: Store) -> list[Rollout]:
    """The rollouts that are not over."""
    return [one for one in store.records(Rollout) if one.state in RUNNING]


def step(store: Store, route_name: str, *, at: datetime, who: str = "freehold") -> Rollout:
    """Take in what is new, and roll back when a test says so."""
    rollout, _ = _step(store, find(store, route_name), who=who, at=at)
    return rollout


def status(store: Store, route_name: str, *, who: str = "freehold", at: datetime | None = None) -> Status:
    """What `step` does, and everything it saw."""
    at = at or datetime.now(UTC)
    rollout, tests = _step(store, find(store, route_name), who=who, at=at)
    seen = shown(store, _plan(rollout), tests)
    return Status(rollout=rollout, look=seen, missing=_missing(store, rollout, seen, at))


def _step(store: Store, rollout: Rollout, *, who: str, at: datetime) -> tuple[Rollout, Tests]:
    tests = learn(store, _plan(rollout), at=at)
    seen = look(tests, ())
    if rollout.state in RUNNING and (seen.alarms or seen.broken_off):
        reasons = [seen.broken_off] if seen.broken_off else []
        reasons += [
            f"{state.metric} e-value {state.e_value:.3g} reached {state.acts_at:g}"
            for state in seen.metrics
            if state.rollback
        ]
        rollout = rollback(store, rollout.route, who=who, at=at, why=", ".join(reasons))
    return rollout, tests


def follow(store: Store, route_name: str, *, every_s: float, shown: Callable[[Status], None]) -> Status:
    """Look again and again until the rollout is over."""
    while True:
        now = status(store, route_name)
        shown(now)
        if now.rollout.state in ("promoted", "rolled_back"):
            return now
        time.sleep(every_s)


def advance(
    store: Store, route_name: str, *, who: str, at: datetime, force: bool = False, why: str = ""
) -> Status:
    """The next larger share, when the tests allow it; from a pause in mirroring, mirroring again.

    Raises `UsageError` saying what is missing.
    """
    paused = find(store, route_name)
    if paused.state == "paused" and paused.paused_in == "shadow":
        again = msgspec.structs.replace(paused, state="shadow", paused_in=None)
        _move(
            store,
            again,
            _route(store, route_name),
            "shadow",
            who=who,
            at=at,
            why=_because("mirrored again", why),
        )
        return status(store, route_name, at=at)
    now = _allowed(store, route_name, who=who, at=at, force=force)
    rollout = now.rollout
    if rollout.stage + 1 == len(rollout.stages):
        raise UsageError(
            f"the route {route_name} is at its last canary share",
            hint=f"freehold rollout promote --route {route_name}",
        )
    share = rollout.stages[rollout.stage + 1]
    moved = msgspec.structs.replace(
        rollout, state="canary", stage=rollout.stage + 1, stage_began_at=at, paused_in=None
    )
    why = _because(f"canary at {share:.2%}" + (", forced" if force else ""), why)
    _move(store, moved, _route(store, route_name), "canary", who=who, at=at, why=why, share=share)
    return status(store, route_name, at=at)


def promote(
    store: Store, route_name: str, *, who: str, at: datetime, force: bool = False, why: str = ""
) -> Status:
    """All traffic to the candidate. Raises `UsageError` saying what is missing."""
    now = _allowed(store, route_name, who=who, at=at, force=force)
    if now.rollout.stage + 1 < len(now.rollout.stages) and not force:
        raise UsageError(
            f"the route {route_name} has not been through all its canary shares",
            hint=f"freehold rollout advance --route {route_name}",
        )
    why = _because("promoted" + (", forced" if force else ""), why)
    done = _end(store, now.rollout, "promoted", who=who, at=at, why=why)
    return Status(rollout=done, look=now.look, missing=())


def pause(store: Store, route_name: str, *, who: str, at: datetime, why: str = "") -> Rollout:
    """All traffic to the incumbent for now; what was learned is kept, and `advance` goes on from here."""
    rollout = find(store, route_name)
    if rollout.state != "shadow" and rollout.state != "canary":
        raise UsageError(f"the rollout of the route {route_name} is {rollout.state}, it cannot be paused")
    paused = msgspec.structs.replace(
        rollout, state="paused", stage=max(-1, rollout.stage - 1), paused_in=rollout.state
    )
    why = _because("paused", why)
    _move(store, paused, _route(store, route_name), "incumbent", who=who, at=at, why=why)
    return paused


def rollback(store: Store, route_name: str, *, who: str, at: datetime, why: str = "") -> Rollout:
    """All traffic to the incumbent, now, from any state, whoever else changes the route at the same time."""
    why = why or "asked for"
    rollout = find(store, route_name)
    for _ in range(_TRIES - 1):
        try:
            return _end(store, rollout, "rolled_back", who=who, at=at, why=why)
        except RevisionError:  # going back is right whatever the change in between was
            rollout = find(store, route_name)
    return _end(store, rollout, "rolled_back", who=who, at=at, why=why)


def rollback_route(store: Store, route_name: str, *, who: str, at: datetime, why: str = "") -> None:
    """`rollback` for any route, also one that was moved without a rollout. Raises `UsageError`."""
    if store.get(Rollout, route_name) is not None:
        rollback(store, route_name, who=who, at=at, why=why)
        return
    route = _route(store, route_name)
    store.save_route(
        msgspec.structs.replace(route, state="rolled_back"), who=who, at=at, why=why or "asked for"
    )


def _because(what: str, why: str) -> str:
    """A step as the history tells it, with the reason that was given."""
    return f"{what}: {why}" if why else what


def running_rollout(store: Store, route_name: str) -> Rollout | None:
    """The rollout of a route that is not over yet."""
    found = store.get(Rollout, route_name)
    return found if found is not None and found.state in RUNNING else None


def find(store: Store, route_name: str) -> Rollout:
    """The rollout of a route. Raises `UsageError`."""
    found = store.get(Rollout, route_name)
    if found is None:
        others = [one.route for one in store.records(Rollout)]
        raise UsageError(
            f"the route {route_name} has no rollout",
            hint=f"those that have one: {', '.join(others)} (--route)"
            if others
            else "freehold rollout start begins one",
        )
    return found


def _route(store: Store, name: str) -> Route:
    known = store.routes()
    for route in known:
        if route.name == name:
            return route
    raise UsageError(
        f"the store has no route {name}",
        hint=f"routes here: {', '.join(route.name for route in known)} (--route)"
        if known
        else "freehold rollout start makes one",
    )


def _move(
    store: Store,
    rollout: Rollout,
    route: Route,
    state: RouteState,
    *,
    who: str,
    at: datetime,
    why: str,
    share: float = 0.0,
) -> None:
    changed = msgspec.structs.replace(
        route, state=state, canary_share=share, shadow_share=rollout.shadow_share
    )
    store.save_route(
        changed, who=who, at=at, why=why, verdict_id=rollout.verdict_id, expected_revision=route.revision
    )
    store.put(rollout, made_from=(rollout.verdict_id,) if rollout.verdict_id else ())


def _end(
    store: Store,
    rollout: Rollout,
    state: Literal["promoted", "rolled_back"],
    *,
    who: str,
    at: datetime,
    why: str,
) -> Rollout:
    done = msgspec.structs.replace(rollout, state=state, why=why)
    _move(store, done, _route(store, rollout.route), state, who=who, at=at, why=why)
    return done


def _allowed(store: Store, route_name: str, *, who: str, at: datetime, force: bool) -> Status:
    now = status(store, route_name, who=who, at=at)
    if now.rollout.state in ("promoted", "rolled_back"):
        raise UsageError(
            f"the rollout of the route {route_name} is over: {now.rollout.state}"
            + (f" ({now.rollout.why})" if now.rollout.why else ""),
            hint="freehold rollout start begins another one",
        )
    if now.missing and not force:
        raise UsageError(f"not yet: {'; '.join(now.missing)}", hint="freehold rollout status shows the tests")
    return now


def _missing(store: Store, rollout: Rollout, seen: Look, at: datetime) -> tuple[str, ...]:
    """What stands in the way of the next step."""
    if rollout.state in ("promoted", "rolled_back"):
        return ()
    missing = []
    units = seen.pairs if rollout.stage < 0 else seen.candidate_units
    if units < UNITS_A_STAGE:
        missing.append(f"{units} of {UNITS_A_STAGE} independent users seen")
    hours = (at - rollout.stage_began_at).total_seconds() / 3600
    if hours < HOURS_A_STAGE:
        missing.append(f"{hours:.1f} of {HOURS_A_STAGE:g} hours (one daily cycle) passed")
    if not seen.harm_bounded:
        bound = -3 * rollout.task.margin
        missing.append(f"quality: a difference of {bound:+.3f} (three margins) is not ruled out")
    if rollout.stage + 1 == len(rollout.stages):
        missing.extend(_missing_for_promotion(store, rollout, seen))
    return tuple(missing)


def _missing_for_promotion(store: Store, rollout: Rollout, seen: Look) -> list[str]:
    missing = []
    verdict = store.get(Verdict, rollout.verdict_id) if rollout.verdict_id else None
    if verdict is None or verdict.outcome != "promote":
        missing.append("no offline verdict says promote")
    elif {"fits", "parity_ok"} & {reason.code for reason in verdict.reasons} == {"fits"}:
        # Served on a machine of our own ("fits"), and nobody looked whether it is what was trained.
        missing.append("the served model was not compared with the trained one: freehold migrate does it")
    missing.extend(
        f"{state.metric}: not yet shown to be within its margin"
        for state in seen.metrics
        if state.promote is False
    )
    return missing


def default_route(name: str, model: str, candidate_model: str, *, incumbent: str, candidate: str) -> Route:
    """The route of a project: who asks for the incumbent's model may be answered by the candidate."""
    return Route(
        name=name,
        model=model,
        incumbent=Target(endpoint=incumbent),
        candidate=Target(endpoint=candidate, model=candidate_model),
    )


def _plan(rollout: Rollout) -> Plan:
    return Plan(
        rollout.id,
        rollout.route,
        rollout.task,
        rollout.started_at,
        rollout.max_p95_ms,
        rollout.requests_per_user,
        rollout.window_s,
    )
