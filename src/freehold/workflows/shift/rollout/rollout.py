"""`freehold rollout`: traffic moves from the incumbent to a candidate in steps, and back in one.

`step` takes in new traffic and rolls back where a test says so; the observer (`freehold.workflows.shift.observer`)
does it every few seconds. `status` only looks. Steps forward are asked for by a person and refused while the tests do
not allow them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Literal, get_args

import msgspec

from freehold.errors import RevisionError, UsageError
from freehold.gateway.config import check_apart
from freehold.store import Store
from freehold.types.deferral import DeferralRule
from freehold.types.record import Record, event_id
from freehold.types.rollout import Gate, Rollout, RolloutTerms, RouteAlarm
from freehold.types.route import Route, RouteState, Target
from freehold.types.verdict import Verdict
from freehold.workflows.shift import routes
from freehold.workflows.shift.rollout import scoring
from freehold.workflows.shift.rollout.decision import (
    Look,
    Tests,
    candidate_key,
    gates_left,
    look,
    rule_of,
    verdict_of,
)

log = logging.getLogger(__name__)

GATES: tuple[Gate, ...] = get_args(Gate)
"""All of them: a step that is forced waits for none."""

_TRIES = 5


class Status(Record, frozen=True, kw_only=True):
    """A rollout, what the tests say now, and what stands in the way of the next step. `rule` is by which the route's
    candidate leaves requests to the incumbent, where it is a mixture; `troubles` are what gateways' numbers tell of it
    and is not over."""

    rollout: Rollout
    look: Look
    missing: tuple[str, ...]
    rule: DeferralRule | None = None
    troubles: tuple[RouteAlarm, ...] = ()

    @property
    def exit_code(self) -> int:
        """0: the next step is allowed. 1: rolled back. 3: not yet."""
        if self.rollout.state == "rolled_back":
            return 1
        return 3 if self.missing else 0


def start(store: Store, route: Route, terms: RolloutTerms, *, who: str, at: datetime) -> Rollout:
    """Begin to mirror a route's traffic. Raises `UsageError` while another rollout of the route runs."""
    earlier = routes.rollout_of(store, route.name)
    if earlier is not None and earlier.is_live:
        raise UsageError(
            f"a rollout of the route {route.name} is running ({earlier.state})",
            hint=f"freehold rollout rollback --route {route.name} ends it",
        )
    check_apart(route, store.routes())
    stages = terms.stages
    if not stages or list(stages) != sorted(set(stages)) or not all(0 < share < 1 for share in stages):
        raise UsageError(f"canary stages {list(stages)} are not rising shares between 0 and 1")
    verdict = store.latest(Verdict)
    key, before = candidate_key(store, route), {} if earlier is None else earlier.attempts
    attempt = before.get(key, 0) + 1
    rollout = Rollout(
        **msgspec.structs.asdict(terms),
        id=event_id(int(at.timestamp() * 1000)),
        route=route.name,
        state="shadow",
        started_at=at,
        stage_began_at=at,
        verdict_id=verdict.id if verdict is not None else None,
        number=1 if earlier is None else earlier.number + 1,
        attempt=attempt,
        attempts={**before, key: attempt},
    )
    _move(store, rollout, route, "shadow", who=who, at=at, why=f"rollout {rollout.number} begins")
    return rollout


def status(store: Store, route_name: str, *, at: datetime | None = None) -> Status:
    """A rollout as its last step left it. Nothing is taken in and nothing moves."""
    rollout = routes.find_rollout(store, route_name)
    return _status(store, rollout, scoring.tests_of(store, rollout), at or datetime.now(UTC))


def step(store: Store, route_name: str, *, who: str = "freehold", at: datetime | None = None) -> Status:
    """Take in what is new, and roll back when a test says so."""
    at = at or datetime.now(UTC)
    rollout = routes.find_rollout(store, route_name)
    tests = scoring.learn(store, rollout, at=at)
    seen = look(tests, ())
    if rollout.is_live and (seen.alarms or seen.broken_off):
        reasons = [seen.broken_off] if seen.broken_off else []
        reasons += [
            f"{state.metric} e-value {state.e_value:.3g} reached {state.acts_at:g}"
            for state in seen.metrics
            if state.rollback
        ]
        rollout = rollback(store, rollout.route, who=who, at=at, why=", ".join(reasons))
    return _status(store, rollout, tests, at)


