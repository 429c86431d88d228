import numpy as np
import pytest

from freehold.stats import rules, slices


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


def test_a_slice_may_drop_by_twice_the_margin_or_five_points():
    assert rules.default_harm_margin(0.02) == 0.05
    assert rules.default_harm_margin(0.05) == 0.1
