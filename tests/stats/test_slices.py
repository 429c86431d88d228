import numpy as np
import pytest
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

from freehold.stats import slices
from freehold.stats.slices import SliceCounts


@pytest.mark.parametrize("n", [1, 2, 3, 7, 30])
def test_adjustments_agree_with_the_libraries(n):
    p = np.random.default_rng(n).beta(0.4, 1.0, n).round(2).tolist()  # rounded: some are equal
    assert slices.holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist(), abs=1e-12)
    assert slices.benjamini_hochberg(p) == pytest.approx(false_discovery_control(p).tolist(), abs=1e-12)


def test_children_are_tested_only_under_a_found_parent():
    p = {"de": 0.001, "en": 0.9, "de/refund": 0.01, "de/other": 0.8, "en/refund": 0.0001}
    parents = {"de/refund": "de", "de/other": "de", "en/refund": "en"}
    assert slices.nested_discoveries(p, parents) == ["de", "de/refund"]


def test_shrinkage_pulls_noisy_slices_further():
    shrunken = slices.shrink([0.3, -0.3, 0.0, 0.05], [0.04, 0.0004, 0.0004, 0.0004], 0.0)
    assert abs(shrunken[0]) < 0.3
    assert shrunken[1] == pytest.approx(-0.3, abs=0.02)
    assert slices.shrink([0.01, -0.01], [0.01, 0.01], 0.0) == pytest.approx([0.0, 0.0])
    assert slices.paule_mandel(np.array([0.1]), np.array([0.01])) == 0.0


def test_paule_mandel_balances_the_weighted_spread():
    y, v = np.array([0.2, -0.1, 0.05, 0.4, -0.3]), np.array([0.01, 0.02, 0.01, 0.015, 0.01])
    tau2 = slices.paule_mandel(y, v)
    weights = 1 / (v + tau2)
    mean = (weights * y).sum() / weights.sum()
    assert (weights * (y - mean) ** 2).sum() == pytest.approx(4, abs=1e-9)


def test_nothing_large_enough_flags_nothing():
    found = slices.slice_harm([SliceCounts("tiny", 0, 9, 9)], margin=0.05)
    assert found == ((), (), (), (), ())
    assert slices.default_harm_margin(0.02) == 0.05
    assert slices.default_harm_margin(0.05) == 0.1
