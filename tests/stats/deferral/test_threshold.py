"""Each threshold's test is the verdict's own; the sequence ends at the first failure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.stats import exact
from freehold.stats.binary import tango_statistic
from freehold.stats.clustered import clustered_binary_limits
from freehold.stats.compare import compare_scores
from freehold.stats.deferral.running import running_sums
from freehold.stats.deferral.slices import mixture_slices
from freehold.stats.deferral.threshold import (
    MixtureTrial,
    beyond_random,
    chance_of_promote,
    effects,
    limits,
    needed_samples,
    passing,
    within_margin,
)
from freehold.stats.rules import DecisionRule

FIVES = np.arange(400) // 5


def trial(**changed):
    return MixtureTrial(
        **{"margin": 0.05, "alpha": 0.025, "held_out": 500, "binary": True, "clustered": False} | changed
    )


def told(seed, n=400, win=0.03, loss=0.05):
    rng = np.random.default_rng(seed)
    luck = rng.random(n)
    return (luck < win) * 1.0 - (luck > 1 - loss) * 1.0


@settings(max_examples=15)
@given(st.integers(0, 10_000), st.floats(0, 0.1))
def test_independent_pairs_are_tested_as_in_the_verdict(seed, loss):
    d = told(seed, 200, loss=loss)
    sums = running_sums(d, None, np.array([100, 200]))
    found = within_margin(sums, trial(held_out=200))
    for place, count in enumerate((100, 200)):
        mixed = np.where(np.arange(200) < count, d, 0.0)
        verdict = compare_scores(
            [str(row) for row in range(200)],
            np.maximum(-mixed, 0).tolist(),
            np.maximum(mixed, 0).tolist(),
            DecisionRule(margin=0.05),
        )
        low, high = (part[place] for part in limits(sums, trial()))
        assert (low, high) == pytest.approx((verdict.ci_low, verdict.ci_high))
        score = tango_statistic(sums.wins[place], sums.losses[place], 200, -0.05)
        reached = score >= exact.critical_value(200, -0.05, 0.025)
        assert found[place] == reached == (verdict.ci_low > -0.05 and verdict.p_exact <= 0.025)


def test_clusters_are_tested_as_in_the_verdict_where_all_is_answered():
    d = told(1)
    sums = running_sums(d, FIVES, np.array([400]))
    found = effects(sums)
    verdict = clustered_binary_limits(FIVES, d, margin=0.05)
    assert found.mean[0] == pytest.approx(verdict.estimate)
    assert found.variance[0] == pytest.approx(verdict.mean.se**2)
    assert found.seen[0] == pytest.approx(verdict.design_effect_used)
    low, high = limits(sums, trial(clustered=True))
    assert low[0] <= verdict.lower + 1e-9 and high[0] >= verdict.upper - 1e-9


def test_clumps_are_bounded_by_what_is_answered():
    """One of each five is answered: five lost together are not possible, and no loss at all shows much."""
    first_of_each = np.argsort(np.arange(400) % 5, kind="stable")
    sums = running_sums(np.zeros(400), FIVES[first_of_each], np.array([80, 400]))
    assert effects(sums).largest == pytest.approx([1, 5])
    # 0 of 400 excludes 1 %, 0 of 80 clusters of five that may all be alike does not exclude 4 %.
    assert within_margin(sums, trial(margin=0.02, clustered=True)).tolist() == [True, False]


def test_scores_between_the_ends_have_limits_of_t_widened_for_skewness():
    rng = np.random.default_rng(0)
    d = np.where(rng.random(400) < 0.7, 0.0, rng.uniform(-1, 0.6, 400))
    sums = running_sums(d, None, np.array([400]))
    verdict = compare_scores(
        [str(row) for row in range(400)],
        np.maximum(-d, 0).tolist(),
        np.maximum(d, 0).tolist(),
        DecisionRule(margin=0.05),
    )
    low, high = limits(sums, trial(binary=False))
    assert (low[0], high[0]) == pytest.approx((verdict.ci_low, verdict.ci_high), abs=0.004)
    found = [within_margin(sums, trial(binary=False, margin=-low[0] + off)) for off in (-1e-6, 1e-6)]
    assert [bool(one[0]) for one in found] == [False, True]


def test_few_differences_between_the_ends_count_at_full_range():
    d = np.zeros(400)
    d[:3] = -0.1
    low, high = limits(running_sums(d, None, np.array([400])), trial(binary=False))
    assert low[0] < -0.02 and high[0] > 0.002  # t alone would say -0.0016 to 0.0001


def test_nothing_after_a_failure_is_chosen():
    d = np.zeros(1000)
    d[300:360], d[360:420] = -1.0, 1.0  # lost and won back
    counts = np.arange(100, 1000, 10)
    sums = running_sums(d, None, counts)
    found = passing(sums, trial(), 10)
    alone = within_margin(sums, trial())
    assert not alone.all() and alone[-1]
    assert not found.within[:10].any() and found.within[10]
    failed = int(np.argmin(alone))
    assert not found.within[failed:].any() and np.isinf(found.worth[failed:]).all()


def test_a_chance_rises_with_held_out_samples_and_worth_with_the_share():
    rng = np.random.default_rng(2)
    d = -1.0 * (rng.random(1000) < 0.3 * np.linspace(0, 1, 1000) ** 2)
    sums = running_sums(d, None, np.arange(20, 1000, 20))
    small, large = (chance_of_promote(sums, trial(held_out=h)) for h in (200, 2000))
    assert (small <= large)[small > 0.5].all() and (small < large).any()
    found = passing(sums, trial(held_out=600), 0)
    sure, even = found.within & (found.chance >= 0.8), found.within & (found.chance >= 0.5)
    assert sure.any() and (even & ~sure).any() and not even.all()
    assert found.worth[sure] == pytest.approx((sums.answered / 1000 * found.chance)[sure])
    assert (found.worth[even & ~sure] < 0).all() and np.isinf(found.worth[~even]).all()


def test_partial_credit_has_no_chance_among_fewer_held_out_samples_than_rare_losses_take():
    """72 at a margin of 0.05: the verdict holds on fewer, and the look would be spent for nothing."""
    d = np.random.default_rng(1).normal(0, 0.02, 400)
    sums = running_sums(d, None, np.array([200, 400]))
    few, enough = (chance_of_promote(sums, trial(binary=False, held_out=n)) for n in (60, 90))
    assert (few < 0.01).all() and (enough > 0.9).all()


def test_the_fewest_samples_that_could_show_a_margin():
    for margin in (0.01, 0.02, 0.05):
        n = needed_samples(trial(margin=margin), 10**6)
        assert not tango_statistic(0, 0, n - 2, -margin) >= 1.959964
        assert tango_statistic(0, 0, n, -margin) >= 1.959963
    assert needed_samples(trial(clustered=True), 50, 3.0) > 3 * needed_samples(trial(), 50)


@pytest.mark.parametrize("clustered", [False, True])
def test_a_signal_that_says_nothing_passes_for_one_in_forty(clustered):
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(1000):
        codes = FIVES if clustered else None
        shared = rng.random(80)[FIVES] if clustered else rng.random(400)
        d = -1.0 * (np.where(rng.random(400) < 0.5, shared, rng.random(400)) < 0.1)
        raw = (
            np.where(rng.random(400) < 0.5, rng.random(80)[FIVES], rng.random(400))
            if clustered
            else rng.random(400)
        )
        hits += beyond_random(d, raw, codes) <= 0.025
    assert hits <= 25 + 2.6 * 5


def test_a_signal_that_tells_is_found_whatever_its_scale_and_its_gaps():
    rng = np.random.default_rng(6)
    raw = rng.random(500)
    d = -1.0 * (rng.random(500) < 0.3 * (1 - raw) ** 2)
    assert beyond_random(d, raw, None) < 1e-4
    assert beyond_random(d, raw**9, None) == beyond_random(d, raw, None)
    assert beyond_random(d, -raw, None) > 0.99
    gone = np.where(raw < 0.3, np.nan, raw)
    assert beyond_random(d, gone, None) < 1e-3
    assert beyond_random(d, np.full(500, 0.5), None) == 1.0
    assert beyond_random(np.zeros(500), raw, None) == 1.0
    assert beyond_random(d, raw, np.zeros(500, dtype=np.int64)) == 1.0


RULE = DecisionRule(margin=0.03)


def test_slices_are_those_of_the_verdict_on_the_mixture():
    rng = np.random.default_rng(0)
    incumbent, candidate = (rng.random((2, 300)) < 0.85).astype(float)
    here = rng.random(300) < 0.5
    language = rng.choice(["de", "fr", "it"], 300).tolist()
    mixed = np.where(here, candidate, incumbent)
    verdict = compare_scores(
        [str(row) for row in range(300)],
        incumbent.tolist(),
        mixed.tolist(),
        RULE,
        slices={"language": language},
    )
    found = mixture_slices(candidate - incumbent, here, {"language": language}, RULE)
    assert [(one.name, one.difference, one.ci_low, one.p_harm) for one in found] == [
        (one.name, pytest.approx(one.difference), pytest.approx(one.ci_low), pytest.approx(one.p_harm))
        for one in verdict.slices
    ]


def test_the_harmed_slice_comes_first_behind_a_good_mean():
    field = ["a"] * 900 + ["b"] * 100
    d = np.where(np.arange(1000) >= 960, -1.0, 0.0)
    d[:40] = 1.0
    found = mixture_slices(d, np.ones(1000, dtype=bool), {"team": field}, RULE)
    assert d.mean() == 0
    assert [(one.name, one.harmed) for one in found] == [("team=b", True), ("team=a", False)]
    spared = mixture_slices(d, np.arange(1000) < 900, {"team": field}, RULE)
    assert not any(one.harmed for one in spared)


def test_unscored_samples_count_where_the_incumbent_answers():
    d = np.full(60, np.nan)
    found = mixture_slices(d, np.arange(60) < 20, {"team": ["a"] * 60}, RULE)
    assert found[0].n == 40
