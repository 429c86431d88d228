import pytest

from freehold.errors import UsageError
from freehold.stats.power import PLANNING_DISCORDANCES, discordance_upper, rare_loss_n
from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan

TARGET = PowerTarget(margin=0.02)


def test_without_assumptions_five_discordances_and_two_differences_are_planned_with():
    found = plan(TARGET)
    assert {row.discordance for row in found.rows} == set(PLANNING_DISCORDANCES)
    assert {row.true_difference for row in found.rows} == {0.0, -0.005}
    assert all(row.n > 0 and row.power >= 0.8 and row.power_at_n is None for row in found.rows)


def test_a_pilot_stands_for_its_upper_limit_and_a_discordance_goes_first():
    pilot = plan(TARGET, PowerAssumptions(pilot=(12, 200)))
    assert {row.discordance for row in pilot.rows} == {discordance_upper(12, 200)}
    assert "the pilot's 12 of 200 pairs" in pilot.notes[0]
    both = plan(TARGET, PowerAssumptions(pilot=(12, 200), discordance=0.1))
    assert ({row.discordance for row in both.rows}, both.notes) == ({0.1}, ())


def test_clusters_multiply_items():
    alone = plan(TARGET, PowerAssumptions(discordance=0.1))
    clustered = plan(TARGET, PowerAssumptions(discordance=0.1, cluster_size=4, icc=0.5))
    assert clustered.design_effect == 2.5
    assert clustered.rows[0].n == pytest.approx(2.5 * alone.rows[0].n, abs=3)
    assert clustered.zero_loss_n == 4 * rare_loss_n(TARGET.margin) > 2.5 * alone.zero_loss_n
    assert clustered.notes[0].startswith("Clusters multiply the number of items by 2.50; below 732 items")


def test_five_items_of_a_cluster_count_and_too_few_clusters_prove_nothing():
    five = plan(TARGET, PowerAssumptions(discordance=0.1, cluster_size=5, icc=0.0))
    ten = plan(TARGET, PowerAssumptions(discordance=0.1, cluster_size=10, icc=0.0), n=100)
    assert ten.design_effect == five.design_effect == 1.0
    assert ten.rows[0].n == pytest.approx(2 * five.rows[0].n, abs=10) and ten.rows[0].power_at_n == 0
    many = plan(TARGET, PowerAssumptions(discordance=0.01, cluster_size=5, icc=0.0))
    assert many.rows[0].n >= many.zero_loss_n == 5 * rare_loss_n(TARGET.margin, TARGET.alpha)


def test_a_given_n_gets_its_power_and_self_noise_its_warning():
    found = plan(PowerTarget(0.01), PowerAssumptions(discordance=0.1), n=200, self_noise=0.1)
    assert 0 < found.rows[0].power_at_n < 0.8
    assert "pairs to pass against itself" in found.notes[0]
    assert "is not provable with 200 pairs" in found.notes[1]


def test_scores_that_are_not_binary_have_no_discordance():
    found = plan(TARGET, PowerAssumptions(sd=0.2, true_difference=0.0), n=500)
    (row,) = found.rows
    assert (row.discordance, found.zero_loss_n) == (None, None)
    assert row.n > 500 and row.power_at_n < 0.8


def test_partial_credit_has_no_power_among_fewer_items_than_rare_losses_take():
    """60 items had "a probability of 100 %" at 3 points, and the verdict on them holds whatever they show."""
    found = plan(PowerTarget(0.03), PowerAssumptions(sd=0.05, true_difference=0.0), n=60)
    (row,) = found.rows
    assert row.n == 138 and row.power_at_n < 0.01
    assert "with a probability of 0%, and 138 with one of 80%" in found.sentence


def test_a_margin_that_takes_millions_of_items_is_refused():
    with pytest.raises(UsageError, match="margin is 1e-09"):
        plan(PowerTarget(margin=1e-9))
