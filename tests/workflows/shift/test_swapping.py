"""Generations are offered, swapped, watched, kept and rolled back: what the store says after each step."""

import subprocess
import sys
from datetime import timedelta

import msgspec
import pytest
from tests.deferral_rules import one_tier
from tests.store.conftest import url  # noqa: F401
from tests.workflows.shift.shifting import LATER, ROUTE, START, begun

from freehold.errors import ConfigError, EngineError, RevisionError, UsageError
from freehold.store import audit, leases, open_store
from freehold.types.config_file import parse
from freehold.types.endpoint import SLOTS, ServePlan, is_own
from freehold.types.route import Target
from freehold.types.slot import ServedSlot, Swap
from freehold.workflows.project import now
from freehold.workflows.shift import routes, slots, swapping
from freehold.workflows.shift.endpoints import configured_endpoints
from freehold.workflows.shift.rollout.decision import candidate_key, served_id

PROMOTED = msgspec.structs.replace(
    ROUTE, state="promoted", deferral=one_tier(model="base:ft", identity="old")
)
NAME = ROUTE.name


@pytest.fixture
def store(url):  # noqa: F811
    with open_store(url) as store:
        store.save_route(PROMOTED, who="ada", at=START)
        store.put(plan("base:ft"))
        yield store


def plan(model="small:2", **options):
    return ServePlan(engine="echo", model=model, options=options)


def rule_of(made, **more):
    return one_tier(model=made.served_name, identity=made.candidate_id(), **more)


def swapped(store, number=2, made=None, **more):
    made = made or plan(f"small:{number}")
    slot = swapping.offer(store, NAME, made, number, at=LATER)
    return slot, swapping.swap(store, NAME, slot, rule_of(made), at=LATER, who="ada", why="proven", **more)


def route_of(store):
    return next(one for one in store.routes() if one.name == NAME)


def holding(store, *held, owner="up1"):
    """A running `freehold up` that holds plans under names."""
    return slots_of(store, owner)._sign(store, dict(held))


def slots_of(store, owner="up1", **more):
    made = slots.StoredSlots(store.url, own=lambda: plan("base:ft"), **more)
    made._owner = owner
    return made


def test_a_swap_moves_model_and_rule_in_one_change_and_back_undoes_both(store):
    before = route_of(store)
    slot, made = swapped(store, verdict_id="v2")
    after = route_of(store)
    assert after.candidate == Target(endpoint="local-a", model="small:2") and after.state == "promoted"
    assert after.deferral == rule_of(slot.plan) == made.after.rule
    history = store.route_history(NAME)
    assert len(history) == 2 and history[-1].why == "generation 2: proven" and history[-1].verdict_id == "v2"
    ended = swapping.back(store, NAME, who="freehold", at=LATER, why="it is late")
    again = route_of(store)
    assert (again.candidate, again.deferral) == (before.candidate, before.deferral)
    assert ended.state == "rolled_back" and store.get(Swap, NAME) == ended
    actions = [entry.action for entry in audit.entries(store.database)]
    moves = ["slot.offer", "route.save", "swap.watched", "route.save", "swap.rolled_back"]
    assert moves in (actions[-5:], actions[4::-1])
    assert swapping.back(store, NAME, who="freehold", at=LATER, why="twice") is None


def test_slots_take_turns_and_the_one_before_is_held_until_it_is_kept(store):
    assert slots.wanted(store).slots == {} and slots.wanted(store).own_plan
    swapped(store, 2)
    wanted = slots.wanted(store)
    assert set(wanted.slots) == {"local-a"} and wanted.own_plan, "what migrate chose is the one before"
    assert list(wanted.plans(plan("base:ft"))) == ["local-a", "local"], "the one that answers is asked first"
    with pytest.raises(UsageError, match="generation 2 of the route support is still watched"):
        swapping.offer(store, NAME, plan("small:3"), 3, at=LATER)
    swapping.keep(store, NAME, who="ada", at=LATER)
    assert not slots.wanted(store).own_plan and set(slots.wanted(store).needed) == {"local-a"}
    slot = swapping.offer(store, NAME, plan("small:3"), 3, at=LATER)
    assert slot.endpoint == "local-b" and set(slots.wanted(store).needed) == {"local-a"}
    swapping.swap(store, NAME, slot, None, at=LATER, who="ada")
    assert set(slots.wanted(store).needed) == {"local-a", "local-b"}
    swapping.keep(store, NAME, who="ada", at=LATER)
    assert set(slots.wanted(store).slots) == {"local-b"}
    assert swapping.offer(store, NAME, plan("small:4"), 4, at=LATER).endpoint == "local-a"


