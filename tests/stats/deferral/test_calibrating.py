"""Calibrations ascend, are true on samples they did not see, and say nothing where nothing is known."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freehold.errors import UsageError
from freehold.stats.deferral.calibrating import (
    auroc,
    best_way,
    calibrated,
    calibration_error,
    confidence_quality,
    cross_fitted,
    fit_calibration,
)

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
    if np.isnan(raw).all():
        with pytest.raises(UsageError, match="no answer carries the signal"):
            fit_calibration(raw, good)
        return
    fit = fit_calibration(raw, good)
    assert list(fit.raw) == sorted(set(fit.raw))
    assert all(one < other for one, other in zip(fit.probability, fit.probability[1:], strict=False))
    assert fit.probability[0] >= 0 and fit.probability[-1] <= 1
    read = [fit(value) for value in raw]
    assert read == pytest.approx(calibrated(fit, raw))
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
    assert np.abs(calibrated(fit_calibration(raw, good), fresh) - true).mean() < 0.03


def test_a_logistic_fit_is_shifted_and_takes_any_signal():
    _, good, true = drawn(20_000)
    logit = np.log(true / (1 - true))
    for claimed in (1 / (1 + np.exp(-(2 * logit + 1))), 40 + 7 * logit):
        read = calibrated(fit_calibration(claimed, good, way="logistic"), claimed)
        assert np.abs(read - true).mean() < 0.01


def test_the_truer_fit_is_found_on_folds_that_were_not_fitted():
    found = [best_way(*drawn(1000, seed)[:2]) for seed in range(10)]
    assert found.count("logistic") > 5  # two numbers describe it
    rng = np.random.default_rng(1)
    uneven = rng.random(3000)
    steps = rng.random(3000) < np.where(uneven > 0.8, 0.95, np.where(uneven > 0.7, 0.3, 0.25))
    assert best_way(uneven, steps, np.arange(3000) // 5) == "isotonic"


def test_classes_that_do_not_overlap_still_make_a_curve():
    raw, good = np.arange(40.0), np.arange(40) >= 20
    fit = fit_calibration(raw, good, way="logistic")
    assert 0 <= fit(0.0) < 0.1 and 0.9 < fit(39.0) <= 1
    assert list(fit.probability) == sorted(set(fit.probability))


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


def test_bad_columns_are_named():
    with pytest.raises(UsageError, match="3 values of a signal for 2 answers"):
        fit_calibration(np.zeros(3), np.zeros(2, dtype=bool))
    with pytest.raises(UsageError, match="infinite"):
        fit_calibration(np.array([0.0, -np.inf]), np.array([True, False]))


def test_the_error_is_the_distance_of_ten_equal_bins():
    p = np.repeat(np.arange(10) / 10, 10)
    good = np.tile(np.arange(10), 10) < np.repeat(np.arange(10), 10)
    assert calibration_error(p, good) == pytest.approx(0)
    assert calibration_error(p + 0.05, good) == pytest.approx(0.05)
    assert calibration_error(np.full(100, 0.5), np.arange(100) < 80) == pytest.approx(0.3)  # ties share a bin


@given(st.integers(0, 1000))
def test_the_error_does_not_depend_on_the_order(seed):
    raw, good, _ = drawn(97, seed)
    raw = raw.round(1)
    mixed = np.random.default_rng(seed).permutation(97)
    assert calibration_error(raw[mixed], good[mixed]) == pytest.approx(calibration_error(raw, good))


def test_auroc_is_the_share_of_pairs_in_order():
    raw, good = np.array([1.0, 2.0, 2.0, 3.0, 0.0]), np.array([False, True, False, True, False])
    pairs = [(a > b) + (a == b) / 2 for a in raw[good] for b in raw[~good]]
    assert auroc(raw, good) == pytest.approx(np.mean(pairs))
    assert auroc(raw, np.ones(5, dtype=bool)) is None


@pytest.mark.process
def test_a_rank_does_not_load_all_of_scipys_statistics():
    code = "import sys, freehold.workflows.journey.mixing.mixer; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_answer_is_judged_by_a_fit_that_saw_its_cluster():
    raw, good, _ = drawn(200)
    codes = np.arange(200) // 5
    first = cross_fitted(raw, good, codes)
    for cluster in (0, 7, 39):
        own = codes == cluster
        again = cross_fitted(raw, good ^ own, codes)
        assert (again[own] == first[own]).all()
        assert (again != first).any()


def test_quality_tells_before_and_after():
    raw, good, _ = drawn(power=3.0)
    found = confidence_quality("probability", raw, good)
    assert found.n == 2000
    assert found.error_before > 0.2 > 0.04 > found.error_after
    assert found.auroc == pytest.approx(auroc(raw, good))
    assert confidence_quality("mean_logprob", np.log(raw), good).error_before is None


def test_a_signal_that_is_nowhere_has_no_quality():
    found = confidence_quality("min_logprob", np.full(5, np.nan), np.ones(5, dtype=bool), np.arange(5))
    assert (found.n, found.error_before, found.error_after, found.auroc) == (0, None, None, None)
