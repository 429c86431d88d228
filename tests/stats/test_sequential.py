import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.cross_checks import betting_cs

from freehold.stats import sequential
from freehold.stats.sequential import AipwCanary, Exposure, MeanBet, PairedGrid

D = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), max_size=60)
UNITS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.01, 0.1, 0.5])),
    max_size=40,
).map(lambda rows: [Exposure(*row) for row in rows])


def restart(state):
    return msgspec.json.decode(msgspec.json.encode(state), type=type(state))


@settings(max_examples=50, deadline=None)
@given(D, D, st.sampled_from(["rollback", "promote"]))
def test_pairs_in_one_call_one_by_one_or_over_a_restart(first, second, side):
    start = PairedGrid(margin=0.02, side=side)
    at_once = start.update(first + second)
    in_parts = restart(start.update(first)).update(second)
    one_by_one = start
    for value in first + second:
        one_by_one = one_by_one.update([value])
    for state in (in_parts, one_by_one):
        assert state.log_e == pytest.approx(at_once.log_e, abs=1e-9)
        assert state.max_log_e == pytest.approx(at_once.max_log_e, abs=1e-9)
        assert state.t == at_once.t


@settings(max_examples=50, deadline=None)
@given(UNITS, UNITS, st.sampled_from(["rollback", "promote"]))
def test_arms_in_one_call_or_over_a_restart(first, second, side):
    start = AipwCanary(margin=0.02, side=side)
    at_once, in_parts = start.update(first + second), restart(start.update(first)).update(second)
    assert in_parts.log_e == pytest.approx(at_once.log_e, abs=1e-9)
    assert (in_parts.t, in_parts.candidate_n) == (at_once.t, at_once.candidate_n)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=50), st.lists(st.floats(0, 1), max_size=50), st.booleans())
def test_mean_bets_in_one_call_or_over_a_restart(first, second, above):
    start = MeanBet(limit=0.05, above=above)
    at_once, in_parts = start.update(first + second), restart(start.update(first)).update(second)
    assert in_parts.log_e == pytest.approx(at_once.log_e, abs=1e-9)


@given(st.integers(1, 5000))
@settings(max_examples=20, deadline=None)
def test_agreement_alone_never_rolls_back(n):
    state = PairedGrid(margin=0.02, side="rollback").update([0.0] * n)
    assert state.log_e < 0
    assert not state.crossed(0.5)


def test_the_expectation_of_one_step_is_at_most_one_at_the_boundary():
    for side in ("rollback", "promote"):
        for loss in (0.02, 0.1, 0.5):
            win = loss - 0.02
            start = PairedGrid(margin=0.02, side=side)
            mean = sum(
                p * math.exp(start.update([d]).log_e)
                for d, p in ((-1.0, loss), (1.0, win), (0.0, 1 - loss - win))
            )
            assert mean == pytest.approx(1, abs=1e-12)
            canary = AipwCanary(margin=0.02, side=side)
            mean = 0.0
            for chosen, rate in ((True, 0.9), (False, 0.92)):
                for score, p in ((1.0, rate), (0.0, 1 - rate)):
                    share = 0.1 if chosen else 0.9
                    mean += share * p * math.exp(canary.update([Exposure(chosen, score, 0.1)]).log_e)
            assert mean == pytest.approx(1, abs=1e-12)


def test_a_broken_limit_is_noticed_and_a_kept_one_is_not():
    rng = np.random.default_rng(4)
    bad, good = (rng.random(3000) < 0.03).astype(float), (rng.random(3000) < 0.005).astype(float)
    assert MeanBet(limit=0.01).update(bad).crossed(0.01)
    assert not MeanBet(limit=0.01).update(good).crossed(0.01)
    assert MeanBet(limit=0.01, above=False).update(good).crossed(0.05)


def test_confidence_sequences_cover_and_tighten():
    rng = np.random.default_rng(9)
    missed = 0
    for _ in range(40):
        x = (rng.random(300) < 0.8).astype(float)
        lower, upper = betting_cs(x, alpha=0.05, grid=200)
        missed += bool(((lower > 0.8) | (upper < 0.8)).any())
        assert upper[-1] - lower[-1] < 0.25
    assert missed <= 6
    narrow = betting_cs(x, alpha=0.05, grid=200, running_intersection=True)
    assert (np.diff(narrow[0]) >= 0).all()
    shown = sequential.empirical_bernstein_lower_cs(x, alpha=0.05)
    assert shown[-1] == pytest.approx(lower[-1], abs=0.05)  # two routes to the same limit


def test_units_give_one_value_each_in_order_of_appearance():
    values = sequential.one_value_per_unit(["u", "v", "u", "u"], [1.0, 0.5, 0.0, 0.0], first=2)
    assert values == [("u", 0.5), ("v", 0.5)]


def test_helpers_of_a_rollout():
    assert sequential.new_unit_probability(0.1, 0.5) == pytest.approx(0.4 / 0.9)
    with pytest.raises(ValueError, match="expected"):
        sequential.new_unit_probability(0.5, 0.1)
    assert sequential.breaker_failures(100_000, 0.01) == 5
    assert sequential.breaker_failures(100_000, 0.2) == 12
    assert sum(sequential.ALPHA_SPLIT.values()) == pytest.approx(0.05)


def test_impossible_values_are_refused():
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        PairedGrid(margin=0.02, side="rollback").update([2.0])
    with pytest.raises(ValueError, match="probability"):
        AipwCanary(margin=0.02).update([Exposure(True, 1.0, 1.0)])
