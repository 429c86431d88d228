import math

import numpy as np
import pytest

from freehold.stats.compare import outcome_of
from freehold.stats.power import items_needed
from freehold.stats.rules import DecisionRule
from freehold.workflows.journey.drafts.margin import WANTED, drafted_margin
from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan
from freehold.workflows.prove.preflight.reach import Items, reach_findings


def promoted(items, margin):
    right = np.ones(items)
    return outcome_of(right, right, DecisionRule(margin=margin)) == "promote"


@pytest.mark.parametrize("records", [200, 300, 480, 700, 1000, 1100, 5000])
def test_what_is_written_can_be_promoted_and_the_next_smaller_cannot(records):
    found = drafted_margin(records, share=0.2)
    items = int(records * 0.2 * 0.95)
    assert promoted(items, found.margin)
    smaller = {0.03: 0.02, 0.05: 0.03, 0.08: 0.05, 0.1: 0.08, 0.15: 0.1}.get(found.margin)
    assert smaller is None or not promoted(items, smaller)


def test_a_long_log_begins_with_two_points_and_says_no_more():
    assert drafted_margin(1100, share=0.2).lines == ["margin = 0.02   # largest drop you accept: two points"]


def test_a_short_log_is_told_what_two_points_take_and_how():
    before, line = drafted_margin(500, share=0.2).lines
    assert (
        line
        == "margin = 0.05   # largest drop you accept: 5 points, the least that 95 held-out records can prove"
    )
    assert before.startswith("# Two points (0.02) take about 1,006 records, 5,516 ")
    assert before.endswith("import more, or hold out more ([data] held_out).")


def test_what_two_points_take_is_enough():
    assert drafted_margin(1006, share=0.2).margin == 0.02


def test_a_log_that_proves_nothing_is_told_so():
    first, second, line = drafted_margin(100, share=0.2).lines
    assert "about 19 are held out" in first
    assert "158 records at least" in first
    assert second.startswith("# Two points")
    assert line == "margin = 0.02   # largest drop you accept: two points"


@pytest.mark.parametrize("margin", [0.02, 0.05])
def test_one_margin_has_one_number_of_items(margin):
    """In the draft of a project, in the check before a journey and in a plan."""
    needed = items_needed(margin)
    assert (
        plan(PowerTarget(margin), PowerAssumptions(discordance=0.05, true_difference=0.0)).rows[0].n == needed
    )
    (found,) = reach_findings(Items(40), margin=margin, alpha=0.025)
    assert found.fix is not None and f"about {needed:,} for a good chance" in found.fix
    if margin == WANTED:
        (before, _) = drafted_margin(500, share=0.2).lines
        assert f"{math.ceil(needed / 0.2 / 0.95):,} for a good chance" in before
