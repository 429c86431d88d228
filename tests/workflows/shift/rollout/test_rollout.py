"""Rollouts over a real store: what the tests see, when they act, who may step forward."""

import random
import threading
from datetime import timedelta

import msgspec
import pytest
from tests.report.sample_mixture import mixture
from tests.workflows.shift.shifting import LATER, ROUTE, START, begun, mirrored, promoting, trace

from freehold.errors import FreeholdError, RevisionError, UsageError
from freehold.store import open_store
from freehold.store.database import default_url
from freehold.types.endpoint import AdapterMount, ServePlan
from freehold.types.evaluation import Task
from freehold.types.rollout import RolloutTerms
from freehold.workflows.shift import routes
from freehold.workflows.shift.rollout import rollout


def test_start_mirrors_and_refuses_a_second_rollout(store):
    begun(store)
    assert store.routes()[0].state == "shadow" and store.routes()[0].shadow_share == 1.0
    with pytest.raises(UsageError, match="a rollout of the route support is running"):
        begun(store)
    rollout.rollback(store, "support", who="ada", at=START, why="enough")
    assert store.routes()[0].state == "rolled_back"
    assert store.route_history("support")[-1].why == "enough"
    with pytest.raises(UsageError):
        rollout.start(store, ROUTE, msgspec.structs.replace(TERMS, stages=(0.5, 0.1)), who="ada", at=START)


TERMS = RolloutTerms(
    task=Task(name="support", scorer="exact", margin=0.1), stages=(0.1, 0.5), shadow_share=1.0
)


@pytest.mark.process
def test_a_good_candidate_goes_through_all_steps(store):
    store.put(promoting())
    begun(store)
    for number in range(200):
        store.add_traces(mirrored(number))
    with pytest.raises(UsageError, match="one daily cycle"):
        rollout.advance(store, "support", who="ada", at=START + timedelta(hours=1))
    day = START + timedelta(hours=25)
    moved = rollout.advance(store, "support", who="ada", at=day)
    assert moved.rollout.state == "canary" and store.routes()[0].canary_share == 0.1
    draw = random.Random(1)
    for number in range(200, 3200):
        arm = "candidate" if draw.random() < 0.1 else "incumbent"
        store.add_traces([trace(number, arm=arm, share=0.1 if arm == "candidate" else 0.9)])
    with pytest.raises(UsageError, match="has not been through all its canary shares"):
        rollout.promote(store, "support", who="ada", at=day + timedelta(hours=25))
    rollout.advance(store, "support", who="ada", at=day + timedelta(hours=25))
    for number in range(3200, 6200):
        arm = "candidate" if draw.random() < 0.5 else "incumbent"
        store.add_traces([trace(number, arm=arm, share=0.5)])
    done = rollout.promote(store, "support", who="ada", at=day + timedelta(hours=50))
    assert done.rollout.state == "promoted" and store.routes()[0].state == "promoted"
    assert store.route_history("support")[-1].verdict_id == "v1"


def test_restarts_of_one_candidate_are_counted_whatever_was_tried_between(store):
    """By what is served, not by its name: an adapter that was trained again is another candidate, another share of
    requests is none."""

    def started(rule=None):
        route = msgspec.structs.replace(next(iter(store.routes()), ROUTE), deferral=rule)
        running = rollout.start(store, route, TERMS, who="ada", at=START)
        rollout.rollback(store, "support", who="ada", at=START)
        return running.number, running.attempt

    store.put(plan("first"))
    assert [started(), started()] == [(1, 1), (2, 2)]
    store.put(plan("second"))
    assert started() == (3, 1)
    store.put(plan("first"))
    assert started(mixture().rule) == (4, 3)
    rollout.start(
        store, store.routes()[0], msgspec.structs.replace(TERMS, stages=(0.1,)), who="ada", at=START
    )
    rollout.advance(store, "support", who="ada", at=START, without=rollout.GATES)
    with pytest.raises(UsageError, match=r"errors: not yet shown to be below 2 % \(try 4 of this candidate"):
        rollout.promote(store, "support", who="ada", at=START)


def plan(adapter):
    mount = AdapterMount(name="base:ft", path="p", adapter_id=adapter)
    return ServePlan(engine="echo", model="base", adapters=(mount,))


def test_a_step_may_leave_out_what_is_named_and_nothing_else(store):
    store.put(promoting())
    begun(store, stages=(0.1,), users_a_stage=300)
    for number in range(200):
        store.add_traces(mirrored(number))
    with pytest.raises(UsageError, match=r"200 of 300 independent users seen$"):
        rollout.advance(store, "support", who="ada", at=START + timedelta(hours=1), without=["hours"])
    moved = rollout.advance(
        store, "support", who="ada", at=START + timedelta(hours=1), without=["hours", "users"]
    )
    assert moved.rollout.state == "canary"
    assert store.route_history("support")[-1].why == "canary at 10.00%, without hours, users"
    with pytest.raises(UsageError, match=r"not yet: validity: not yet shown to be below 2 %$"):
        rollout.promote(
            store,
            "support",
            who="ada",
            at=START + timedelta(hours=1),
            without=["hours", "users", "quality", "errors"],
        )