def test_an_offer_can_be_repeated_replaced_and_withdrawn(store):
    first = swapping.offer(store, NAME, plan(), 2, at=LATER)
    assert swapping.offer(store, NAME, plan(), 2, at=LATER + timedelta(hours=1)) == first
    other = swapping.offer(store, NAME, plan("small:2b"), 2, at=LATER)
    assert other.endpoint == first.endpoint and store.records(ServedSlot) == [other]
    assert swapping.offered(store, NAME) == other
    with pytest.raises(UsageError, match="not what is offered"):
        swapping.swap(store, NAME, first, None, at=LATER, who="ada")
    assert not swapping.withdraw(store, first, who="ada", at=LATER)
    assert swapping.withdraw(store, other, who="ada", at=LATER) and slots.wanted(store).slots == {}
    with pytest.raises(UsageError, match="the store has no route nobody"):
        swapping.offer(store, "nobody", plan(), 2, at=LATER)


def test_a_number_never_comes_again_and_what_was_rolled_back_is_not_held(store):
    slot, _ = swapped(store, 2)
    swapping.back(store, NAME, who="freehold", at=LATER, why="late")
    assert slots.wanted(store).slots == {} and swapping.offered(store, NAME) is None
    with pytest.raises(UsageError, match="has had generation 2"):
        swapping.offer(store, NAME, plan(), 2, at=LATER)
    again = swapping.offer(store, NAME, slot.plan, 3, at=LATER)
    assert again.endpoint == slot.endpoint, "it may still run"


def test_nothing_is_swapped_that_a_running_gateway_does_not_hold(store):
    slot = swapping.offer(store, NAME, plan(), 2, at=LATER)
    assert swapping.await_ready(store, slot, timeout_s=0) == "no_gateway"
    holding(store, ("local", plan("base:ft")))
    before = route_of(store)
    with pytest.raises(UsageError, match="not ready in every gateway, so the route support stays"):
        swapping.swap(store, NAME, slot, None, at=LATER, who="ada")
    with pytest.raises(EngineError, match=r"was not ready within 0\.3 s"):
        swapping.await_ready(store, slot, timeout_s=0.3)
    holding(store, ("local-a", plan("another")), owner="up2")
    holding(store, ("local-a", slot.plan))
    assert slots.are_held(store, "local-a", slot.plan, at=now()) is False, "the other one holds another plan"
    holding(store, ("local-a", slot.plan), owner="up2")
    assert route_of(store) == before
    assert swapping.await_ready(store, slot, timeout_s=0) == "ready"
    swapping.swap(store, NAME, slot, None, at=LATER, who="ada")
    assert slots.are_held(store, "local-a", slot.plan, at=now() + timedelta(minutes=1)) is None


def test_what_cannot_be_held_says_why_and_the_next_offer_is_tried_again(store):
    slot = swapping.offer(store, NAME, plan(), 2, at=LATER)
    follower = slots_of(store)
    follower.failed("local-a", plan("another"), "of another plan")
    assert store.get(ServedSlot, "local-a").trouble is None
    follower.failed("local-a", slot.plan, "no memory")
    assert slots.wanted(store).slots == {}, "it is not started again and again"
    with pytest.raises(EngineError, match="generation 2 of support cannot be held: no memory"):
        swapping.await_ready(store, slot, timeout_s=5)
    assert swapping.offer(store, NAME, slot.plan, 2, at=LATER).trouble is None
    assert set(follower.look({})) == {"local", "local-a"}
    follower.close()


def test_a_swap_is_refused_for_what_was_not_proven_and_while_others_move_the_route(store):
    slot = swapping.offer(store, NAME, plan(), 2, at=LATER)
    with pytest.raises(UsageError, match="the rule was proven for old"):
        swapping.swap(store, NAME, slot, PROMOTED.deferral, at=LATER, who="ada")
    broken = msgspec.structs.replace(rule_of(slot.plan), threshold=0.1)
    with pytest.raises(UsageError, match="cannot be used: it was changed after it was proven"):
        swapping.swap(store, NAME, slot, broken, at=LATER, who="ada")
    with pytest.raises(UsageError, match="no swap of the route support is watched"):
        swapping.keep(store, NAME, who="ada", at=LATER)
    store.delete_route(NAME, who="ada", at=LATER)
    begun(store)
    with pytest.raises(UsageError, match="a rollout of the route support is running"):
        swapping.swap(store, NAME, slot, None, at=LATER, who="ada")


def test_a_route_that_changed_in_between_is_not_swapped(store, monkeypatch):
    slot = swapping.offer(store, NAME, plan(), 2, at=LATER)
    find = routes.find

    def found_and_changed(store, name, **more):
        found = find(store, name, **more)
        store.save_route(msgspec.structs.replace(found, shadow_share=0.5), who="bob", at=LATER)
        return found

    monkeypatch.setattr(routes, "find", found_and_changed)
    with pytest.raises(RevisionError):
        swapping.swap(store, NAME, slot, None, at=LATER, who="ada")
    assert store.get(Swap, NAME) is None, "neither half is kept"


