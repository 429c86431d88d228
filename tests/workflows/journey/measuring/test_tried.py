"""Scores of the selection split, as selection and mixtures take them."""

import numpy as np

from freehold.stats.rules import DecisionRule
from freehold.stats.selection import SelectionRule
from freehold.types.evaluated import LatencySummary
from freehold.types.selected import SelectionScores
from freehold.workflows.journey.measuring import on_scale_of, tried


def scores(**changed):
    fields = {
        "of": 3, "differences": (0.0, None, -1.0), "groups": ("a", None, "a"), "against": "incumbent", "mean": 0.5,
        "incumbent_mean": 0.9, "latency": LatencySummary(n=3, concurrency=1), "seconds_per_request": None,
    }  # fmt: skip
    return SelectionScores(**fields | changed)


def test_an_item_without_a_score_keeps_its_place():
    found = tried("small", scores(), usd=0.2, stopped="dropped")
    np.testing.assert_array_equal(found.differences, [0.0, np.nan, -1.0])
    assert found.codes.tolist() == [0, 1, 0]
    assert (found.name, found.cost, found.stopped) == ("small", 0.2, "dropped")
    assert tried("small", scores(groups=(None, None, None))).codes is None


def test_a_rule_takes_the_scale_of_the_scores_and_nothing_else():
    rule = SelectionRule(decision=DecisionRule(margin=0.05, alpha=0.01), held_out=300, least_chance=0.7)
    wide = on_scale_of(scores(lo=-1.0), rule)
    assert (wide.decision.lo, wide.decision.hi, wide.decision.margin, wide.decision.alpha) == (
        -1.0,
        1.0,
        0.05,
        0.01,
    )
    assert (wide.held_out, wide.least_chance) == (300, 0.7)
