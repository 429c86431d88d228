import numpy as np
import pytest

from freehold.stats.compare import outcome_of
from freehold.stats.looks import LookPlan
from freehold.stats.rules import DecisionRule
from freehold.workflows.prove.reach import Items, reach_findings


def find(size, margin, *, looks=1, **items):
    (found,) = reach_findings(Items(size, **items), margin=margin, alpha=0.025, looks=LookPlan(looks))
    return found


def test_too_few_items_for_the_margin_say_what_they_can_prove_and_what_is_needed():
    found = find(60, 0.03)
    assert found.outcome == "fail"
    assert found.text == (
        "with n = 60 you can prove 6.7 points at best, and your margin is 3 points: a candidate that is as good as the "
        "incumbent cannot be promoted"
    )
    assert found.fix.startswith(
        "hold out 126 items at least, about 498 for a good chance; or accept a margin of 0.067"
    )


@pytest.mark.parametrize(("size", "margin"), [(60, 0.061), (60, 0.06), (126, 0.03), (125, 0.03), (29, 0.4)])
def test_what_it_says_is_what_the_verdict_does(size, margin):
    both_right = np.ones(size)
    promoted = outcome_of(both_right, both_right, DecisionRule(margin=margin)) == "promote"
    assert (find(size, margin).outcome != "fail") == promoted


def test_where_the_incumbent_errs_a_better_candidate_may_still_be_promoted():
    poor = [0.0] * 30 + [1.0] * 30
    found = find(60, 0.03, incumbent=poor)
    assert found.outcome == "warn" and "only a candidate that is clearly better" in found.text
    found = find(60, 0.03, incumbent=[1.0] * 60)
    assert found.outcome == "fail"
    assert "promote is impossible, even for a candidate that is right on every item" in found.text


def test_planned_looks_share_alpha_and_need_more_items():
    assert find(126, 0.03).outcome == "warn"
    found = find(126, 0.03, looks=3)
    assert found.outcome == "fail" and "with alpha shared by 3 looks" in found.text


def test_many_items_are_fine_and_the_chance_is_said():
    found = find(1_000, 0.03)
    assert found.outcome == "ok"
    assert "promoted with a probability of 9" in found.text


def test_groups_count_where_items_belong_together():
    groups = np.arange(200) // 10
    assert find(200, 0.03).outcome == "warn"
    found = find(200, 0.03, groups=groups)
    assert found.outcome == "fail" and "n = 200 in 20 groups" in found.text
    assert found.fix.startswith(
        "there are items enough and too few groups: hold out 126 groups, each a conversation"
    )
    few = find(60, 0.03, groups=np.arange(60) // 2, records=300)
    assert few.fix.startswith("hold out 126 groups") and "about 1,260 records" in few.fix


def test_scores_between_0_and_1_are_held_to_the_least_number_and_warned_of_rare_losses():
    assert not list(reach_findings(Items(122, binary=False), margin=0.03, alpha=0.025))
    assert not list(reach_findings(Items(60, binary=False, judged=True), margin=0.03, alpha=0.025))
    found = find(121, 0.03, binary=False)
    assert found.outcome == "warn" and "only a candidate that is clearly better" in found.text
    assert "hold out 122 items at least" in found.fix
    assert find(20, 0.03, binary=False).outcome == "fail"
    assert not list(reach_findings(Items(0), margin=0.03, alpha=0.025))


def test_both_ways_out_are_named_with_the_records_and_the_share_they_take():
    found = find(100, 0.02, records=500)
    assert found.outcome == "fail"
    assert found.fix == (
        "hold out 191 items at least (about 955 records at the present share or [data] held_out = 0.4), about 1,048 "
        "for a good chance; or accept a margin of 0.038 ([task] margin)"
    )
    assert "held_out =" not in find(60, 0.02, records=300).fix, "more than half of the records"
    assert "records" not in find(60, 0.02, records=60).fix, "files of their own"
