"""What paraphrases brought, from scores of both candidates."""

import pytest

from freehold.stats.rules import DecisionRule
from freehold.stats.selection import SelectionRule
from freehold.types.evaluated import LatencySummary
from freehold.types.selected import SelectionScores
from freehold.workflows.journey.selection.gains import gain

RULE = SelectionRule(decision=DecisionRule(margin=0.02, alpha=0.025), held_out=400)


def scores(differences, groups=None):
    return SelectionScores(
        of=200, differences=tuple(differences), groups=groups or (None,) * len(differences), against="incumbent",
        mean=None, incumbent_mean=None, latency=LatencySummary(n=1, concurrency=1), seconds_per_request=None,
    )  # fmt: skip


def test_the_difference_is_of_pairs_and_has_an_interval():
    without = [-1.0 if n % 4 == 0 else 0.0 for n in range(100)]
    with_them = [-1.0 if n % 10 == 0 else 0.0 for n in range(100)]
    found = gain(scores(with_them), scores(without), "plain", RULE)
    assert (found.n, found.without) == (100, "plain")
    assert found.difference == pytest.approx(0.15)
    assert found.ci_low < 0.15 < found.ci_high
    assert found.text.startswith("paraphrases brought +15.0 points on 100 selection samples [+")


def test_one_that_stopped_early_is_compared_on_what_both_were_asked():
    found = gain(scores([0.0] * 100), scores([-1.0, None] * 13), "plain", RULE)
    assert (found.n, found.difference) == (13, 1.0)


def test_nothing_gained_says_that_it_is_not_shown():
    found = gain(scores([0.0, -1.0] * 40), scores([-1.0, 0.0] * 40), "plain", RULE)
    assert found.difference == 0
    assert found.text.endswith("whether they help is not shown")


def test_without_pairs_there_is_none():
    assert gain(scores([None] * 5), scores([0.0] * 5), "plain", RULE) is None
