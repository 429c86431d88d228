import numpy as np
import pytest
from scipy import stats
from tests.stats.conftest import counted, run

from freehold.errors import UsageError
from freehold.stats import continuous
from freehold.stats.rules import DecisionRule, Evidence, decide
from freehold.verdict.reasons import REASONS


def test_reject_needs_proof_of_harm_beyond_the_margin():
    shown = run(counted(both=350, wins=2, losses=40, neither=8), margin=0.05)
    assert (shown.verdict, shown.reasons) == ("reject", ("worse_than_margin",))
    measurable = run(counted(both=1465, wins=5, losses=30), margin=0.02)
    assert measurable.verdict == "hold"
    assert measurable.reasons == ("measurably_worse_margin_not_excluded",)


def test_superior_and_inside_the_margin_are_told_apart():
    assert run(counted(both=420, wins=60, losses=20), margin=0.02).reasons == ("superior",)
    worse = run(counted(both=4950, wins=5, losses=45), margin=0.02)
    assert (worse.verdict, worse.reasons) == ("promote", ("noninferior_but_measurably_worse",))


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, float("nan")])
def test_a_margin_outside_the_range_is_refused(margin):
    with pytest.raises(UsageError, match="margin"):
        run(counted(both=10), margin=margin)


def evidence(lower, upper, **more):
    return Evidence(**{"n": 100, "rule": DecisionRule(margin=0.05), "lower": lower, "upper": upper, **more})


@pytest.mark.parametrize(
    ("seen", "outcome", "reasons"),
    [
        (evidence(0.01, 0.1), "promote", ("superior",)),
        (evidence(-0.04, 0.1), "promote", ("noninferior",)),
        (evidence(-0.04, -0.01), "promote", ("noninferior_but_measurably_worse",)),
        (evidence(-0.05, 0.1), "hold", ("interval_spans_margin",)),
        (evidence(-0.06, -0.01), "hold", ("measurably_worse_margin_not_excluded",)),
        (evidence(-0.2, -0.06), "reject", ("worse_than_margin",)),
        (evidence(-0.2, -0.05), "hold", ("measurably_worse_margin_not_excluded",)),
        (evidence(-0.2, -0.06, p_exact_reject=0.03), "hold", ("measurably_worse_margin_not_excluded",)),
        (
            evidence(-0.2, -0.06, enough_to_reject=False),
            "hold",
            ("measurably_worse_margin_not_excluded",),
        ),
        (evidence(-0.04, 0.1, p_exact_promote=0.03), "hold", ("exact_test_not_passed",)),
        (evidence(-0.04, 0.1, p_rare_loss=0.03), "hold", ("rare_losses_could_hide_harm",)),
        (evidence(-0.04, 0.1, enough_to_promote=False), "hold", ("too_few_pairs",)),
        (evidence(-0.04, 0.1, lost_harmless=False), "hold", ("unscored_pairs_could_hide_harm",)),
        (evidence(-0.04, 0.1, vetoes=("slice_harm",)), "hold", ("slice_harm",)),
        (evidence(-0.2, -0.06, vetoes=("slice_harm",)), "reject", ("worse_than_margin",)),
        (evidence(-0.2, -0.06, blocks=("judge_inconsistent",)), "hold", None),
        (
            evidence(-0.3, -0.06, unmeasured=1.0),
            "hold",
            ("noise_could_explain_it", "measurably_worse_margin_not_excluded"),
        ),
        (evidence(-0.4, -0.26, unmeasured=1.0), "reject", ("worse_than_margin",)),
        (evidence(-0.3, -0.16, unmeasured=0.5), "reject", ("worse_than_margin",)),
        (evidence(-0.04, 0.1, unmeasured=1.0), "promote", ("noninferior",)),
        (evidence(None, None), "hold", ("too_few_pairs",)),
        (evidence(None, None, n=0), "hold", ("no_scored_pairs",)),
    ],
)
def test_the_decision_table(seen, outcome, reasons):
    decision = decide(seen)
    assert decision.outcome == outcome
    assert set(decision.reasons) <= set(REASONS)
    assert reasons is None or decision.reasons == reasons


def test_a_slice_may_drop_further_than_the_whole_unless_the_rule_says_otherwise():
    assert DecisionRule(margin=0.02).harm_margin == 0.05
    assert DecisionRule(margin=0.04).harm_margin == 0.08
    assert DecisionRule(margin=0.1, lo=-1.0).harm_margin == pytest.approx(0.2)
    assert DecisionRule(margin=0.02, slice_margin=0.3).harm_margin == 0.3


def test_an_alpha_that_proves_nothing_is_refused():
    for alpha in (0.0, 0.5, float("nan")):
        with pytest.raises(UsageError, match="alpha"):
            DecisionRule(margin=0.02, alpha=alpha)


