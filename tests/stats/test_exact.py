import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from freehold.stats import exact
from freehold.stats.binary import tango_statistic, z_quantile


def brute(n, difference, threshold, win, loss):
    total = 0.0
    for b in range(n + 1):
        for c in range(n - b + 1):
            if tango_statistic(b, c, n, difference) >= threshold:
                total += stats.multinomial.pmf([b, c, n - b - c], n, [win, loss, 1 - win - loss])
    return total


@pytest.mark.parametrize(("n", "difference", "win", "loss"), [(12, -0.1, 0.1, 0.2), (15, 0.2, 0.3, 0.1)])
def test_the_region_sums_like_brute_force(n, difference, win, loss):
    fewest = exact.region(n, difference, 1.0)
    found = exact.region_probability(fewest, np.array([win]), np.array([loss]))[0]
    assert found == pytest.approx(brute(n, difference, 1.0, win, loss), abs=1e-12)


def test_the_clearest_case_of_the_guard():
    found = exact.noninferiority_test(0, 0, 140, 0.02)
    assert found.p_tango < 0.05 < found.p_exact_unconditional
    assert found.p_exact_unconditional == pytest.approx(0.98**140, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 60))
def test_turning_a_loss_into_a_win_lowers_the_p_value(wins, losses, rest):
    n = wins + losses + rest + 1
    before = exact.p_promote(wins, losses + 1, n, 0.1)
    assert exact.p_promote(wins + 1, losses, n, 0.1) <= before + 1e-9


@pytest.mark.parametrize(("n", "margin", "alpha"), [(20, 0.1, 0.025), (100, 0.1, 0.05), (200, 0.02, 0.025)])
def test_the_critical_value_is_the_guard(n, margin, alpha):
    threshold = exact.critical_value(n, -margin, alpha)
    assert threshold >= z_quantile(alpha)
    rng = np.random.default_rng(n)
    for _ in range(25):
        wins, losses = (int(v) for v in rng.multinomial(n, [0.05, 0.07, 0.88])[:2])
        statistic = float(tango_statistic(wins, losses, n, -margin))
        if abs(statistic - threshold) > 1e-3:
            passes = statistic > z_quantile(alpha) and exact.p_promote(wins, losses, n, margin) <= alpha
            assert passes == (statistic >= threshold)


def test_the_guard_ends_where_it_is_told():
    assert exact.noninferiority_test(5, 6, 2001, 0.02).p_exact_unconditional is None
    assert exact.noninferiority_test(0, 1, 50, 0.05, guard_up_to_n=40).p_exact_unconditional is None
    assert exact.critical_value(3000, -0.02, 0.025) == z_quantile(0.025)


def test_promote_and_reject_exclude_each_other():
    n, margin = 60, 0.1
    up = exact.region(n, -margin, exact.critical_value(n, -margin, 0.025))
    down = exact.region(n, margin, exact.critical_value(n, margin, 0.025))
    for losses in range(n + 1):
        for wins in range(n - losses + 1):
            assert not (wins >= up[losses] and losses >= down[wins])