def _status(store: Store, rollout: Rollout, tests: Tests, at: datetime) -> Status:
    current = scoring.display_look(store, rollout, tests)
    missing = tuple(text for _, text in gates_left(store, rollout, current, at))
    open_ones = (one for one in store.records(RouteAlarm) if one.over_at is None)
    return Status(
        rollout=rollout,
        look=current,
        missing=missing,
        rule=rule_of(store, rollout.route),
        troubles=tuple(one for one in open_ones if one.route == rollout.route),
    )


def follow(store: Store, route_name: str, *, every_s: float, shown: Callable[[Status], None]) -> Status:
    """Step again and again until the rollout is over."""
    while True:
        now = step(store, route_name)
        shown(now)
        if now.rollout.state in ("promoted", "rolled_back"):
            return now
        time.sleep(every_s)


def advance(
    store: Store,
    route_name: str,
    *,
    who: str,
    at: datetime,
    without: Collection[Gate] = (),
    why: str = "",
) -> Status:
    """The next larger share, when the tests allow it; from a pause in mirroring, mirroring again.

    What is named in `without` may be missing. Raises `UsageError` saying what is missing.
    """
    route, paused = _route_and_rollout(store, route_name)
    if paused.state == "paused" and paused.paused_in == "shadow":
        again = msgspec.structs.replace(paused, state="shadow", paused_in=None)
        _move(store, again, route, "shadow", who=who, at=at, why=_with_reason("mirrored again", why))
        return step(store, route_name, at=at)
    now = _require_allowed(store, route_name, who=who, at=at, without=without)
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
    why = _with_reason(f"canary at {share:.2%}" + _forced(without), why)
    _move(store, moved, route, "canary", who=who, at=at, why=why, share=share)
    return step(store, route_name, at=at)


def promote(
    store: Store,
    route_name: str,
    *,
    who: str,
    at: datetime,
    without: Collection[Gate] = (),
    why: str = "",
) -> Status:
    """All traffic to the candidate. What is named in `without` may be missing; all of it lets stages be left out, too.

    Raises `UsageError` saying what is missing.
    """
    route, _ = _route_and_rollout(store, route_name)
    now = _require_allowed(store, route_name, who=who, at=at, without=without)
    if set(without) != set(GATES):
        _check_shares(now)
    why = _with_reason("promoted" + _forced(without), why)
    done = _end(store, now.rollout, route, "promoted", who=who, at=at, why=why)
    return msgspec.structs.replace(now, rollout=done, missing=())


def check_allowed(store: Store, route_name: str, *, at: datetime, promotes: bool) -> None:
    """Raise what `advance`, or `promote`, would refuse with now. Nothing is taken in and nothing moves."""
    now = status(store, route_name, at=at)
    if not promotes and now.rollout.state == "paused" and now.rollout.paused_in == "shadow":
        return  # mirroring is taken up again
    _check_gates(store, now, at, without=())
    if promotes:
        _check_shares(now)


def _check_shares(now: Status) -> None:
    if now.rollout.stage + 1 < len(now.rollout.stages):
        raise UsageError(
            f"the route {now.rollout.route} has not been through all its canary shares",
            hint=f"freehold rollout advance --route {now.rollout.route}",
        )


def pause(store: Store, route_name: str, *, who: str, at: datetime, why: str = "") -> Rollout:
    """All traffic to the incumbent for now; what was learned is kept, and `advance` goes on from here."""
    route, rollout = _route_and_rollout(store, route_name)
    if rollout.state != "shadow" and rollout.state != "canary":
        raise UsageError(f"the rollout of the route {route_name} is {rollout.state}, it cannot be paused")
    paused = msgspec.structs.replace(
        rollout, state="paused", stage=max(-1, rollout.stage - 1), paused_in=rollout.state
    )
    _move(store, paused, route, "incumbent", who=who, at=at, why=_with_reason("paused", why))
    return paused


