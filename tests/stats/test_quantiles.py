import math

import numpy as np
import pytest

from freehold.stats import quantiles


def test_few_observations_have_no_upper_limit():
    found = quantiles.quantile_limits(list(range(50)), 0.95)
    assert found.upper is None
    assert quantiles.quantile_limits([], 0.95) == (None, None, 0)
    assert quantiles.quantile_cs_ranks(60, 0.99).upper_rank is None


def test_limits_hold_the_quantile_at_every_look():
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(60):
        x = rng.exponential(1.0, 600)
        truth = -math.log(0.1)
        for t in range(50, 601, 50):
            low, high, _ = quantiles.quantile_limits(x[:t], 0.9, alpha=0.05)
            if (low is not None and low > truth) or (high is not None and high < truth):
                missed += 1
                break
    assert missed <= 6


def test_timeouts_are_infinite_not_missing():
    latencies = [100.0] * 800 + [math.inf] * 200
    assert quantiles.quantile_limits(latencies, 0.95).lower == math.inf
    with pytest.raises(ValueError, match="timeout is infinity"):
        quantiles.quantile_limits([1.0, math.nan], 0.5)


def test_slower_is_said_only_when_shown():
    rng = np.random.default_rng(2)
    control, slow = rng.exponential(1.0, 2000), rng.exponential(2.0, 2000)
    assert quantiles.slower_than_control(slow, control) is True
    assert quantiles.slower_than_control(control, control) is False
    assert quantiles.slower_than_control(slow[:30], control[:30]) is None
