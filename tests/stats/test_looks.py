"""Looks that share items are one story, and its looks share alpha."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.stats.looks import LookPlan, count
from freehold.types.evaluated import ItemLook

ALPHA = 0.025


def look(id, items, *, golds=None, alpha=ALPHA, dataset="d", day=1):
    golds = [0] * len(items) if golds is None else golds
    return ItemLook(
        id=id,
        at=datetime(2026, 11, day, tzinfo=UTC),
        dataset_id=dataset,
        incumbent="a",
        candidate="b",
        alpha=alpha,
        items=b"".join(item.to_bytes(8, "little") for item in items),
        golds=b"".join(gold.to_bytes(8, "little") for gold in golds),
    )


def counted(earlier, this, planned=1, *, grows=False):
    return count(earlier, this, allowed=ALPHA, plan=LookPlan(planned, grows))


def test_the_first_look_may_promote_and_the_next_may_not():
    first = counted([], look("e1", range(480)))
    assert (first.number, first.items, first.shared, first.may_promote) == (1, 480, 0, True)
    assert first.first_at is None and first.first_evaluation is None
    second = counted([look("e1", range(480), day=7)], look("e2", range(470, 950), dataset="other"))
    assert (second.number, second.items, second.shared) == (2, 480, 10)
    assert (second.first_at.day, second.first_evaluation) == (7, "e1")
    assert second.alpha_spent == ALPHA and not second.may_promote


def test_looks_are_connected_through_others():
    chain = [
        look("e1", range(10)),
        look("e2", range(9, 20)),
        look("e3", range(100, 110)),
        look("e4", range(19, 30)),
    ]
    found = counted(chain, look("e5", range(29, 40)))
    assert (found.number, found.first_evaluation, found.shared) == (4, "e1", 1)
    assert counted(chain, look("e6", range(105, 120))).number == 2
    assert counted(chain, look("e7", range(500, 510))).number == 1


def test_the_same_evaluation_again_is_the_same_look():
    known = [look("e1", range(10)), look("e2", range(10)), look("e3", range(10))]
    assert [counted(known, one).number for one in known] == [1, 2, 3]
    assert counted(known, known[0]).may_promote


def test_planned_looks_share_alpha_and_a_plan_made_later_gives_nothing_back():
    for grows, parts in ((False, [ALPHA / 3] * 3), (True, [0.0001, 0.00594, 0.01895])):
        known = []
        for n in range(1, 5):
            this = look(f"e{n}", range(50))
            found = counted(known, this, planned=3, grows=grows)
            assert found.may_promote == (n <= 3)
            known.append(msgspec.structs.replace(this, alpha=found.alpha))
        assert [one.alpha for one in known[:3]] == pytest.approx(parts, abs=1e-5)
        assert sum(one.alpha for one in known[:3]) <= ALPHA * (1 + 1e-9)
    again = look("e2", range(50))
    assert not counted([look("e1", range(50))], again, planned=3).may_promote, "the first look took all of it"
    half = [look("e1", range(50), alpha=ALPHA / 2)]
    assert counted(half, again, planned=2).alpha == ALPHA / 2, "what is left"
    assert not counted(half, again, planned=1).may_promote


def test_alpha_is_spent_by_o_briens_and_flemings_boundary():
    """2 - 2 Phi(z / sqrt(t)), z = 2.2414 for one-sided 0.025 (Lan & DeMets 1983), by hand at t = 1/2."""
    plan = LookPlan(2, grows=True)
    assert [plan.alpha(0.025, n) for n in (1, 2, 3)] == pytest.approx([0.00153, 0.02347, 0.02347], abs=1e-5)
    assert plan.alpha(0.025) == plan.alpha(0.025, 2) and LookPlan().alpha(0.025) == 0.025


@given(parts=st.lists(st.floats(0.01, 1), min_size=1, max_size=6), planned=st.integers(1, 3))
def test_candidates_that_are_looked_at_together_are_one_look(parts, planned):
    known, total = [], sum(parts)
    for at, part in enumerate(parts):
        this = msgspec.structs.replace(look(f"e{at}", range(50)), together="s1", part=part / total)
        found = counted(known, this, planned)
        assert (found.number, found.shared, found.may_promote) == (1, 0, True)
        known.append(msgspec.structs.replace(this, alpha=found.alpha))
    assert sum(one.alpha for one in known) <= ALPHA / planned * (1 + 1e-6)
    other = msgspec.structs.replace(look("f", range(50)), together="s2", part=0.5)
    found = counted(known, other, planned)
    assert (found.number, found.may_promote) == (2, planned > 1)


def test_two_tasks_on_the_same_texts_are_two_stories():
    routes = look("e1", range(100), golds=[1] * 100)
    fields = look("e2", range(100), golds=range(1000, 1100))
    assert counted([routes], fields).number == 1
    corrected = look("e3", range(100), golds=[2] * 40 + [1] * 60)
    assert counted([routes], corrected).number == 2, "some golds were corrected"
    assert counted([look("e0", range(100))], routes).number == 2, "the golds came later"
    assert counted([routes, look("e4", range(100))], fields).number == 3, "joined by a look without golds"


def test_a_question_asked_twice_in_one_look_is_one_item():
    found = counted([look("e1", [3])], look("e2", [3, 3, 4]))
    assert (found.items, found.shared) == (2, 1)


SETS = st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=4), min_size=1, max_size=7)


@given(SETS)
def test_no_story_is_allowed_more_than_alpha(sets):
    """However looks overlap: of any that are connected, those that may promote were allowed alpha together."""
    known, allowed = [], []
    for number, items in enumerate(sets):
        this = look(f"e{number}", sorted(items))
        found = counted(known, this)
        known.append(this)
        if found.may_promote:
            allowed.append(items)
    for one in allowed:
        for other in allowed:
            assert one is other or not one & other


@pytest.mark.parametrize("planned", [1, 2, 7])
@given(count=st.integers(1, 12))
def test_as_many_as_planned_may_promote(planned, count):
    known = []
    for number in range(count):
        this = look(f"e{number}", [1, 2])
        found = counted(known, this, planned)
        assert found.may_promote == (number < planned)
        known.append(msgspec.structs.replace(this, alpha=found.alpha))


def test_an_alpha_raised_after_a_look_gives_no_further_one():
    """0.025 was said and spent. 0.05, shared by two, would be as much again for the second."""
    before = msgspec.structs.replace(look("e1", range(50)), allowed=ALPHA)
    second = count([before], look("e2", range(50)), allowed=2 * ALPHA, plan=LookPlan(2))
    assert not second.may_promote
    planned = msgspec.structs.replace(before, alpha=ALPHA / 2)
    assert count(
        [planned], look("e2", range(50), alpha=ALPHA / 2), allowed=2 * ALPHA, plan=LookPlan(2)
    ).may_promote
