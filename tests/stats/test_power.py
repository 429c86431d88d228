import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from freehold.errors import UsageError
from freehold.stats import power
from freehold.stats.compare import outcome_of
from freehold.stats.rules import DecisionRule

# The specification's table at alpha 0.025 and no difference, computed there by other code.
TABLE = {
    (0.02, 50): (0.00, 0.01, 0.02, 0.05, 0.05, 0.04),
    (0.02, 200): (0.59, 0.34, 0.27, 0.17, 0.13, 0.07),
    (0.02, 1000): (1.00, 0.98, 0.93, 0.71, 0.50, 0.21),
    (0.05, 50): (0.01, 0.06, 0.09, 0.12, 0.12, 0.07),
    (0.05, 200): (1.00, 0.96, 0.91, 0.74, 0.56, 0.24),
    (0.05, 1000): (1.00, 1.00, 1.00, 1.00, 1.00, 0.82),
}


@pytest.mark.parametrize(("margin", "n"), TABLE)
def test_exact_power_is_the_specifications(margin, n):
    found = [
        power.exact_power(n, discordance=psi, margin=margin) for psi in (0.006, 0.02, 0.03, 0.06, 0.10, 0.30)
    ]
    assert found == pytest.approx(TABLE[margin, n], abs=0.0051)


def test_zero_loss_planning():
    assert [power.zero_loss_n(margin) for margin in (0.02, 0.05, 0.1)] == [191, 75, 36]


def test_the_planned_n_has_the_power_and_one_less_has_not():
    plan = power.noninferiority_n_binary(discordance=0.1, margin=0.05)
    assert plan.n_normal == 314
    assert plan.power >= 0.8
    assert power.exact_power(plan.n, discordance=0.1, margin=0.05) == pytest.approx(plan.power)
    assert power.exact_power(plan.n - 1, discordance=0.1, margin=0.05) < 0.8
    large = power.noninferiority_n_binary(discordance=0.4, margin=0.02)
    assert (large.exact, large.n) == (False, large.n_normal)
    assert power.noninferiority_n_binary(discordance=0.1, margin=0.05, design_effect=2).n == 2 * plan.n


def test_continuous_n_agrees_with_statsmodels():
    for sd, truth in ((0.25, 0.0), (0.1, -0.01), (0.4, 0.02)):
        found = power.noninferiority_n_continuous(sd=sd, margin=0.05, true_difference=truth)
        reference = TTestPower().solve_power(
            effect_size=(truth + 0.05) / sd, alpha=0.025, power=0.8, alternative="larger"
        )
        assert found.n == int(np.ceil(reference))


def test_differences_that_hardly_vary_need_two_pairs():
    assert power.noninferiority_n_continuous(sd=1e-12, margin=0.02) == (2, 1.0)


@pytest.mark.parametrize("sd", [1e5, 1e20, 1e308])
def test_more_pairs_than_can_be_counted_one_by_one_are_refused(sd):
    with pytest.raises(UsageError, match="more than 1,000,000,000,000 items"):
        power.noninferiority_n_continuous(sd=sd, margin=0.02)


def test_discordance_of_a_pilot_is_its_upper_limit():
    assert power.discordance_upper(0, 50) == pytest.approx(1 - 0.2 ** (1 / 50))
    assert power.discordance_upper(50, 50) == 1.0
    assert power.discordance_upper(5, 50) > 0.1


def test_the_smallest_detectable_has_a_floor():
    assert power.smallest_detectable(0, 100) == power.smallest_detectable(3.7, 100)


def test_a_noisy_incumbent_has_a_ceiling():
    assert power.power_at(200, discordance=0.2, margin=0.02) < 0.1
    assert power.power_at(20_000, discordance=0.04, margin=0.02) > 0.99


def test_a_plan_for_losses_too_rare_to_be_seen():
    """The fewest items without a loss that say something."""
    assert power.rare_loss_n(0.05) == 72 and 0.95**72 <= 0.025 < 0.95**71
    assert power.rare_loss_n(0.02) == 183
    assert power.rare_loss_n(0.05, true_difference=-0.02) == 119


def test_partial_credit_is_planned_by_the_rule_of_the_verdict():
    """122 pairs without a total loss say something at 3 points; by the spread alone 24 had 80 %, and held."""
    plan = power.partial_credit_n(sd=0.05, margin=0.03)
    assert plan.n == 138 and 0.8 <= plan.power_at_n < 0.83
    assert power.partial_credit_power(60, sd=0.05, margin=0.03) < 1e-3
    assert power.partial_credit_n(sd=0.05, margin=0.03, design_effect=2).n == 2 * plan.n
    assert power.partial_credit_n(sd=0.4, margin=0.03) == power.noninferiority_n_continuous(
        sd=0.4, margin=0.03
    )
    rng, rule = np.random.default_rng(0), DecisionRule(margin=0.03)
    promoted = [
        outcome_of(np.full(plan.n, 0.5), 0.5 + rng.normal(0, 0.05, plan.n), rule) == "promote"
        for _ in range(60)
    ]
    assert 0.65 < np.mean(promoted) < 0.95


@pytest.mark.parametrize(
    "assumptions",
    [
        {"discordance": 0.1, "margin": 0.0},
        {"discordance": 1.2, "margin": 0.02},
        {"discordance": 0.01, "margin": 0.05, "true_difference": 0.02},
        {"discordance": 0.1, "margin": 0.02, "true_difference": -0.02},
        {"discordance": 0.3, "margin": 0.02, "incumbent_rate": 0.95},
        {"discordance": 0.1, "margin": 0.02, "alpha": 0.6},
    ],
)
def test_impossible_assumptions_are_refused(assumptions):
    with pytest.raises(UsageError):
        power.noninferiority_n_binary(**assumptions)
    with pytest.raises(UsageError):
        power.noninferiority_n_continuous(sd=0, margin=0.1)
