"""Choosing among candidates: steps, sizes, the bar that suffices, the choice."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.errors import UsageError
from freehold.stats import exact
from freehold.stats.binary import tango_ci, tango_statistic
from freehold.stats.compare import outcome_of
from freehold.stats.exact import z_quantile
from freehold.stats.rules import DecisionRule
from freehold.stats.selection import (
    LEAST_PART,
    HalvingStep,
    SelectionRule,
    TriedCandidate,
    assess,
    choose,
    halving_plan,
    hopeless,
    look_parts,
    selection_size,
    sufficing_share,
    surviving,
)

RULE = SelectionRule(decision=DecisionRule(margin=0.05), held_out=400)


def counted(name, wins, losses, n, **more):
    d = np.zeros(n)
    d[:wins], d[wins : wins + losses] = 1, -1
    return TriedCandidate(name=name, differences=d, **more)


def test_candidates_share_the_look_by_their_chance_cubed():
    tried = [
        counted("bad", 5, 30, 200, cost=0.1),
        counted("cheap", 5, 1, 200, cost=1.0),
        counted("best", 20, 0, 200, cost=2.0),
    ]
    found = choose(tried, RULE)
    assert (found.chosen, found.passes) == ("best", True)
    assert [row.name for row in found.rows] == ["bad", "cheap", "best"]
    assert [row.passes for row in found.rows] == [False, True, True]
    bad, cheap, best = found.rows
    assert bad.part == 0 and cheap.part + best.part == pytest.approx(1)
    assert cheap.part / best.part == pytest.approx((cheap.chance / best.chance) ** 3)
    assert "2 of 3 candidates share the test" in found.reason


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_parts_are_one_look_and_none_is_small(chances):
    parts = look_parts(chances).tolist()
    assert sum(parts) == pytest.approx(1) or not any(parts)
    assert all(part == 0 or part >= LEAST_PART * max(parts) for part in parts)
    assert not any(parts) or parts[chances.index(max(chances))] == max(parts)


def test_where_none_passes_the_best_goes_on_and_it_is_said():
    found = choose([counted("a", 5, 40, 200, cost=1.0), counted("b", 5, 25, 200, cost=2.0)], RULE)
    assert (found.chosen, found.passes) == ("b", False)
    assert "no candidate reached" in found.reason


def test_ties_go_to_cost_then_name_and_an_unknown_cost_comes_last():
    alike = [counted(name, 5, 1, 200, cost=cost) for name, cost in (("z", 1.0), ("b", 1.0), ("a", None))]
    found = choose(alike, RULE)
    assert [row.name for row in found.rows] == ["b", "z", "a"]
    assert found.chosen == "b"
    assert choose(alike[2:], RULE).chosen == "a"


def test_the_order_of_candidates_and_items_changes_nothing():
    rng = np.random.default_rng(3)
    tried = [counted(str(q), 5, q, 200, cost=float(10 - q)) for q in range(10)]
    shuffled = [
        TriedCandidate(name=one.name, cost=one.cost, differences=rng.permutation(one.differences))
        for one in rng.permutation(np.array(tried, dtype=object))
    ]
    assert choose(tried, RULE) == choose(shuffled, RULE)


def test_a_stopped_candidate_is_chosen_only_where_all_were():
    good = counted("good", 5, 0, 50, cost=0.1, stopped="stopped early")
    bad = counted("bad", 5, 40, 200, cost=1.0)
    assert choose([good, bad], RULE).chosen == "bad"
    assert choose([good], RULE).chosen == "good"
    assert not choose([good], RULE).passes


@pytest.mark.parametrize("wins", [0, 3, 20])
@pytest.mark.parametrize("held_out", [100, 400, 3000])
def test_an_even_chance_is_where_items_like_these_would_just_be_promoted(wins, held_out):
    rule = SelectionRule(decision=DecisionRule(margin=0.05), held_out=held_out, least_chance=0.5)
    for losses in range(40):
        row = assess(counted("a", wins, losses, 200), rule)
        scaled = held_out / 200
        statistic = tango_statistic(wins * scaled, losses * scaled, held_out, -0.05)
        assert row.passes == (statistic >= z_quantile(0.025))


def test_the_chance_is_that_of_the_exact_rule_where_selection_is_large():
    win, loss = 0.03, 0.04
    rule = SelectionRule(decision=DecisionRule(margin=0.05), held_out=400)
    row = assess(counted("a", 3000, 4000, 100_000), rule)
    assert row.chance == pytest.approx(exact.promote_probability(400, win, loss, 0.05, 0.025), abs=0.04)


def test_clusters_widen_what_is_needed_and_single_ones_do_not():
    d = np.repeat([1.0, -1.0] + [0.0] * 38, 10)
    alone = assess(TriedCandidate(name="a", differences=d), RULE)
    clustered = assess(TriedCandidate(name="a", differences=d, codes=np.repeat(np.arange(40), 10)), RULE)
    single = assess(TriedCandidate(name="a", differences=d, codes=np.arange(400)), RULE)
    assert alone.passes
    assert not clustered.passes
    assert clustered.needed > alone.needed + 0.02
    assert single == alone


def test_scores_on_another_scale_are_the_same_choice():
    one = assess(counted("a", 5, 8, 200), RULE)
    scaled = SelectionRule(decision=DecisionRule(margin=5, lo=0, hi=100), held_out=400)
    found = assess(TriedCandidate(name="a", differences=counted("a", 5, 8, 200).differences * 100), scaled)
    assert found.chance == pytest.approx(one.chance)
    assert found.needed == pytest.approx(100 * one.needed)


def test_continuous_scores_are_judged_by_their_own_spread():
    noise = np.random.default_rng(1).normal(0, 1, 200)
    narrow = assess(TriedCandidate(name="a", differences=np.clip(noise * 0.02, -1, 1)), RULE)
    wide = assess(TriedCandidate(name="a", differences=np.clip(noise * 0.8, -1, 1)), RULE)
    assert -0.05 < narrow.needed < -0.04
    assert wide.needed > 0
    assert narrow.passes
    assert not wide.passes


def test_partial_credit_cannot_pass_where_losses_too_rare_to_be_seen_will_hold_it():
    """The verdict on 60 items holds whatever their spread, and the forecast was certain of a promote."""
    d = np.random.default_rng(1).normal(0, 0.02, 200)
    few, enough = (
        assess(TriedCandidate(name="a", differences=d), SelectionRule(decision=RULE.decision, held_out=n))
        for n in (60, 90)
    )
    assert not few.passes and few.chance < 0.01 and few.needed > 0
    assert enough.passes
    outcomes = [outcome_of(np.full(n, 0.5), 0.5 + d[:n], RULE.decision) for n in (60, 90)]
    assert outcomes == ["hold", "promote"]


def test_unscored_items_are_left_out_and_a_candidate_without_scores_never_passes():
    d = counted("a", 5, 5, 200).differences
    holed = np.concatenate([d, np.full(50, np.nan)])
    assert assess(TriedCandidate(name="a", differences=holed), RULE).items == 200
    none = assess(TriedCandidate(name="a", differences=np.full(20, np.nan)), RULE)
    assert (none.items, none.passes, none.chance) == (0, False, None)


def test_too_few_held_out_items_are_said():
    row = assess(counted("a", 5, 0, 200), SelectionRule(decision=DecisionRule(margin=0.05), held_out=29))
    assert not row.passes
    assert "fewer than 30 held-out items" in row.reason


def test_equal_candidates_on_few_items_are_not_certain():
    row = assess(counted("a", 0, 0, 30), RULE)
    assert row.chance < 0.95


def test_bad_input_is_refused():
    with pytest.raises(UsageError, match="no candidate"):
        choose([], RULE)
    with pytest.raises(UsageError, match="called 'a'"):
        choose([counted("a", 0, 0, 30), counted("a", 1, 0, 30)], RULE)
    with pytest.raises(UsageError, match="least chance"):
        SelectionRule(decision=DecisionRule(margin=0.05), held_out=400, least_chance=1)
    with pytest.raises(UsageError, match="held-out"):
        SelectionRule(decision=DecisionRule(margin=0.05), held_out=-1)


DECISION = DecisionRule(margin=0.05)
RULE_of_halving = SelectionRule(decision=DECISION, held_out=400)


def counted_of_halving(name, wins, losses, n, cost=None):
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
        assert hopeless(counted_of_halving("", 2, losses, 100).differences, DECISION, error=0.01) == (
            upper < -0.05
        )
    assert not hopeless(np.full(20, np.nan), DECISION)


def test_one_cluster_shows_nothing_and_many_do():
    lost = np.full(40, -1.0)
    assert hopeless(lost, DECISION)
    assert not hopeless(lost, DECISION, codes=np.zeros(40, dtype=np.int64))


def test_hopeless_and_outrun_candidates_stop_with_their_reasons():
    tried = [
        counted_of_halving("hopeless", 0, 60, 100, cost=0.1),
        counted_of_halving("cheap", 2, 2, 100, cost=1.0),
        counted_of_halving("best", 10, 0, 100, cost=2.0),
        counted_of_halving("middling", 2, 6, 100, cost=3.0),
    ]
    found = surviving(tried, RULE_of_halving, HalvingStep(100, 2))
    assert found["cheap"] is None
    assert found["best"] is None
    assert "worse by more than the margin" in found["hopeless"]
    assert "2 others did better" in found["middling"]


def test_one_always_goes_on():
    tried = [counted_of_halving("a", 0, 60, 100), counted_of_halving("b", 0, 50, 100)]
    found = surviving(tried, RULE_of_halving, HalvingStep(100, 2))
    assert found["b"] is None
    assert found["a"] is not None


def rule(held_out=700, margin=0.02):
    return SelectionRule(decision=DecisionRule(margin=margin, alpha=0.025), held_out=held_out)


@pytest.mark.parametrize(("incumbent", "items"), [(0.94, 400), (1.0, 300), (0.6, 200)])
def test_what_has_that_share_right_passes_whichever_items_they_are(incumbent, items):
    share = sufficing_share(rule(margin=0.05), incumbent=incumbent, items=items)
    random = np.random.default_rng(0)
    right = round(share * items)
    theirs = np.arange(items) < round(incumbent * items)
    apart = np.arange(items) >= items - right
    for own in [apart, *(random.permutation(apart) for _ in range(20))]:
        differences = own.astype(float) - theirs
        assert assess(TriedCandidate(name="c", differences=differences), rule(margin=0.05)).passes
    one_less = (np.arange(items) >= items - right + 1).astype(float) - theirs
    assert not assess(TriedCandidate(name="c", differences=one_less), rule(margin=0.05)).passes


def test_where_nothing_can_pass_there_is_no_such_share():
    assert sufficing_share(rule(held_out=20), incumbent=0.9, items=300) is None
    assert sufficing_share(rule(), incumbent=0.9, items=0) is None
    assert sufficing_share(rule(held_out=100, margin=0.001), incumbent=1.0, items=100) is None


def test_enough_to_tell_good_from_worse_by_the_margin_but_a_fifth_at_most():
    wanted = (2 * z_quantile(0.1)) ** 2 * 0.05 / 0.02**2
    assert selection_size(100_000, 0.02) == pytest.approx(wanted, abs=1)
    assert selection_size(100_000, 0.02, design_effect=2) == pytest.approx(2 * wanted, abs=2)
    assert selection_size(1000, 0.02) == 200


def test_few_items():
    assert selection_size(100, 0.02) == 30
    assert selection_size(40, 0.02) == 20
    assert selection_size(0, 0.02) == 0
    assert selection_size(100_000, 0.5) == 30


@pytest.mark.parametrize(
    ("items", "more"), [(-1, {}), (10, {"margin": 0}), (10, {"discordance": 2}), (10, {"design_effect": 0.5})]
)
def test_bad_input_is_refused_of_sizing(items, more):
    with pytest.raises(UsageError):
        selection_size(items, **({"margin": 0.02} | more))
