import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tests.stats.conftest import counted, run

from freehold.stats import binary, exact
from freehold.stats.binary import tango_statistic, z_quantile
from freehold.stats.slices import scored_pairs


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
    found = exact.region_probability(fewest, win, loss)
    assert found == pytest.approx(brute(n, difference, 1.0, win, loss), abs=1e-12)


def test_the_clearest_case_of_the_guard():
    found = exact.p_promote(0, 0, 140, 0.02)
    assert exact.normal_cdf(-exact.score(0, 0, 140, -0.02)) < 0.05 < found
    assert found == pytest.approx(0.98**140, abs=1e-6)


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


# What the former search found, over an even grid of 401 nuisances and without any shortcut.
SLOWLY = {
    (12, -0.1, 0.025): 2.088937, (20, -0.02, 0.025): 2.012131, (36, -0.1, 0.025): 1.998026,
    (75, -0.05, 0.025): 1.980679, (97, 0.05, 0.05): 1.933373, (190, -0.02, 0.025): 2.017233,
    (300, -0.3, 0.025): 2.000790, (333, -0.01, 0.0125): 2.244186, (481, -0.02, 0.025): 1.968369,
    (640, 0.1, 0.01): 2.383214, (906, -0.02, 0.025): 1.969968, (1048, -0.02, 0.025): 1.965958,
    (1500, -0.005, 0.05): 1.651745, (1843, -0.02, 0.025): 1.966641, (2000, -0.02, 0.025): 1.969119,
}  # fmt: skip


@pytest.mark.parametrize("case", SLOWLY)
def test_the_critical_value_is_that_of_a_search_without_shortcuts(case):
    assert exact.critical_value(*case) == pytest.approx(SLOWLY[case], abs=1e-5)


def densest(n, difference, threshold):
    """The largest probability over 1,501 nuisances, without leaving any out."""
    rarer = np.sin(np.linspace(0, np.pi / 2, 1501)) ** 2 * (1 - abs(difference)) / 2
    rates = (rarer, rarer - difference) if difference <= 0 else (rarer + difference, rarer)
    fewest = exact.region(n, difference, threshold)
    return max(exact.region_probability(fewest, *pair) for pair in zip(*rates, strict=True))


# The last two are those where 401 nuisances were too few: they let an error of 0.02503 and of 0.010006 pass.
@pytest.mark.parametrize(
    ("n", "difference", "alpha"),
    [(33, -0.02, 0.025), (190, -0.1, 0.05), (433, 0.03, 0.0125), (1963, -0.02, 0.025), (1129, -0.02, 0.01)],
)
def test_no_nuisance_has_more_error_than_alpha_and_a_lower_threshold_has(n, difference, alpha):
    threshold = exact.critical_value(n, difference, alpha)
    assert densest(n, difference, threshold) <= alpha + 1e-6
    assert densest(n, difference, threshold - 2e-5) > alpha


def test_a_part_of_a_region_is_the_regions_own():
    losses = range(30, 61)
    whole, part = exact.region(120, -0.05, 2.0), exact.region(120, -0.05, 2.0, losses=losses)
    assert [part[one] for one in losses] == [whole[one] for one in losses]
    assert {part[one] for one in range(121) if one not in losses} == {121}


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 200), st.floats(-0.9, 0.9))
def test_the_statistic_of_one_table_is_that_of_arrays(wins, losses, rest, difference):
    n = wins + losses + rest
    expected = float(tango_statistic(wins, losses, n, difference))
    assert exact.score(wins, losses, n, difference) == pytest.approx(expected, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(5, 600), st.floats(0.01, 0.3), st.sampled_from([0.02, 0.05, 0.1]), st.booleans())
def test_whether_a_power_is_reached_needs_no_critical_value(n, discordance, margin, guard):
    about = n, discordance / 2, discordance / 2, margin
    value = exact.promote_probability(*about, guard=guard)
    assert exact.promotes(*about, 0.025, value - 1e-9, guard=guard)
    assert not exact.promotes(*about, 0.025, value + 1e-9, guard=guard)


def test_the_guard_ends_where_it_is_told():
    assert exact.critical_value(3000, -0.02, 0.025) == z_quantile(0.025)