def rollback(store: Store, route_name: str, *, who: str, at: datetime, why: str = "") -> Rollout:
    """All traffic to the incumbent, now, from any state, even while the route is changed by another."""
    why = why or "asked for"
    for _ in range(_TRIES - 1):
        try:
            return _roll_back(store, route_name, who=who, at=at, why=why)
        except RevisionError:  # going back is right whatever the change in between was
            log.info("route %s: changed meanwhile, rolling back again", route_name)
    return _roll_back(store, route_name, who=who, at=at, why=why)


def _roll_back(store: Store, route_name: str, *, who: str, at: datetime, why: str) -> Rollout:
    route, rollout = _route_and_rollout(store, route_name)
    return _end(store, rollout, route, "rolled_back", who=who, at=at, why=why)


def rollback_route(store: Store, route_name: str, *, who: str, at: datetime, why: str = "") -> None:
    """`rollback` for any route, also one that was moved without a rollout. Raises `UsageError`."""
    if routes.rollout_of(store, route_name) is not None:
        rollback(store, route_name, who=who, at=at, why=why)
        return
    route = routes.find(store, route_name, option="--route")
    store.save_route(
        msgspec.structs.replace(route, state="rolled_back"), who=who, at=at, why=why or "asked for"
    )


def _with_reason(what: str, why: str) -> str:
    """A step as the history tells it, with the reason that was given."""
    return f"{what}: {why}" if why else what


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
    """Both change, or neither. Raises `RevisionError` where the route has changed since `route` was read: what was
    decided on what no longer holds is not done."""
    changed = msgspec.structs.replace(
        route, state=state, canary_share=share, shadow_share=rollout.shadow_share
    )
    store.save_route(
        changed,
        who=who,
        at=at,
        why=why,
        verdict_id=rollout.verdict_id,
        expected_revision=route.revision,
        together_with=routes.kept_rollout(rollout, who=who, at=at, why=why),
    )


def _end(
    store: Store,
    rollout: Rollout,
    route: Route,
    state: Literal["promoted", "rolled_back"],
    *,
    who: str,
    at: datetime,
    why: str,
) -> Rollout:
    done = msgspec.structs.replace(rollout, state=state, why=why)
    _move(store, done, route, state, who=who, at=at, why=why)
    return done


def _route_and_rollout(store: Store, name: str) -> tuple[Route, Rollout]:
    """The route is read first: what changes either of them after that is noticed when they are moved."""
    known = {route.name: route for route in store.routes()}
    rollout = routes.find_rollout(store, name)
    return known.get(name) or routes.find(store, name, option="--route"), rollout


def _forced(without: Collection[Gate]) -> str:
    if set(without) == set(GATES):
        return ", forced"
    return f", without {', '.join(sorted(without))}" if without else ""


def _require_allowed(
    store: Store, route_name: str, *, who: str, at: datetime, without: Collection[Gate]
) -> Status:
    """What `step` gives, resting on the verdict that allows to go on. Raises `UsageError`."""
    now = step(store, route_name, who=who, at=at)
    _check_gates(store, now, at, without=without)
    verdict = verdict_of(store, now.rollout)
    rollout = msgspec.structs.replace(now.rollout, verdict_id=None if verdict is None else verdict.id)
    return msgspec.structs.replace(now, rollout=rollout)


def _check_gates(store: Store, now: Status, at: datetime, *, without: Collection[Gate]) -> None:
    if now.rollout.state in ("promoted", "rolled_back"):
        raise UsageError(
            f"the rollout of the route {now.rollout.route} is over: {now.rollout.state}"
            + (f" ({now.rollout.why})" if now.rollout.why else ""),
            hint="freehold rollout start begins another one",
        )
    gates = gates_left(store, now.rollout, now.look, at)
    if missing := [text for gate, text in gates if gate not in without]:
        raise UsageError(f"not yet: {'; '.join(missing)}", hint="freehold rollout status shows the tests")


def default_route(name: str, model: str, candidate_model: str, *, incumbent: str, candidate: str) -> Route:
    """The route of a project: requests for the incumbent's model may be answered by the candidate."""
    return Route(
        name=name,
        model=model,
        incumbent=Target(endpoint=incumbent),
        candidate=Target(endpoint=candidate, model=candidate_model),
    )
