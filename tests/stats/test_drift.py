import math

import numpy as np
import pytest
from tests.stats.cross_checks import e_detectors

from freehold.stats import drift


def test_states_and_sequences_agree_and_survive_json():
    import msgspec

    values = [0.5, 0.8, 2, 3, 4, 2]
    state = drift.EDetector()
    for value in values:
        state = msgspec.json.decode(msgspec.json.encode(state.update(value)), type=drift.EDetector)
    found = e_detectors(values, 20)
    assert state.shiryaev_roberts == pytest.approx(found.shiryaev_roberts[-1])
    assert state.cusum == pytest.approx(found.cusum[-1])
    assert (found.cusum_alarm, state.alarm(20), state.alarm(1e6)) == (5, True, False)
    assert e_detectors([0.1] * 5).sr_alarm is None


def test_a_drop_alarms_and_agreement_does_not():
    rng = np.random.default_rng(0)
    fine, bad = drift.EDetector(), drift.EDetector()
    for _ in range(20):
        fine = fine.update(drift.period_e_value([0.0] * 50, 0.02))
        bad = bad.update(drift.period_e_value(np.where(rng.random(50) < 0.2, -1.0, 0.0), 0.02))
    assert not fine.alarm()
    assert bad.alarm()


def test_a_small_budget_says_what_it_would_find():
    few, many = (drift.smallest_drop_found(m, margin=0.02, runs=120) for m in (20, 200))
    assert 0.02 < many < few < 0.6
    assert drift.smallest_drop_found(1, margin=0.02, periods=2, runs=60) is None


def looks(counts):
    """The first look (from 1) that alarms; None where none does."""
    state = drift.FailureDetector()
    for number, (requests, failed) in enumerate(counts, 1):
        state = state.update(requests, failed)
        if state.alarm:
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


def test_a_look_without_requests_changes_nothing():
    state = drift.FailureDetector().update(5, 1)
    assert state.update(0, 0) == state


@pytest.mark.parametrize("rate", [0.0, 0.01, drift.USUAL_FAILURES])
def test_the_evidence_of_a_look_is_one_on_average_at_the_rate_that_is_borne_and_less_below(rate):
    for requests in (1, 3, 20):
        mean = sum(
            math.comb(requests, failed)
            * rate**failed
            * (1 - rate) ** (requests - failed)
            * math.exp(drift.FailureDetector(log_statistic=-math.inf).update(requests, failed).log_statistic)
            for failed in range(requests + 1)
        )
        assert mean <= 1 + 1e-9
        assert rate < drift.USUAL_FAILURES or mean == pytest.approx(1)


def test_a_hundred_thousand_looks_at_half_the_rate_that_is_borne_do_not_come_near():
    draw = np.random.default_rng(3)
    state, largest = drift.FailureDetector(), -math.inf
    for failed in draw.binomial(20, drift.USUAL_FAILURES / 2, 100_000):
        state = state.update(20, int(failed))
        largest = max(largest, state.log_statistic)
    assert largest < math.log(drift.LOOKS_TO_ALARM) / 2
