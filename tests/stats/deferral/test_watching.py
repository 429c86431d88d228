import msgspec
import numpy as np
import pytest

from freehold.stats.deferral.watching import (
    ALPHA_SPLIT,
    MeanDetector,
    MeanLimit,
    acts_at,
    loss_limit,
    overconfidence_limit,
    share_limits,
)


def test_the_statistic_is_what_its_formula_says():
    limit = MeanLimit(0.1, -1.0, 1.0)
    bets = 0.95 / 1.1 * 2.0 ** -np.arange(10)
    e = (1 + bets * 0.9) * (1 + bets * -0.1)
    after = MeanDetector().update([1.0, 0.0], limit)
    assert after.statistics == pytest.approx(tuple(e)) and after.statistic == pytest.approx(e.mean())
    again = after.update([1.0, 0.0], limit)
    assert again.statistics == pytest.approx(tuple((e + 1) * e)) and again.periods == 2


def test_a_state_survives_the_store_and_an_endless_loss():
    state = MeanDetector()
    for _ in range(50):
        state = state.update([1.0] * 200, loss_limit(0.02, 0.5))
    assert np.isfinite(state.statistic)
    assert msgspec.json.decode(msgspec.json.encode(state), type=MeanDetector) == state


def test_a_period_that_says_nothing_changes_nothing():
    state = MeanDetector().update([0.5], MeanLimit(0.1, -1, 1))
    assert state.update([], MeanLimit(0.1, -1, 1)) == state
    assert state.update([1.0], loss_limit(0.1, 0.05)) == state, "so small a share cannot lose the margin"
    assert state.update([1.0], loss_limit(0.1, 0.0)) == state
    for bad in ([1.1], [-1.1], [float("nan")]):
        with pytest.raises(ValueError, match="must lie in"):
            state.update(bad, MeanLimit(0.1, -1, 1))


def test_limits_are_what_was_promised_to_all_requests():
    assert loss_limit(0.02, 0.5) == (0.04, -1.0, 1.0)
    above, below = share_limits(0.6, 0.7, 0.05)
    assert above.at == pytest.approx(0.75) and below.at == pytest.approx(0.45)
    assert overconfidence_limit().at == 0.05


def test_the_thresholds_of_a_year_add_up_to_a_twentieth():
    assert sum(ALPHA_SPLIT.values()) == pytest.approx(0.05)
    assert acts_at("loss", every_hours=168) == pytest.approx(8766 / 168 / 0.03)
    assert acts_at("loss", every_hours=10**6) == pytest.approx(1 / 0.03)


def test_e_values_are_at_most_one_on_average_where_the_claim_holds():
    rng = np.random.default_rng(3)
    limit = loss_limit(0.03, 0.5)
    d = rng.choice([1.0, 0.0, -1.0], p=[0.08, 0.9, 0.02], size=(20_000, 30))  # a mean of exactly the limit
    one = np.array([MeanDetector().update(period, limit).statistic for period in d[:4000]])
    assert one.mean() <= 1 + 4 * one.std() / np.sqrt(len(one))
