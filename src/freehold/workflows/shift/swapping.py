"""A route's own model is changed for the next generation, and back, without a lost or mixed request.

`offer` says what is to be held, `freehold up` starts it beside the one that answers, `swap` moves the route: model and
rule in one change, with the record of what was before. A request is decided by one whole route, and until the route
reaches a worker by the one before, whose engine stays. `keep` lets that one go, `back` returns to it.

After a kill in between, the store says where things stand: offered (a slot newer than the route's last swap),
watched, kept or rolled back. Each step can be repeated. Without a gateway that runs, swaps are of records alone, and
the next start holds what they name.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from freehold.errors import EngineError, RevisionError, UsageError
from freehold.store import Store
from freehold.store.records import KeptRecord
from freehold.types.audit import Change
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ENDPOINT_NAME, SLOTS, ServePlan, is_own
from freehold.types.generation import Generation, generation_key
from freehold.types.route import Route, Target
from freehold.types.slot import CandidateSide, ServedSlot, Swap, SwapState
from freehold.workflows.project import now
from freehold.workflows.shift import routes, slots

log = logging.getLogger(__name__)

POLL_S = 0.25
BACK = "; the generation before answers again"
"""What an alarm says of it."""
SETTLES = timedelta(seconds=60)
"""After a route went back to the generation before, what the later one answered late is still being counted."""
_TRIES = 5


def swap_of(store: Store, route_name: str) -> Swap | None:
    """The last change of a route's generation."""
    return store.get(Swap, route_name)


def offered(store: Store, route_name: str) -> ServedSlot | None:
    """The generation that was offered for a route and not swapped in yet, if there is one."""
    last = swap_of(store, route_name)
    of_route = [one for one in store.records(ServedSlot) if one.route == route_name]
    return next((one for one in of_route if last is None or one.number > last.number), None)


def offer(
    store: Store, route_name: str, plan: ServePlan, number: int, *, at: datetime, who: str = "freehold"
) -> ServedSlot:
    """Have a generation held beside the one that answers, in a slot that nothing else is in. Offering it again changes
    nothing but its trouble; another one that is not swapped in yet gives up its slot.

    Raises `UsageError` while the route's last swap is watched, or for a number that is not higher than its.
    """
    route = routes.find(store, route_name)
    last = swap_of(store, route_name)
    if last is not None and last.is_watched_on(route):
        raise UsageError(
            f"generation {last.number} of the route {route_name} is still watched",
            hint="it is kept or rolled back first",
        )
    if last is not None and number <= last.number:
        raise UsageError(
            f"the route {route_name} has had generation {last.number}, so {number} cannot be the next"
        )
    waiting = offered(store, route_name)
    known = {one.endpoint: one for one in store.records(ServedSlot)}
    held = slots.wanted(store).slots
    free = [name for name in SLOTS if name not in held]
    # Where the same plan still runs, it need not be started again.
    free.sort(key=lambda name: name not in known or known[name].plan.key != plan.key)
    if waiting is not None:
        free.insert(0, waiting.endpoint)
    if not free:
        raise UsageError(f"no slot is free: {', '.join(held)} are in use")
    made = ServedSlot(endpoint=free[0], route=route_name, number=number, plan=plan, offered_at=at)
    before = known.get(made.endpoint)
    if before is not None and msgspec.structs.replace(made, offered_at=before.offered_at) == before:
        return before
    change = Change(action="slot.offer", who=who, at=at, detail={"route": route_name, "number": number})
    store.put(made, change=change, if_was=lambda was: was == before)
    return made


def withdraw(store: Store, slot: ServedSlot, *, who: str, at: datetime, why: str = "") -> bool:
    """Give up an offered generation that was not swapped in. False where it is not offered any more."""
    if offered(store, slot.route) != slot:
        return False
    return store.delete(
        ServedSlot, slot.endpoint, change=Change(action="slot.withdraw", who=who, at=at, why=why)
    )


