"""The drawn confidence sequence is the display bound from both sides, thinned out, its last point kept."""

import random
from datetime import timedelta

import pytest
from tests.workflows.shift.shifting import LATER, START, begun, mirrored

from freehold.store import open_store
from freehold.types.rollout import Rollout
from freehold.workflows.shift.rollout import rollout
from freehold.workflows.shift.rollout.scoring import path_of, quality_path

TIMES = [START + timedelta(seconds=n) for n in range(1000)]


def test_it_narrows_around_the_mean_and_is_mirrored_by_turned_differences():
    draw = random.Random(1)
    values = [draw.choice((-1.0, 0.0, 0.0, 0.0, 1.0)) for _ in TIMES]
    path = path_of(TIMES, values, most=50)
    assert len(path) == 50 and path[-1].users == 1000 and path[-1].at == TIMES[-1]
    assert all(one.low <= one.mean <= one.high for one in path[5:])
    assert path[-1].high - path[-1].low < path[10].high - path[10].low
    turned = path_of(TIMES, [-value for value in values], most=50)
    assert turned[-1].low == pytest.approx(-path[-1].high)
    assert path_of([], []) == () and len(path_of(TIMES[:1], [0.5])) == 1


def test_it_holds_the_truth_at_all_times_in_nearly_all_runs():
    draw, missed = random.Random(2), 0
    for _ in range(200):
        values = [draw.choice((-1.0, 0.0, 0.0, 1.0, 1.0)) for _ in range(400)]
        path = path_of(TIMES[:400], values, most=400)
        missed += any(not one.low <= 0.2 <= one.high for one in path)
    assert missed <= 10, "one in twenty"


def test_a_rollout_has_one_from_its_mirrored_users(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.sqlite") as store:
        begun(store)
        for number in range(8):
            store.add_traces(mirrored(number, wrong=number == 7))
        rollout.step(store, "support", at=LATER)
        (found,) = store.records(Rollout)
        path = quality_path(store, found)
    assert [one.users for one in path] == list(range(1, 9)) and path[-1].mean == -1 / 8
