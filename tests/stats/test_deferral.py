"""Signals, their calibration, and the curve of what a small model may answer."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freehold.errors import UsageError
from freehold.stats.binary import wilson_limits
from freehold.stats.deferral import (
    auroc,
    best_curve,
    fit_calibration,
    grid,
    mixture_curve,
    share_interval,
    taken_share,
)
from freehold.stats.rules import DecisionRule


def told(n=1000, seed=0, scale=0.4, win=0.01):
    """Signals, and differences whose losses thin out with the signal."""
    rng = np.random.default_rng(seed)
    raw, luck = rng.random(n), rng.random(n)
    return raw, (luck < win) * 1.0 - (luck > 1 - scale * (1 - raw) ** 3) * 1.0


def curve(raw, differences, **changed):
    fields = {
        "signal": "probability", "codes": None, "rule": DecisionRule(margin=0.03), "least_share": 0.2
    }  # fmt: skip
    return mixture_curve(raw=raw, differences=differences, **fields | changed)


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


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([None, 0.0, 0.3]), st.booleans())
def test_a_rule_with_its_threshold_answers_the_share_of_each_point(seed, gone, coarse):
    raw, d = told(150, seed)
    raw = raw.round(1) if coarse else -np.exp(8 * raw)  # also logarithms with a long tail
    if gone is not None:
        raw = np.where(np.random.default_rng(seed).random(150) < gone, np.nan, raw)
    found, calibration = curve(raw, d)
    assert found.points
    for point in found.points:
        sure = [not np.isnan(x) and calibration(x) >= point.threshold for x in raw]
        assert np.mean(sure) == pytest.approx(point.share)
        assert np.where(sure, d, 0).mean() == pytest.approx(point.difference)
        assert found.by_lot(point.share) == pytest.approx(point.share * d.mean())
        assert point.low <= point.difference <= point.high
    shares = [point.share for point in found.points]
    assert shares == sorted(set(shares))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_with_an_upper_model_a_point_is_the_mixture_of_both(seed, clustered):
    raw, d = told(150, seed)
    rest = np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], 150, p=[0.05, 0.9, 0.05])
    codes = np.arange(150) // 3 if clustered else None
    found, calibration = curve(raw, d, otherwise=rest, codes=codes)
    assert found.rest == pytest.approx(rest.mean())
    for point in found.points:
        sure = np.array([calibration(x) >= point.threshold for x in raw])
        mixed = np.where(sure, d, rest)
        assert mixed.mean() == pytest.approx(point.difference)
        by_lot = point.share * d.mean() + (1 - point.share) * rest.mean()
        assert found.by_lot(point.share) == pytest.approx(by_lot)
        assert point.low <= point.difference <= point.high


def test_order_and_scale_of_the_signal_change_nothing():
    raw, d = told()
    first, _ = curve(raw, d)
    mixed = np.random.default_rng(1).permutation(len(d))
    again, _ = curve(np.log(raw[mixed]), d[mixed])
    for one, other in zip(first.points, again.points, strict=True):
        assert (one.share, one.difference, one.low) == pytest.approx(
            (other.share, other.difference, other.low)
        )


def test_unscored_samples_are_left_out_and_clusters_of_one_are_none():
    raw, d = told()
    first, _ = curve(raw, d)
    padded = np.concatenate([raw, [0.99, 0.5]]), np.concatenate([d, [np.nan, np.nan]])
    again, _ = curve(*padded, codes=np.arange(1002))
    assert again == first


def test_clusters_ask_for_more():
    raw, d = told(250, scale=0.2)
    alone, _ = curve(np.repeat(raw, 4) + 1e-6 * np.tile(np.arange(4), 250), np.repeat(d, 4))
    together, _ = curve(
        np.repeat(raw, 4) + 1e-6 * np.tile(np.arange(4), 250),
        np.repeat(d, 4),
        codes=np.repeat(np.arange(250), 4),
    )
    place = len(alone.points) // 2
    assert together.points[place].low < alone.points[place].low


RAW, D = told()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"least_share": -0.1}, "least share is -0.1"),
        ({"codes": np.zeros(3, dtype=np.int64)}, "not of the same samples"),
        ({"otherwise": np.zeros(3)}, "not of the same samples"),
        ({"differences": 2 * D}, "outside -1 to 1"),
        ({"raw": np.where(RAW > 0.5, np.inf, RAW)}, "infinite"),
    ],
)
def test_what_is_not_a_table_is_an_error(changed, message):
    with pytest.raises(UsageError, match=message):
        curve(**{"raw": RAW, "differences": D} | changed)


def test_the_grid_rises_by_two_hundredths_and_never_parts_equal_signals():
    assert grid(np.arange(1000.0), 0.2) == list(range(200, 1001, 20))
    assert grid(np.arange(1000.0), 0.97) == [970, 990, 1000]
    assert grid(np.array([0.9, 0.5, 0.5, 0.5, 0.1, np.nan]), 0.15) == [1, 4, 5]


def test_the_share_has_wilsons_limits_wider_with_clusters():
    here = np.arange(200) < 120
    assert share_interval(here, None, 0.025) == pytest.approx(wilson_limits(120, 200, 0.025))
    assert share_interval(here, np.arange(200), 0.025) == share_interval(here, None, 0.025)
    low, high = share_interval(here, np.arange(200) // 10, 0.025)
    assert low < wilson_limits(120, 200, 0.025)[0] and high > wilson_limits(120, 200, 0.025)[1]
    assert share_interval(here, np.zeros(200, dtype=np.int64), 0.025) == (0.0, 1.0)
    with pytest.raises(UsageError, match="no request"):
        share_interval(np.empty(0, dtype=bool), None, 0.025)


def test_the_best_curve_loses_least_and_a_router_wins_a_tie():
    raw, d = told()
    better, _ = curve(raw, d)
    noisy, _ = curve(raw + np.random.default_rng(2).normal(0, 0.3, 1000), d)
    # Sure of few answers only: what carries no signal is taken as drawn by lot.
    sparse, _ = curve(np.where(raw > 0.7, raw, np.nan), d)
    none, _ = curve(np.full(1000, 0.5), d)
    router, _ = curve(raw, d, signal="router")
    assert best_curve([none, noisy, sparse, better]) == 3
    assert best_curve([better, router]) == 1
    assert best_curve([none]) is None
    assert best_curve([]) is None


@pytest.mark.parametrize(
    ("raw", "differences", "changed", "reason"),
    [
        (np.full(1000, np.nan), D, {}, "no answer carries this signal"),
        (np.full(1000, 0.5), D, {}, "it tells no answer from another"),
        (np.where(np.arange(1000) < 100, RAW, np.nan), D, {}, "only 10% of answers carry this signal"),
        (RAW, np.full(1000, np.nan), {}, "no selection sample has two scores"),
        (RAW, D, {"least_share": 0.9995}, "no threshold answers 100% or more here"),
    ],
)  # fmt: skip
def test_without_a_threshold_the_reason_is_told(raw, differences, changed, reason):
    found, calibration = curve(raw, differences, **changed)
    assert not found.points and reason in found.refused
    assert 0 <= calibration(0.5) <= 1


@pytest.mark.parametrize(
    ("proven", "place"),
    [
        ([0.0, -0.005, -0.012], 1),
        ([0.0, -0.02, -0.009, -0.012], 2),
        ([-0.02, -0.025], 1),
        ([0.01], 0),
    ],
)
def test_the_largest_share_that_costs_a_third_of_the_margin_at_most_is_taken(proven, place):
    assert taken_share(proven, 0.03) == place


def test_nothing_is_taken_of_nothing():
    with pytest.raises(ValueError, match="no share"):
        taken_share([], 0.03)
