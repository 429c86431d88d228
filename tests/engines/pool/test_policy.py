"""Who leaves memory for whom."""

from hypothesis import given
from hypothesis import strategies as st

from freehold.engines.pool.policy import Resident, idle_models, plan_eviction

STAY = 5.0


def resident(name, bytes, last_used, *, busy=0, pinned=False, loaded_at=0.0):
    return Resident(name, bytes, last_used, loaded_at, busy, pinned)


def room(residents, needed, budget=100, now=100.0):
    return plan_eviction(residents, needed, budget, now=now, stay_seconds=STAY)


def test_what_fits_pushes_nobody_out():
    assert room([resident("a", 40, 1)], 60) == (True, True, ())


def test_the_least_recently_used_leaves():
    held = [resident("new", 40, 9), resident("old", 40, 1)]
    assert room(held, 40).evict == ("old",)


def test_idle_ones_leave_before_busy_ones():
    held = [resident("idle", 40, 9), resident("busy", 40, 1, busy=2)]
    assert room(held, 40).evict == ("idle",)


def test_pinned_ones_stay():
    held = [resident("pinned", 60, 0, pinned=True), resident("other", 40, 9)]
    assert room(held, 40).evict == ("other",)
    assert room(held, 50) == (False, False, ())


def test_a_busy_one_that_just_came_is_waited_for():
    held = [resident("fresh", 80, 99, busy=1, loaded_at=98.0)]
    found = room(held, 50)
    assert found.possible and not found.fits and found.evict == ()
    assert room(held, 50, now=98.0 + STAY).evict == ("fresh",)


def test_no_more_leave_than_needed():
    held = [resident("small", 10, 1), resident("large", 80, 2)]
    assert room(held, 80).evict == ("large",)


def test_what_is_larger_than_the_machine_is_told():
    assert not room([], 101).possible


def test_idle_ones_go_after_their_time():
    held = [
        resident("a", 1, 10),
        resident("b", 1, 95),
        resident("c", 1, 0, busy=1),
        resident("d", 1, 0, pinned=True),
    ]
    assert idle_models(held, now=100, idle_seconds=60) == ("a",)
    assert idle_models(held, now=100, idle_seconds=None) == ()


residents = st.lists(
    st.builds(
        Resident,
        name=st.uuids().map(str),
        bytes=st.integers(1, 50),
        last_used=st.floats(0, 100),
        loaded_at=st.floats(0, 100),
        busy=st.integers(0, 2),
        pinned=st.booleans(),
    ),
    max_size=6,
)


@given(residents, st.integers(1, 120), st.integers(60, 200))
def test_what_is_asked_to_leave_is_enough_and_allowed(held, needed, budget):
    found = plan_eviction(held, needed, budget, now=100.0, stay_seconds=STAY)
    by_name = {one.name: one for one in held}
    free = budget - sum(one.bytes for one in held)
    gone = [by_name[name] for name in found.evict]
    assert not any(one.pinned for one in gone)
    assert not any(one.busy and 100.0 - one.loaded_at < STAY for one in gone)
    assert found.fits == (needed <= free)
    if gone:
        assert free + sum(one.bytes for one in gone) >= needed
        assert all(free + sum(o.bytes for o in gone) - one.bytes < needed for one in gone), "none too many"
    if not found.possible:
        assert needed > budget - sum(one.bytes for one in held if one.pinned)
