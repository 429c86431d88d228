import numpy as np
import pytest
import statsmodels.api as sm

from freehold.stats import clustered


def sample(k=40, seed=2, continuous=False):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, k)
    codes = np.repeat(np.arange(k), sizes)
    shared = rng.normal(0, 0.2, k)[codes]
    d = shared + rng.normal(0, 0.3, len(codes))
    return codes, d if continuous else np.round(np.clip(d * 1.4, -1, 1))


@pytest.mark.parametrize("continuous", [True, False])
def test_the_sandwich_is_statsmodels(continuous):
    codes, d = sample(continuous=continuous)
    fit = sm.OLS(d, np.ones(len(d))).fit(cov_type="cluster", cov_kwds={"groups": codes})
    found = clustered.cluster_robust_mean(codes, d)
    k, n = found.clusters, found.n
    correction = np.sqrt(k / (k - 1) * (n - 1) / (n - 1))
    ratio = found.se / (fit.bse[0] / np.sqrt(k / (k - 1) * (n - 1) / (n - 1)))
    assert found.estimate == pytest.approx(fit.params[0])
    assert ratio == pytest.approx(correction, rel=1e-9)


def test_labels_become_codes_in_order_of_appearance():
    assert clustered.encode_clusters(["b", "a", "b", "c"]).tolist() == [0, 1, 0, 2]


def test_total_agreement_counts_clusters():
    codes, d = np.repeat(np.arange(25), 4), np.zeros(100)
    found = clustered.clustered_binary_limits(codes, d, margin=0.05)
    assert found.design_effect_used == 4.0
    assert found.lower == pytest.approx(-0.1455818, abs=1e-6)


def test_the_bootstrap_agrees_with_t_for_many_clusters_and_mirrors():
    codes, d = sample(200, continuous=True)
    mean = clustered.cluster_robust_mean(codes, d)
    low, high = clustered.bootstrap_limits(codes, d)
    assert (low, high) == pytest.approx((mean.lower, mean.upper), abs=0.01)
    assert clustered.bootstrap_limits(codes, -d) == (-high, -low)
    order = np.random.default_rng(1).permutation(len(d))
    assert clustered.bootstrap_limits(codes[order], d[order]) == pytest.approx((low, high), abs=1e-12)


def test_of_each_unit_the_five_of_the_smallest_draw_count():
    codes = np.array([0] * 7 + [1] * 3 + [2])
    draw = np.array([9, 1, 8, 2, 7, 3, 6, 5, 5, 5, 0], dtype=np.uint64)
    kept = clustered.drawn(codes, draw)
    assert kept.tolist() == [False, True, False, True, True, True, True, *[True] * 4]


def test_continuous_clusters_without_variance_are_not_a_point():
    codes = np.repeat(np.arange(30), 3)
    limits, _ = clustered.clustered_continuous_limits(codes, np.zeros(90), margin=0.05)
    assert limits.lower < -0.1
    few = np.zeros(90)
    few[:3] = -0.2
    limits, _ = clustered.clustered_continuous_limits(codes, few, margin=0.05)
    assert "few_nonzero" in limits.parts


def test_equal_small_clusters_get_no_allowance():
    codes, d = np.repeat(np.arange(50), 4), np.zeros(200)
    d[[3, 50, 90]] = -1.0
    limits = clustered.clustered_binary_limits(codes, d, margin=0.05)
    clumps = clustered.clump_limits(codes, d, limits)
    assert clumps.lower == pytest.approx(limits.tango[0], abs=1e-12)


def test_items_without_a_group_are_units_of_their_own():
    assert clustered.encode_groups([None, None]) is None
    assert clustered.encode_groups([]) is None
    codes = clustered.encode_groups(["a", None, "a", None, "b"])
    assert codes.tolist() == [0, 1, 0, 2, 3]
