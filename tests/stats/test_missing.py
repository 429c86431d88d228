import pytest

from freehold.stats.binary import tango_ci
from freehold.stats.missing import Unscored, imbalance_p, worst_case_bounds


def test_every_gap_counts_as_a_loss_below_and_as_a_win_above():
    found = worst_case_bounds(10, 8, 200, 12)
    assert found.estimate == pytest.approx(0.01)
    assert found.lower_worst == tango_ci(10, 20, 212).lower
    assert found.upper_best == tango_ci(22, 8, 212).upper
    assert found.share_unscored == pytest.approx(12 / 212)


def test_nothing_scored_has_no_estimate():
    assert worst_case_bounds(0, 0, 0, 5).estimate is None
    assert worst_case_bounds(0, 0, 0, 0) == (None, None, None, 0.0)


@pytest.mark.parametrize(
    ("candidate_only", "incumbent_only", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (10, 0, 2 / 1024), (5, 5, 1.0), (0, 10, 2 / 1024)],
)
def test_gaps_on_one_side_are_told_by_a_sign_test(candidate_only, incumbent_only, p):
    unscored = Unscored(candidate_only, incumbent_only, both=7)
    assert imbalance_p(unscored) == pytest.approx(p)
    assert unscored.total == candidate_only + incumbent_only + 7
