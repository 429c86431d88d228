"""The curve and its threshold: what is chosen, what is refused and why, and that a rule executes what was planned."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stats.deferral.signals import curve, told

from freehold.errors import UsageError
from freehold.stats.binary import wilson_limits
from freehold.stats.deferral import best_curve, oracle_share, share_interval
from freehold.stats.deferral.curve import thresholds


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
        assert point.random == pytest.approx(point.share * d.mean())
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
        assert point.random == pytest.approx(point.share * d.mean() + (1 - point.share) * rest.mean())
        assert point.low <= point.difference <= point.high


def test_an_upper_model_that_loses_by_itself_lets_nothing_pass():
    raw, d = told()
    random = np.random.default_rng(1)
    level, _ = curve(raw, d, otherwise=np.zeros(1000))
    assert level.chosen is not None and level.points == curve(raw, d)[0].points
    worse, _ = curve(raw, d, otherwise=-1.0 * (random.random(1000) < 0.1))
    assert worse.chosen is None and "beyond the margin" in worse.refused
    with pytest.raises(UsageError, match="differences of the upper model"):
        curve(raw, d, otherwise=np.zeros(3))


def test_an_oracle_with_an_upper_model_takes_what_it_gains():
    d = np.array([-1.0, -1.0, 0.0, 0.0])
    assert oracle_share(d, 0.1) == 0.5
    assert oracle_share(d, 0.1, np.array([1.0, 0.0, 0.0, 0.0])) == 0.75, "what it wins pays for one more"
    assert oracle_share(d, 0.1, d) == 0.0, "one that is wrong as often leaves nothing within the margin"


def test_order_and_scale_of_the_signal_change_nothing():
    raw, d = told()
    first, _ = curve(raw, d)
    mixed = np.random.default_rng(1).permutation(len(d))
    again, _ = curve(np.log(raw[mixed]), d[mixed])
    assert again.chosen == first.chosen
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
        ({"margin": 0.0}, "margin is 0"),
        ({"alpha": 1.0}, "alpha is 1"),
        ({"least_share": -0.1}, "least share is -0.1"),
        ({"codes": np.zeros(3, dtype=np.int64)}, "not of the same samples"),
        ({"slices": {"team": ["a"]}}, "slice team: 1 values for 1000 samples"),
        ({"differences": 2 * D}, "outside -1 to 1"),
        ({"raw": np.where(RAW > 0.5, np.inf, RAW)}, "infinite"),
    ],
)
def test_what_is_not_a_table_is_an_error(changed, message):
    with pytest.raises(UsageError, match=message):
        curve(**{"raw": RAW, "differences": D} | changed)


def test_thresholds_never_part_equal_signals():
    assert thresholds(np.array([0.9, 0.5, 0.5, 0.5, 0.1, np.nan])).tolist() == [1, 4, 5]
    assert thresholds(np.full(3, np.nan)).tolist() == []
    assert thresholds(np.arange(1000.0)).tolist() == list(range(10, 1001, 10))


def test_the_oracle_takes_wins_first_and_as_many_losses_as_the_margin_allows():
    d = np.array([-1.0] * 30 + [0.0] * 60 + [1.0] * 10)
    assert oracle_share(d, 0.05) == pytest.approx(0.85)  # 10 wins and 5 points pay for 15 losses
    assert oracle_share(np.zeros(4), 0.05) == 1.0
    assert oracle_share(-np.ones(4), 0.05) == 0.0
    assert oracle_share(np.empty(0), 0.05) == 0.0


def test_the_share_has_wilsons_limits_wider_with_clusters():
    here = np.arange(200) < 120
    assert share_interval(here, None, 0.025) == pytest.approx(wilson_limits(120, 200, 0.025))
    assert share_interval(here, np.arange(200), 0.025) == share_interval(here, None, 0.025)
    low, high = share_interval(here, np.arange(200) // 10, 0.025)
    assert low < wilson_limits(120, 200, 0.025)[0] and high > wilson_limits(120, 200, 0.025)[1]
    assert share_interval(here, np.zeros(200, dtype=np.int64), 0.025) == (0.0, 1.0)
    with pytest.raises(UsageError, match="no request"):
        share_interval(np.empty(0, dtype=bool), None, 0.025)


def test_the_best_curve_has_the_most_to_expect_and_a_router_wins_a_tie():
    raw, d = told()
    better, _ = curve(raw, d)
    noisy, _ = curve(raw + np.random.default_rng(2).normal(0, 0.3, 1000), d)
    none, _ = curve(np.full(1000, 0.5), d)
    router, _ = curve(raw, d, way="router", signal="router")
    assert noisy.chosen is not None
    assert best_curve([none, noisy, better]) == 2
    assert best_curve([better, router]) == 1
    assert best_curve([none]) is None
    assert best_curve([]) is None


def test_the_threshold_is_worth_most_and_passes():
    found, _ = curve(*told())
    assert found.refused is None and found.chosen is not None
    point = found.points[found.chosen]
    assert found.chance >= 0.8
    assert 0.3 < point.share < found.oracle_share < 1
    assert point.low > -0.03 and point.difference > point.random


RAW, D = told()


@pytest.mark.parametrize(
    ("raw", "differences", "changed", "reason"),
    [
        (np.full(1000, np.nan), D, {}, "no answer carries this signal"),
        (np.where(np.arange(1000) < 100, RAW, np.nan), D, {}, "only 10% of answers carry this signal"),
        (np.random.default_rng(9).random(1000), -1.0 * (np.random.default_rng(8).random(1000) < 0.01), {},
         "not shown to tell good answers from bad ones"),
        (-RAW, D, {}, "at the least share (20%) the mixture may be"),
        (RAW, -np.ones(1000), {}, "worse than the incumbent on all 1,000"),
        (RAW, np.full(1000, np.nan), {}, "no selection sample has two scores"),
        (RAW[:120], D[:120], {}, "120 selection samples cannot show a drop of less than 3 points"),
        (RAW, D, {"held_out": 29}, "fewer than 30 held-out samples"),
        (RAW, D, {"held_out": 100}, "no share has an even chance that the 100 held-out samples promote it"),
        (RAW, D, {"least_share": 0.995}, "no threshold answers 100% or more here"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen_is_refused_in_words(raw, differences, changed, reason):
    found, calibration = curve(raw, differences, **changed)
    assert found.chosen is None and found.chance is None
    assert reason in found.refused
    assert 0 <= calibration(0.5) <= 1


def test_a_slice_is_not_harmed_behind_a_good_mean():
    raw, d = told(2000, scale=0.1)
    team = np.where(np.arange(2000) % 20 == 0, "b", "a")
    d = np.where((team == "b") & (np.arange(2000) % 3 == 0), -1.0, d)
    bare, _ = curve(raw, d, held_out=4000)
    assert bare.chosen is not None
    team_of = {"team": team.tolist()}
    found, _ = curve(raw, d, held_out=4000, slices=team_of)
    assert found.chosen < bare.chosen
    found, _ = curve(raw, d, held_out=4000, slices=team_of, least_share=0.6)
    assert found.chosen is None
    assert "at every share that passes a slice is harmed: team=b loses" in found.refused
    spared, _ = curve(np.where(team == "b", np.nan, raw), d, held_out=4000, slices=team_of, least_share=0.6)
    assert spared.chosen is not None
