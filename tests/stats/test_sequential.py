import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.stats import sequential
from freehold.stats.sequential import EQUAL, TOWARDS_HALF, MeanLimit, MeanTest, ShareTest
from freehold.workflows.shift.rollout.ledger import breaker_failures

LIMITS = [
    MeanLimit(-0.02, -1.0, 1.0),
    MeanLimit(-0.02, -1.0, 1.0, least=True),
    MeanLimit(0.02),
    MeanLimit(0.02, least=True),
]


def restart(state):
    return msgspec.json.decode(msgspec.json.encode(state), type=type(state))


@settings(max_examples=100, deadline=None)
@given(st.data(), st.sampled_from(LIMITS), st.sampled_from([EQUAL, TOWARDS_HALF]))
def test_in_one_call_one_by_one_or_over_a_restart(data, limit, wealths):
    values = st.lists(st.floats(limit.low, limit.high), max_size=60)
    first, second = data.draw(values), data.draw(values)
    start = MeanTest(limit=limit, log_wealths=wealths)
    at_once, in_parts = start.update(first + second), restart(start.update(first)).update(second)
    one_by_one = start
    for value in first + second:
        one_by_one = one_by_one.update([value])
    for state in (in_parts, one_by_one):
        assert state.log_e == pytest.approx(at_once.log_e, abs=1e-9)
        assert state.max_log_e == pytest.approx(at_once.max_log_e, abs=1e-9)
        assert (state.t, state.total) == (at_once.t, pytest.approx(at_once.total, abs=1e-9))


@given(st.integers(1, 5000))
@settings(max_examples=20, deadline=None)
def test_agreement_alone_never_rolls_back(n):
    state = MeanTest(limit=LIMITS[1]).update([0.0] * n)
    assert state.log_e < 0
    assert not state.crossed(0.5)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("wealths", [EQUAL, TOWARDS_HALF])
@pytest.mark.parametrize("spread", [0.01, 0.1, 0.4])
def test_the_expectation_of_one_step_is_one_at_the_limit_and_less_within(limit, wealths, spread):
    start = MeanTest(limit=limit, log_wealths=wealths)
    assert start.log_e == pytest.approx(0, abs=1e-12)
    for within in (0.0, 0.01):
        mean = limit.at + (within if limit.least else -within)
        low, high = max(limit.low, mean - spread), mean + spread
        share = (mean - low) / (high - low)
        expected = sum(p * math.exp(start.update([x]).log_e) for x, p in ((high, share), (low, 1 - share)))
        assert expected == pytest.approx(1, abs=1e-12) if not within else expected < 1


def test_a_broken_limit_is_noticed_and_a_kept_one_is_not():
    rng = np.random.default_rng(4)
    bad, good = (rng.random(3000) < 0.03).astype(float), (rng.random(3000) < 0.005).astype(float)
    assert MeanTest(limit=MeanLimit(0.01)).update(bad).crossed(0.01)
    assert not MeanTest(limit=MeanLimit(0.01)).update(good).crossed(0.01)
    assert MeanTest(limit=MeanLimit(0.01, least=True)).update(good).crossed(0.05)
    assert MeanTest(limit=MeanLimit(0.01)).mean is None


def test_a_limit_at_any_time_covers_and_tightens():
    rng = np.random.default_rng(9)
    missed = 0
    for _ in range(100):
        lower = sequential.empirical_bernstein_lower_cs((rng.random(300) < 0.8).astype(float), alpha=0.05)
        missed += bool((lower > 0.8).any())
        assert lower[-1] > 0.65
    assert missed <= 5


def test_units_give_one_value_each_in_order_of_appearance():
    values = sequential.one_value_per_unit(["u", "v", "u", "u"], [1.0, 0.5, 0.0, 0.0])
    assert values == [("u", pytest.approx(1 / 3)), ("v", 0.5)]


def test_helpers_of_a_rollout():
    assert breaker_failures(100_000, 0.01) == 5
    assert breaker_failures(100_000, 0.2) == 12
    assert sum(sequential.ALPHA_SPLIT.values()) == pytest.approx(0.05)


@pytest.mark.parametrize("bad", [2.0, -1.1, float("nan")])
def test_impossible_values_are_refused(bad):
    with pytest.raises(ValueError, match=r"must lie in \[-1, 1\]"):
        MeanTest(limit=LIMITS[0]).update([0.0, bad])


ENDS = ShareTest(wanted=0.98, least=0.9, error=0.05)
"""A share decided as its items come: error rates by the exact distribution, not by the bound that promises them."""


def decided(test, share, most):
    """Exact probabilities of each outcome after at most `most` items, by the number of misses still undecided."""
    alive, found = {0: 1.0}, {"enough": 0.0, "too few": 0.0}
    for n in range(1, most + 1):
        after = {}
        for misses, chance in alive.items():
            for more, p in ((0, share), (1, 1 - share)):
                after[misses + more] = after.get(misses + more, 0.0) + chance * p
        alive = {}
        for misses, chance in after.items():
            # The order does not matter while undecided: what was decided has left.
            evidence = (n - misses) * math.log(test.wanted / test.least) + misses * math.log(
                (1 - test.wanted) / (1 - test.least)
            )
            if evidence >= -math.log(test.error):
                found["enough"] += chance
            elif evidence <= math.log(test.error):
                found["too few"] += chance
            else:
                alive[misses] = chance
    return found


@pytest.mark.parametrize("share", [0.98, 0.99, 1.0])
def test_a_share_as_wanted_is_seldom_too_few(share):
    assert decided(ENDS, share, 2000)["too few"] <= 0.05


@pytest.mark.parametrize("share", [0.9, 0.8, 0.5])
def test_a_share_that_is_too_small_is_seldom_enough(share):
    assert decided(ENDS, share, 2000)["enough"] <= 0.05


def test_most_shares_beyond_the_two_are_decided_in_the_prompts_that_parity_asks():
    assert decided(ENDS, 0.995, 120)["enough"] > 0.95
    assert decided(ENDS, 0.8, 120)["too few"] > 0.95


def test_it_decides_at_the_first_item_that_does_and_keeps_to_it():
    assert ENDS.fewest == 36
    assert ENDS.shown([True] * 35) == "undecided"
    assert ENDS.shown([True] * 36 + [False] * 20) == "enough"
    assert ENDS.shown([False] * 2 + [True] * 100) == "too few"
    assert ENDS.shown([]) == "undecided"