def await_ready(store: Store, slot: ServedSlot, *, timeout_s: float) -> Literal["ready", "no_gateway"]:
    """Wait until a generation answers in every gateway of the store that holds engines; at once where none runs.

    Raises `EngineError` where it cannot be started, or is not ready in time.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = store.get(ServedSlot, slot.endpoint)
        if found is None or found.plan.key != slot.plan.key:
            raise EngineError(f"{slot.endpoint} is not generation {slot.number} any more")
        if found.trouble is not None:
            raise EngineError(f"generation {slot.number} of {slot.route} cannot be held: {found.trouble}")
        held = slots.are_held(store, slot.endpoint, slot.plan, at=now())
        if held is not False:
            return "no_gateway" if held is None else "ready"
        if time.monotonic() >= deadline:
            raise EngineError(
                f"generation {slot.number} of {slot.route} was not ready within {timeout_s:g} s",
                hint="the route stays as it is; the log of its engine is in the state folder, engines",
            )
        time.sleep(POLL_S)


def swap(
    store: Store,
    route_name: str,
    slot: ServedSlot,
    rule: DeferralRule | None,
    *,
    at: datetime,
    who: str,
    why: str = "",
    verdict_id: str | None = None,
) -> Swap:
    """Let an offered generation answer in the place of the present one, under its rule. It is watched from then on.

    Raises `UsageError`, and nothing is moved, where a gateway runs and does not hold it, where the rule was proven for
    another model, while a rollout runs, and for a slot that was offered for another route or is not the offered one;
    `RevisionError` where the route was changed meanwhile.
    """
    route = routes.find(store, route_name)
    _check(store, route, slot, rule)
    name = slot.plan.served_name
    after = CandidateSide(target=Target(endpoint=slot.endpoint, model=name), rule=rule)
    assert route.candidate is not None
    before = CandidateSide(target=route.candidate, rule=route.deferral)
    made = Swap(route=route_name, number=slot.number, at=at, before=before, after=after, why=why)
    why = f"generation {slot.number}" + (f": {why}" if why else "")
    _move(store, route, after, made, who=who, at=at, why=why, verdict_id=verdict_id)
    return made


def _check(store: Store, route: Route, slot: ServedSlot, rule: DeferralRule | None) -> None:
    if route.candidate is None:
        raise UsageError(f"the route {route.name} has no candidate to take the place of")
    if routes.is_in_rollout(store, route.name):
        raise UsageError(
            f"a rollout of the route {route.name} is running and decides on its candidate",
            hint="freehold rollout status",
        )
    last = swap_of(store, route.name)
    if last is not None and last.is_watched_on(route):
        raise UsageError(f"generation {last.number} of the route {route.name} is still watched")
    there = offered(store, route.name)
    if there is None or (there.endpoint, there.number, there.plan) != (slot.endpoint, slot.number, slot.plan):
        raise UsageError(f"generation {slot.number} is not what is offered for the route {route.name}")
    if rule is not None and (problem := rule.problem) is not None:
        raise UsageError(f"the rule of generation {slot.number} cannot be used: {problem}")
    identity = slot.plan.candidate_id()
    if rule is not None and rule.candidate.identity != identity:
        raise UsageError(
            f"the rule was proven for {(rule.candidate.identity or 'nothing')[:12]}, and generation {slot.number} is "
            f"{identity[:12]}"
        )
    if slots.are_held(store, slot.endpoint, slot.plan, at=now()) is False:
        raise UsageError(
            f"generation {slot.number} is not ready in every gateway{': ' if there.trouble else ''}"
            f"{there.trouble or ''}, so the route {route.name} stays as it is",
        )


def back(store: Store, route_name: str, *, who: str, at: datetime, why: str) -> Swap | None:
    """Let the generation before a watched one answer again, model and rule, where it is still held; None where there is
    no such thing. Every alarm that would move a route's traffic asks this first."""
    for _ in range(_TRIES):
        last = swap_of(store, route_name)
        route = next((one for one in store.routes() if one.name == route_name), None)
        if route is None or last is None or not _can_go_back(store, route, last, at=now()):
            return None
        ended = msgspec.structs.replace(last, state="rolled_back", ended_at=at, why=why)
        try:
            said = f"back to the generation before {last.number}: {why}"
            _move(store, route, last.before, ended, who=who, at=at, why=said)
            if (made := store.get(Generation, generation_key(route_name, last.number))) is not None:
                store.put(msgspec.structs.replace(made, state="rolled_back"))
            return ended
        except RevisionError:
            log.info("route %s: changed meanwhile, looking again", route_name)
    return None


def _can_go_back(store: Store, route: Route, last: Swap, *, at: datetime) -> bool:
    if not last.is_watched_on(route) or route.state == "rolled_back":
        return False
    name = last.before.target.endpoint
    if not is_own(name):
        return True
    slot = store.get(ServedSlot, name)
    if slot is None and name != ENDPOINT_NAME:
        return False
    return slots.are_held(store, name, None if slot is None else slot.plan, at=at) is not False


def keep(store: Store, route_name: str, *, who: str, at: datetime, why: str = "") -> Swap:
    """End the watch over a generation: the one before is let go. Raises `UsageError` where none is watched."""
    last = swap_of(store, route_name)
    if last is None or last.state != "watched":
        state = "has none" if last is None else f"is {last.state}"
        raise UsageError(f"no swap of the route {route_name} is watched: it {state}")
    kept = msgspec.structs.replace(last, state="kept", ended_at=at, why=why or last.why)
    store.put(kept, change=_change(kept, who=who, at=at, why=why), if_was=lambda was: was == last)
    return kept


def began_at(store: Store, route_name: str) -> datetime | None:
    """Since when a route's present generation answers; None where it never had another."""
    last = swap_of(store, route_name)
    return None if last is None else last.at if last.state != "rolled_back" else last.ended_at


def has_just_gone_back(store: Store, route_name: str, *, at: datetime) -> bool:
    """Whether what is counted of a route may still be of a generation that it went back from."""
    last = swap_of(store, route_name)
    return (
        last is not None
        and last.state == "rolled_back"
        and last.ended_at is not None
        and at - last.ended_at < SETTLES
    )


def fallen(store: Store) -> dict[str, str]:
    """The routes whose watched generation is not held, each with why."""
    by_name = {route.name: route for route in store.routes()}
    found = {}
    for one in store.records(Swap):
        if not one.is_watched_on(by_name.get(one.route)):
            continue
        slot = store.get(ServedSlot, one.after.target.endpoint)
        if slot is not None and slot.number == one.number and slot.trouble is not None:
            found[one.route] = f"generation {one.number} is not held: {slot.trouble}"
    return found


def _move(
    store: Store,
    route: Route,
    to: CandidateSide,
    record: Swap,
    *,
    who: str,
    at: datetime,
    why: str,
    verdict_id: str | None = None,
) -> None:
    """Model and rule in one change, with the record that says the same; or neither."""
    store.save_route(
        msgspec.structs.replace(route, candidate=to.target, deferral=to.rule),
        who=who,
        at=at,
        why=why,
        verdict_id=verdict_id,
        expected_revision=route.revision,
        together_with=KeptRecord(record, change=_change(record, who=who, at=at, why=why)),
    )


def _change(record: Swap, *, who: str, at: datetime, why: str) -> Change:
    state: SwapState = record.state
    return Change(action=f"swap.{state}", who=who, at=at, why=why, detail={"number": record.number})
