"""An alarm of a watched generation brings the one before back, and only then the incumbent."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.deferral_rules import one_tier

from freehold.types.config import WatchConfig
from freehold.types.endpoint import ServePlan
from freehold.types.rollout import RouteAlarm
from freehold.types.slot import Swap
from freehold.workflows.shift import swapping
from freehold.workflows.shift.following import ObserverConfig
from freehold.workflows.shift.observer import Observer
from freehold.workflows.watch import watch


@pytest.fixture
def swapped(store):
    at = datetime.now(UTC)
    made = ServePlan(engine="echo", model="small:2")
    slot = swapping.offer(store, "support", made, 2, at=at)
    rule = one_tier(model="small:2", identity=made.candidate_id())
    swapping.swap(store, "support", slot, rule, at=at, who="ada")
    return store


def route_of(store):
    return store.routes()[0]


@pytest.mark.parametrize("on_alarm", ["auto", "rollback", "shadow"])
def test_a_check_goes_back_one_generation_first(swapped, on_alarm):
    config = WatchConfig(on_alarm=on_alarm)
    moved = watch._move(swapped, route_of(swapped), config, at=datetime.now(UTC), why="it is worse")
    assert moved == ("generation_back", ())
    assert route_of(swapped).candidate.endpoint == "local" and route_of(swapped).state == "promoted"
    assert swapped.get(Swap, "support").why == "it is worse"
    again = watch._move(swapped, route_of(swapped), config, at=datetime.now(UTC), why="still")
    assert again[0] != "generation_back"


def test_where_nothing_is_to_move_nothing_does(swapped):
    config = WatchConfig(on_alarm="report")
    assert watch._move(swapped, route_of(swapped), config, at=datetime.now(UTC), why="x") == ("none", ())


def test_a_trouble_goes_back_one_generation_and_late_counts_move_nothing_more(swapped, tmp_path):
    observer = Observer(ObserverConfig(store_url=swapped.url, spool_folder=str(tmp_path)))
    now = datetime.now(UTC)
    alarm = RouteAlarm(
        route="support", trouble="slow", arm="candidate", gateway="g", since=now, requests=9, failed=9,
        why="it is late",
    )  # fmt: skip
    swapped.put(alarm)
    assert observer._move_back(swapped, alarm) == "generation_back"
    assert swapped.get(RouteAlarm, alarm.key).over_at is not None
    assert observer._move_back(swapped, alarm) == "none", "what came late is of the other generation"
    last = swapped.get(Swap, "support")
    assert not swapping.has_just_gone_back(swapped, "support", at=last.ended_at + timedelta(minutes=2))
    observer._lookout.answers["incumbent"] = True
    swapping.SETTLES, before = timedelta(0), swapping.SETTLES
    try:
        assert observer._move_back(swapped, alarm) == "rolled_back"
    finally:
        swapping.SETTLES = before


def test_a_generation_that_fell_goes_back_by_itself(swapped, tmp_path):
    from freehold.workflows.shift import slots

    slot = swapped.get(Swap, "support").after.target.endpoint
    follower = slots.StoredSlots(swapped.url, own=lambda: None)
    follower.failed(slot, ServePlan(engine="echo", model="small:2"), "it ended")
    Observer(ObserverConfig(store_url=swapped.url))._go_back_from_fallen(swapped)
    assert route_of(swapped).candidate.endpoint == "local"