def test_a_bad_candidate_is_rolled_back_by_the_look(store):
    begun(store)
    for number in range(60):
        store.add_traces(mirrored(number, wrong=number % 2 == 0))
    now = rollout.step(store, "support")
    assert now.rollout.state == "rolled_back" and "quality e-value" in now.rollout.why and now.exit_code == 1
    assert store.routes()[0].state == "rolled_back"


def test_pause_goes_back_one_step_and_advance_goes_on(store):
    begun(store)
    rollout.advance(store, "support", who="ada", at=START, without=rollout.GATES)
    rollout.pause(store, "support", who="ada", at=START)
    assert store.routes()[0].state == "incumbent"
    again = rollout.advance(store, "support", who="ada", at=START, without=rollout.GATES)
    assert again.rollout.stage == 0 and store.routes()[0].canary_share == 0.1


def test_a_pause_in_mirroring_goes_back_to_mirroring_which_no_test_has_to_allow(store):
    begun(store)
    rollout.pause(store, "support", who="ada", at=START, why="the machine moves")
    assert store.routes()[0].state == "incumbent"
    again = rollout.advance(store, "support", who="ada", at=START, why="moved")
    assert again.rollout.state == "shadow" and store.routes()[0].state == "shadow"
    whys = [change.why for change in store.route_history("support")]
    assert whys[1:] == ["paused: the machine moves", "mirrored again: moved"]
    with pytest.raises(UsageError, match="not yet"):
        rollout.advance(store, "support", who="ada", at=START)


def test_a_rollout_beside_another_route_for_the_same_requests_is_refused(store):
    store.save_route(msgspec.structs.replace(ROUTE, name="another"), who="ada", at=START)
    with pytest.raises(FreeholdError, match="same requests as the route another"):
        begun(store)
    assert not routes.live_rollouts(store)


def test_rolling_back_does_not_mind_who_changed_the_route_meanwhile(store, monkeypatch):
    begun(store)
    real, calls = store.save_route, []

    def raced(route, **more):
        if not calls:
            calls.append(1)
            real(msgspec.structs.replace(route, state="shadow"), who="bob", at=START)
        return real(route, **more)

    monkeypatch.setattr(store, "save_route", raced)
    assert rollout.rollback(store, "support", who="ada", at=START).state == "rolled_back"
    assert store.routes()[0].state == "rolled_back"


@pytest.mark.parametrize("forward", [rollout.advance, rollout.promote])
def test_a_step_forward_that_a_rollback_overtakes_is_not_taken(store, monkeypatch, forward):
    """Taking in what is new may take seconds; who presses Roll back meanwhile, or the observer, has the last word."""
    begun(store)
    real = rollout.scoring.learn

    def slow(mine, running, **more):
        tests = real(mine, running, **more)
        rollout.rollback(mine, "support", who="bo", at=START, why="complaints")
        return tests

    monkeypatch.setattr(rollout.scoring, "learn", slow)
    with pytest.raises(RevisionError, match="changed meanwhile"):
        forward(store, "support", who="ada", at=START, without=rollout.GATES)
    assert store.routes()[0].state == routes.find_rollout(store, "support").state == "rolled_back"
    assert store.route_history("support")[-1].why == "complaints"


def test_a_route_and_its_rollout_move_together_or_not_at_all(store, monkeypatch):
    begun(store)

    def killed(connection, kept):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("freehold.store.routes.keep_within", killed)
        rollout.advance(store, "support", who="ada", at=START, without=rollout.GATES)
    assert store.routes()[0].state == routes.find_rollout(store, "support").state == "shadow"
    assert len(store.route_history("support")) == 1


def test_of_two_starts_at_once_one_is_refused(tmp_path):
    outcomes = []

    def go():
        with open_store(default_url(tmp_path)) as mine:
            try:
                outcomes.append(begun(mine).state)
            except FreeholdError as error:
                outcomes.append(type(error).__name__)

    with open_store(default_url(tmp_path)):
        threads = [threading.Thread(target=go) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert outcomes.count("shadow") == 1


def test_looking_takes_nothing_in_and_moves_nothing(store):
    begun(store)
    for number in range(200):
        store.add_traces(mirrored(number, wrong=True))
    before = store.routes(), store.route_history("support"), routes.find_rollout(store, "support")
    seen = rollout.status(store, "support", at=LATER)
    assert seen.look.pairs == 0 and seen.rollout.state == "shadow"
    assert (store.routes(), store.route_history("support"), routes.find_rollout(store, "support")) == before
    stepped = rollout.step(store, "support", at=LATER)
    assert stepped.rollout.state == "rolled_back" and stepped.look.pairs > 0
    assert rollout.status(store, "support", at=LATER) == stepped
