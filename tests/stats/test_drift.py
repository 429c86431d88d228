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