def sample(n=60, seed=3):
    rng = np.random.default_rng(seed)
    return np.round(0.1 - rng.gamma(1.5, 0.08, n), 6)


def test_t_limits_agree_with_scipy():
    d = sample()
    found = continuous.paired_t_ci(d, margin=0.05)
    reference = stats.ttest_1samp(d, -0.05, alternative="greater")
    low, high = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=1e-12)
    assert found.p_noninferiority == pytest.approx(reference.pvalue, abs=1e-12)


def test_the_two_ways_of_resampling_agree():
    d = np.repeat([-1.0, -0.5, 0.0, 0.5], [3, 5, 40, 12])
    jitter = d + np.linspace(-1e-7, 1e-7, len(d))
    few, many = continuous.studentised_limits(d, seed=1), continuous.studentised_limits(jitter, seed=2)
    assert few == pytest.approx(many, abs=0.01)


def test_the_expansion_approaches_the_studentised_bootstrap():
    d = sample(4000)
    assert continuous.expansion_limits(d) == pytest.approx(continuous.studentised_limits(d, seed=1), abs=2e-4)


def test_no_variance_has_no_bootstrap_and_no_point():
    assert continuous.studentised_limits(np.zeros(50)) is None
    found = continuous.continuous_limits(np.zeros(50), margin=0.05)
    assert found.lower == pytest.approx(-0.0713476, abs=1e-6)
    assert found.parts.keys() == {"no_variance"}
    worst = continuous.continuous_limits(np.full(40, -1.0), margin=0.05)
    assert worst.lower == -1.0
    assert worst.upper > -1.0


def test_few_differences_count_at_full_range():
    d = np.zeros(100)
    d[:3] = -0.1
    found = continuous.continuous_limits(d, margin=0.02)
    assert "few_nonzero" in found.parts
    assert found.lower == found.parts["few_nonzero"][0]
    assert found.lower < found.parts["t"][0]


def test_small_samples_use_a_limit_that_needs_no_distribution():
    d = sample(20)
    found = continuous.continuous_limits(d, margin=0.02)
    assert found.lower == min(found.parts["t"][0], found.parts["bounded_mean"][0])
    rng = np.random.default_rng(0)
    missed = 0
    for seed in range(200):
        rare = np.where(rng.random(20) < 0.05, -1.0, 0.02 * rng.random(20))
        low, high = continuous.bounded_mean_limits(rare, reach=1.0, seed=seed)
        missed += not low <= -0.05 + 0.95 * 0.01 <= high
    assert missed / 200 <= 0.05


def test_large_samples_use_the_expansion():
    d = sample(60_000)
    found = continuous.continuous_limits(d, margin=0.02)
    assert found.parts.keys() == {"t", "expansion"}
    assert found.lower < found.upper


def test_nothing_is_no_interval():
    assert continuous.continuous_limits(np.empty(0), margin=0.1).lower is None


def partial_credit(rng, n, margin):
    """Differences that are small on 30 % of the items; total failures so often that the mean is -margin."""
    noise = np.where(rng.random(n) < 0.3, rng.choice([-0.1, 0.1], n), 0.0)
    return np.where(rng.random(n) < margin / 0.9, -0.9, noise)


def test_losses_too_rare_to_be_seen_promote_no_more_often_than_alpha():
    """The limits alone passed one sample in seven of 60: those without a single failure."""
    rng, n, margin = np.random.default_rng(4), 60, 0.03
    runs = [partial_credit(rng, n, margin) for _ in range(1500)]
    by_limits = [continuous.paired_t_ci(d).lower > -margin for d in runs]
    both = [
        t and continuous.rare_loss_p(d, margin=margin, reach=1.0) <= 0.025
        for t, d in zip(by_limits, runs, strict=True)
    ]
    assert np.mean(by_limits) > 0.1 and np.mean(both) < 0.025


def test_the_p_of_rare_losses_is_the_binomial_one():
    noise = np.tile([0.1, -0.1], 50)
    assert continuous.rare_loss_p(noise, margin=0.05, reach=1.0) == pytest.approx(0.95**100)
    assert continuous.rare_loss_p(2 * noise, margin=0.1, reach=2.0) == pytest.approx(0.95**100)
    one = np.concatenate([noise, [-1.0]])
    assert continuous.rare_loss_p(one, margin=0.05, reach=1.0) == pytest.approx(
        0.95**101 + 101 * 0.05 * 0.95**100
    )
    clumped = continuous.rare_loss_p(noise, margin=0.05, reach=1.0, effect=4.0)
    assert clumped == pytest.approx(0.95**25)
    assert continuous.rare_loss_p(noise - 0.06, margin=0.05, reach=1.0) == 1.0
    assert continuous.rare_loss_p(np.full(5, -1.0), margin=0.05, reach=1.0) == 1.0
