"""Calibrations ascend, are true on samples they did not see, and say nothing where nothing is known."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freehold.errors import UsageError
from freehold.stats.deferral import auroc, fit_calibration

VALUES = st.floats(-30, 0) | st.just(float("nan"))


def drawn(n=2000, seed=0, power=1.0):
    """Signals that claim p ** power where the answer is good with probability p."""
    rng = np.random.default_rng(seed)
    p = rng.beta(4, 1, n)
    return p**power, rng.random(n) < p, p


@given(st.data())
def test_a_surer_signal_is_never_less_probable(data):
    raw = data.draw(arrays(float, st.integers(1, 40), elements=VALUES))
    good = data.draw(arrays(bool, len(raw)))
    fit = fit_calibration(raw, good)
    if np.isnan(raw).all():
        assert fit.probability == (0.0,)
        return
    assert list(fit.raw) == sorted(set(fit.raw))
    assert all(one < other for one, other in zip(fit.probability, fit.probability[1:], strict=False))
    assert fit.probability[0] >= 0 and fit.probability[-1] <= 1
    read = [fit(value) for value in raw]
    assert all(value == fit.probability[0] for value, x in zip(read, raw, strict=True) if np.isnan(x))


@given(st.integers(0, 10_000), st.sampled_from([0.5, 1.0, 3.0]))
def test_signals_that_differ_keep_their_order(seed, power):
    raw, good, _ = drawn(60, seed, power)
    fit = fit_calibration(raw, good)
    order = np.argsort(raw)
    assert (np.diff([fit(value) for value in raw[order]]) > 0).all()


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_an_isotonic_fit_is_near_the_truth(power):
    raw, good, _ = drawn(power=power)
    fresh, _, true = drawn(seed=1, power=power)
    fit = fit_calibration(raw, good)
    assert np.abs(np.interp(fresh, fit.raw, fit.probability) - true).mean() < 0.03


@pytest.mark.parametrize(
    ("raw", "good", "probability"),
    [
        ([0.3, 0.3, 0.3], [True, False, True], 3 / 5),
        ([0.1, 0.2], [True, True], 3 / 4),
        ([0.1, 0.2], [False, False], 1 / 4),
    ],
)
def test_one_value_or_one_class_is_nearly_one_probability_and_never_certain(raw, good, probability):
    fit = fit_calibration(np.array(raw), np.array(good))
    assert [fit(0.0), fit(0.15), fit(1.0)] == pytest.approx([probability] * 3, abs=1e-3)
    assert len(set(raw)) == 1 or fit(0.1) < fit(0.2), "a threshold still parts them"


def test_an_infinite_signal_is_refused():
    with pytest.raises(UsageError, match="infinite"):
        fit_calibration(np.array([0.0, -np.inf]), np.array([True, False]))


def test_auroc_is_the_share_of_pairs_in_order():
    raw, good = np.array([1.0, 2.0, 2.0, 3.0, 0.0]), np.array([False, True, False, True, False])
    pairs = [(a > b) + (a == b) / 2 for a in raw[good] for b in raw[~good]]
    assert auroc(raw, good) == pytest.approx(np.mean(pairs))
    assert auroc(raw, np.ones(5, dtype=bool)) is None


@pytest.mark.process
def test_a_rank_does_not_load_all_of_scipys_statistics():
    code = "import sys, freehold.workflows.journey.mixer; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