def test_nothing_goes_back_where_the_route_moved_on_or_nothing_is_held(store):
    swapped(store)
    route = route_of(store)
    moved = store.save_route(
        msgspec.structs.replace(route, candidate=None, deferral=None), who="ada", at=LATER
    )
    assert swapping.back(store, NAME, who="freehold", at=LATER, why="late") is None
    store.save_route(msgspec.structs.replace(route, state="rolled_back"), who="ada", at=LATER)
    assert swapping.back(store, NAME, who="freehold", at=LATER, why="late") is None, "a person said so"
    store.save_route(route, who="ada", at=LATER)
    holding(store, ("local-a", plan("small:2")))
    assert swapping.back(store, NAME, who="freehold", at=LATER, why="late") is None, "local is not there"
    holding(store, ("local-a", plan("small:2")), ("local", plan("base:ft")))
    assert swapping.back(store, NAME, who="freehold", at=LATER, why="late") is not None
    assert moved.revision < route_of(store).revision


def test_what_the_follower_says_at_a_start_and_later(store, monkeypatch):
    slot, _ = swapped(store)
    swapping.keep(store, NAME, who="ada", at=LATER)
    follower = slots_of(store)
    assert follower.at_start() == {"local-a": slot.plan}, "what migrate chose is not started"
    assert slots_of(store, always=True).at_start() == {"local-a": slot.plan, "local": plan("base:ft")}
    assert follower.look({"local-a": slot.plan}) == {"local-a": slot.plan}
    assert slots.holders(store, at=now()) == {"up1"}
    assert slots.are_held(store, "local-a", slot.plan, at=now())
    follower.look({})
    assert slots.are_held(store, "local-a", slot.plan, at=now()) is False
    monkeypatch.setattr(slots, "wanted", lambda store: (_ for _ in ()).throw(UsageError("busy")))
    assert follower.look({}) is None
    follower.close()
    assert slots.holders(store, at=now()) == set() and not leases.living(store.database, "engine", at=now())


def test_a_watched_generation_that_fell_goes_back(store):
    slot, _ = swapped(store)
    assert swapping.fallen(store) == {}
    slots_of(store).failed("local-a", slot.plan, "it ended")
    assert swapping.fallen(store) == {NAME: "generation 2 is not held: it ended"}
    assert set(slots.wanted(store).needed) == {"local-a"}, "a route names it: it is tried again"
    follower = slots_of(store)
    follower.look({"local-a": slot.plan})
    assert swapping.fallen(store) == {}, "it came back"
    follower.close()


def test_slots_are_ones_own(store):
    assert all(map(is_own, ("local", *SLOTS))) and not is_own("local-2") and not is_own("incumbent")
    slot, _ = swapped(store)
    assert served_id(store, "small:2", "local-a") == slot.plan.candidate_id() != served_id(store, "base:ft")
    other = msgspec.structs.replace(slot, plan=plan("small:2", default="other"))
    key = candidate_key(store, route_of(store))
    store.put(other)
    assert candidate_key(store, route_of(store)) != key
    config = parse('[app]\nname = "x"\n[incumbent]\nmodel = "gpt-4o"\nbase_url = "http://127.0.0.1:1"\n')
    changed = routes.change(store, config, NAME, {"shadow_share": 0.1}, who="ada", at=LATER)
    assert changed.candidate.endpoint == "local-a"
    taken = parse('[app]\nname = "x"\n[[endpoints]]\nname = "local-a"\nbase_url = "http://127.0.0.1:1"\n')
    with pytest.raises(ConfigError, match="a name of freehold's own engines"):
        configured_endpoints(taken)


KILLED = """
import os, signal, sys
from tests.workflows.shift.test_swapping import *
with open_store(sys.argv[1]) as store:
    from sqlalchemy import event
    left = [int(sys.argv[2])]
    def count(connection):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    event.listen(store.database._engine, "commit", count)
    swapped(store)
    swapping.keep(store, NAME, who="ada", at=LATER)
"""


@pytest.mark.process
@pytest.mark.parametrize("commits", range(1, 5))
def test_killed_at_any_commit_the_store_says_one_whole_thing(store, commits):
    subprocess.run([sys.executable, "-c", KILLED, store.url, str(commits)], check=False, timeout=60)
    route, last = route_of(store), swapping.swap_of(store, NAME)
    if last is None:
        assert (route.candidate, route.deferral) == (PROMOTED.candidate, PROMOTED.deferral)
        swapped(store)
    else:
        assert (route.candidate, route.deferral) == (last.after.target, last.after.rule)
    if swapping.swap_of(store, NAME).state == "watched":
        swapping.keep(store, NAME, who="ada", at=LATER)
    assert swapping.swap_of(store, NAME).state == "kept" and route_of(store).candidate.endpoint == "local-a"
