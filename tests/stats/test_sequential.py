import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.stats import drift, sequential
from freehold.stats.drift import (
    ALPHA_SPLIT,
    MeanDetector,
    acts_at,
    loss_limit,
    no_worse,
    overconfidence_limit,
    share_limits,
)
from freehold.stats.sequential import EQUAL, TOWARDS_HALF, MeanLimit, MeanTest, ShareTest
from freehold.workflows.shift.rollout.decision import breaker_failures

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


def test_a_drop_alarms_and_agreement_does_not():
    rng = np.random.default_rng(0)
    fine, bad = MeanDetector(), MeanDetector()
    for _ in range(20):
        fine = fine.update([0.0] * 50, no_worse(0.02))
        bad = bad.update(np.where(rng.random(50) < 0.2, -1.0, 0.0), no_worse(0.02))
    assert fine.statistic < drift.THRESHOLD <= bad.statistic


def test_a_small_budget_says_what_it_would_find():
    few, many = (drift.smallest_drop_found(m, margin=0.02, runs=120) for m in (20, 200))
    assert 0.02 < many < few < 0.6
    assert drift.smallest_drop_found(1, margin=0.02, periods=2, runs=60) is None


FAILURES = MeanLimit(drift.USUAL_FAILURES)


def failed(requests, count):
    return [1.0] * count + [0.0] * (requests - count)


def looks(counts):
    """The first look (from 1) that alarms; None where none does."""
    state = MeanDetector()
    for number, (requests, count) in enumerate(counts, 1):
        state = state.update(failed(requests, count), FAILURES)
        if state.statistic >= drift.LOOKS_TO_ALARM:
            return number
    return None


def test_an_outage_is_found_within_ten_requests_however_they_are_spread():
    assert looks([(10, 10)]) == 1
    assert looks([(1, 1)] * 30) <= 10
    assert looks([(80, 0)] * 1000 + [(20, 20)]) == 1001


def test_one_in_five_is_found_within_three_hundred_requests_mostly():
    draw = np.random.default_rng(1)
    found = [looks([(8, int(draw.binomial(8, 0.2))) for _ in range(100)]) for _ in range(200)]
    within = sum(one is not None and one <= 40 for one in found)
    assert within >= 180


@pytest.mark.parametrize("rate", [0.0, 0.01, drift.USUAL_FAILURES])
def test_the_evidence_of_a_look_is_one_on_average_at_the_rate_that_is_borne_and_less_below(rate):
    for requests in (1, 3, 20):
        mean = sum(
            math.comb(requests, count)
            * rate**count
            * (1 - rate) ** (requests - count)
            * MeanDetector().update(failed(requests, count), FAILURES).statistic
            for count in range(requests + 1)
        )
        assert mean <= 1 + 1e-9
        assert rate < drift.USUAL_FAILURES or mean == pytest.approx(1)


def test_twenty_thousand_looks_at_half_the_rate_that_is_borne_do_not_come_near():
    draw = np.random.default_rng(3)
    state, largest = MeanDetector(), 0.0
    for count in draw.binomial(20, drift.USUAL_FAILURES / 2, 20_000):
        state = state.update(failed(20, int(count)), FAILURES)
        largest = max(largest, state.statistic)
    assert largest < drift.LOOKS_TO_ALARM**0.5


def test_a_share_may_leave_on_either_side_and_small_shares_only_above():
    above, below = share_limits(0.3, 0.3, 0.05)
    for share in (0.1, 0.6):
        state = MeanDetector()
        for _ in range(8):
            state = state.update(failed(60, round(60 * share)), above, below)
        assert state.statistic > drift.THRESHOLD and len(state.statistics) == 20
    state = MeanDetector().update([0.0] * 60, *share_limits(0.02, 0.02, 0.05))
    assert state.statistic < 1 and len(state.statistics) == 10


def test_the_statistic_is_what_its_formula_says():
    limit = MeanLimit(0.1, -1.0, 1.0)
    bets = 0.95 / 1.1 * 2.0 ** -np.arange(10)
    e = (1 + bets * 0.9) * (1 + bets * -0.1)
    after = MeanDetector().update([1.0, 0.0], limit)
    assert after.statistics == pytest.approx(tuple(e)) and after.statistic == pytest.approx(e.mean())
    again = after.update([1.0, 0.0], limit)
    assert again.statistics == pytest.approx(tuple((e + 1) * e)) and again.periods == 2


def test_a_state_survives_the_store_and_an_endless_loss():
    state = MeanDetector()
    for _ in range(50):
        state = state.update([1.0] * 200, loss_limit(0.02, 0.5))
    assert np.isfinite(state.statistic)
    assert msgspec.json.decode(msgspec.json.encode(state), type=MeanDetector) == state


def test_a_period_that_says_nothing_changes_nothing():
    state = MeanDetector().update([0.5], MeanLimit(0.1, -1, 1))
    assert state.update([], MeanLimit(0.1, -1, 1)) == state
    assert state.update([1.0], loss_limit(0.1, 0.05)) == state, "so small a share cannot lose the margin"
    assert state.update([1.0], loss_limit(0.1, 0.0)) == state
    for bad in ([1.1], [-1.1], [float("nan")]):
        with pytest.raises(ValueError, match="must lie in"):
            state.update(bad, MeanLimit(0.1, -1, 1))


def test_limits_are_what_was_promised_to_all_requests():
    assert loss_limit(0.02, 0.5) == MeanLimit(0.04, -1.0, 1.0)
    above, below = share_limits(0.6, 0.7, 0.05)
    assert above.at == pytest.approx(0.75) and below.at == pytest.approx(0.55)
    assert overconfidence_limit().at == 0.05


def test_the_thresholds_of_a_year_add_up_to_a_twentieth():
    assert sum(ALPHA_SPLIT.values()) == pytest.approx(0.05)
    assert acts_at("loss", every_hours=168) == pytest.approx(8766 / 168 / 0.03)
    assert acts_at("loss", every_hours=10**6) == pytest.approx(1 / 0.03)


def test_e_values_are_at_most_one_on_average_where_the_claim_holds():
    rng = np.random.default_rng(3)
    limit = loss_limit(0.03, 0.5)
    d = rng.choice([1.0, 0.0, -1.0], p=[0.08, 0.9, 0.02], size=(20_000, 30))  # a mean of exactly the limit
    one = np.array([MeanDetector().update(period, limit).statistic for period in d[:4000]])
    assert one.mean() <= 1 + 4 * one.std() / np.sqrt(len(one))
