"""The curve and its grid: what is refused and why, that a rule executes what was planned, and what is taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.deferral.signals import curve, told

from freehold.errors import UsageError
from freehold.stats.binary import wilson_limits
from freehold.stats.deferral import best_curve, grid, share_interval, taken_share


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
