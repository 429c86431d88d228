import itertools

import numpy as np
import pytest

from freehold.errors import UsageError
from freehold.stats.binary import tango_ci
from freehold.stats.rules import DecisionRule
from freehold.stats.selection import (
    HalvingStep,
    SelectionRule,
    TriedCandidate,
    halving_plan,
    hopeless,
    surviving,
)

DECISION = DecisionRule(margin=0.05)
RULE = SelectionRule(decision=DECISION, held_out=400)


def counted(name, wins, losses, n, cost=None):
    d = np.zeros(n)
    d[:wins], d[wins : wins + losses] = 1, -1
    return TriedCandidate(name=name, differences=d, cost=cost)


def test_plans():
    assert halving_plan(800, 1) == (HalvingStep(800, 1),)
    assert halving_plan(800, 3) == (HalvingStep(200, 3), HalvingStep(800, 1))
    assert halving_plan(800, 6) == (HalvingStep(200, 3), HalvingStep(400, 2), HalvingStep(800, 1))
    assert halving_plan(50, 6) == (HalvingStep(50, 1),)
    assert halving_plan(100, 2) == (HalvingStep(100, 1),)
    with pytest.raises(UsageError):
        halving_plan(0, 3)


@pytest.mark.parametrize("candidates", range(1, 40))
@pytest.mark.parametrize("items", [1, 30, 61, 119, 500, 3000])
def test_steps_grow_to_all_items_and_let_fewer_go_on(items, candidates):
    plan = halving_plan(items, candidates)
    assert plan[-1] == (items, 1)
    assert all(a.items < b.items and a.keep >= b.keep for a, b in itertools.pairwise(plan))
    assert all(step.items >= 30 for step in plan[:-1])
    asked = sum(
        (step.items - before) * min(candidates, going)
        for step, before, going in zip(
            plan, [0, *(s.items for s in plan)], [candidates, *(s.keep for s in plan)], strict=False
        )
    )
    assert asked <= candidates * items


def test_hopeless_is_shown_worse_by_more_than_the_margin():
    for losses in range(60):
        upper = tango_ci(2, losses, 100, 0.01).upper
        assert hopeless(counted("", 2, losses, 100).differences, DECISION, error=0.01) == (upper < -0.05)
    assert not hopeless(np.full(20, np.nan), DECISION)


def test_one_cluster_shows_nothing_and_many_do():
    lost = np.full(40, -1.0)
    assert hopeless(lost, DECISION)
    assert not hopeless(lost, DECISION, codes=np.zeros(40, dtype=np.int64))


def test_hopeless_and_outrun_candidates_stop_with_their_reasons():
    tried = [
        counted("hopeless", 0, 60, 100, cost=0.1),
        counted("cheap", 2, 2, 100, cost=1.0),
        counted("best", 10, 0, 100, cost=2.0),
        counted("middling", 2, 6, 100, cost=3.0),
    ]
    found = surviving(tried, RULE, HalvingStep(100, 2))
    assert found["cheap"] is None
    assert found["best"] is None
    assert "worse by more than the margin" in found["hopeless"]
    assert "2 others did better" in found["middling"]


def test_one_always_goes_on():
    tried = [counted("a", 0, 60, 100), counted("b", 0, 50, 100)]
    found = surviving(tried, RULE, HalvingStep(100, 2))
    assert found["b"] is None
    assert found["a"] is not None
