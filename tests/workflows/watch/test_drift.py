import random

from tests.workflows.shift.shifting import trace

from freehold.workflows.watch.drift import SUMMARIES, baseline, drifts, two_sided_e_value


def test_equal_periods_do_not_drift_and_a_moved_share_does():
    then = baseline([trace(n) for n in range(100)], [trace(n) for n in range(100)])
    assert set(then.shares) == {one.name for one in SUMMARIES}
    assert baseline([trace(1)], [trace(1)]) is None
    found, detectors = drifts([trace(n) for n in range(100)], then, {})
    assert not any(one.alarm for one in found) and all(one.e_value <= 1.5 for one in found)
    found, _ = drifts([trace(n, answer="") for n in range(100)], then, detectors)
    assert {one.name for one in found if one.e_value > 100} == {"empty answer"}


def test_the_e_value_of_a_share_that_stayed_is_no_evidence_on_average():
    draw = random.Random(5)
    values = [two_sided_e_value([float(draw.random() < 0.3) for _ in range(60)], 0.3) for _ in range(400)]
    assert sum(values) / len(values) <= 1.0