def test_promote_and_reject_exclude_each_other():
    n, margin = 60, 0.1
    up = exact.region(n, -margin, exact.critical_value(n, -margin, 0.025))
    down = exact.region(n, margin, exact.critical_value(n, margin, 0.025))
    for losses in range(n + 1):
        for wins in range(n - losses + 1):
            assert not (wins >= up[losses] and losses >= down[wins])


TABLES = st.tuples(*[st.integers(0, 200)] * 4).filter(lambda t: sum(t) > 0)


@settings(max_examples=30, deadline=None)
@given(TABLES)
def test_limits_hold_the_estimate_and_mirror(table):
    _, wins, losses, _ = table
    n = sum(table)
    found, mirror = binary.tango_ci(wins, losses, n), binary.tango_ci(losses, wins, n)
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    assert found.lower == pytest.approx(-mirror.upper, abs=1e-9)
    assert found.upper - found.lower > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 400))
def test_the_test_and_the_limit_say_the_same(wins, losses, rest):
    n, margin = wins + losses + rest, 0.05
    above = binary.tango_ci(wins, losses, n).lower > -margin
    assert above == (float(binary.tango_statistic(wins, losses, n, -margin)) > binary.z_quantile(0.025))


def test_total_agreement_is_the_closed_form():
    z = binary.z_quantile(0.025)
    for n in (1, 20, 1000):
        found = binary.tango_ci(0, 0, n)
        assert found.upper == pytest.approx(z * z / (n + z * z), abs=1e-9)
        assert found.lower == pytest.approx(-z * z / (n + z * z), abs=1e-9)


def test_limits_of_two_known_tables():
    z = 1.959963984540054
    assert binary.tango_limits(1, 7, 21, z) == pytest.approx((-0.5172322764, -0.0260030325), abs=1e-9)
    assert binary.tango_limits(40, 20, 160, z) == pytest.approx((0.0308645331, 0.2180642442), abs=1e-9)


NAN = float("nan")


def test_what_lacks_a_score_is_counted_by_side_and_left_out():
    pairs = scored_pairs(
        np.array([1.0, NAN, 0.0, NAN, 1.0]), np.array([0.0, 1.0, NAN, NAN, 1.0]), codes=None, reach=1.0
    )
    assert pairs.d.tolist() == [-1.0, 0.0]
    assert pairs.scored.tolist() == [True, False, False, False, True]
    assert pairs.unscored == (1, 1, 1)
    assert pairs.n == 2
    assert (pairs.incumbent_mean, pairs.candidate_mean, pairs.difference) == (1.0, 0.5, -0.5)


def test_binary_means_both_ends_of_the_range():
    x, y = np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0])
    assert scored_pairs(x, y, codes=None, reach=1.0).binary
    assert not scored_pairs(x, y, codes=None, reach=2.0).binary
    assert not scored_pairs(x, y / 2, codes=None, reach=1.0).binary


def test_clusters_are_renumbered_and_clusters_of_one_are_none():
    x = np.array([1.0, 1.0, NAN, 1.0])
    pairs = scored_pairs(x, x, codes=np.array([5, 2, 7, 5]), reach=1.0)
    assert pairs.codes.tolist() == [1, 0, 1]
    assert pairs.declared_codes.tolist() == [5, 2, 7, 5]
    assert scored_pairs(x, x, codes=np.array([5, 2, 7, 9]), reach=1.0).codes is None


def test_without_pairs_there_is_no_mean():
    pairs = scored_pairs(np.array([NAN]), np.array([1.0]), codes=None, reach=1.0)
    assert (pairs.n, pairs.incumbent_mean, pairs.difference) == (0, None, None)


def test_needed_n_is_never_below_what_a_promote_needs():
    result = run([(0.5, 0.5 + 0.001 * (i % 3)) for i in range(12)], margin=0.15)
    assert result.verdict == "hold"
    assert result.needed_n == 30


def test_what_this_n_can_show_shrinks_with_it():
    few, many = (run(counted(both=n - n // 10, wins=n // 20, losses=n // 20)) for n in (100, 1600))
    assert few.smallest_detectable == pytest.approx(4 * many.smallest_detectable)
    assert run(counted(both=1)).smallest_detectable is None
