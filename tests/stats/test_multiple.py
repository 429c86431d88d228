import numpy as np
import pytest

from freehold.errors import UsageError
from freehold.stats import multiple


def test_self_noise_is_seen_or_absent():
    found = multiple.self_noise([1, 0, 1, None, 1], [1, 1, 1, 1, 0])
    assert (found.psi, found.n) == (0.5, 4)
    assert multiple.self_noise([1], [1]) is None


def test_five_candidates_share_one_alpha():
    p = {"a": 0.004, "b": 0.02, "c": 0.02, "d": 0.5, "e": 0.9}
    assert multiple.promotable(p) == ["a"]
    assert multiple.promotable({"b": 0.02}) == ["b"]


def test_required_metrics():
    assert multiple.all_required({"quality": "promote", "json": "promote"}, {}) == "promote"
    assert (
        multiple.all_required({"quality": "promote", "json": "hold"}, {"json": 0.4, "quality": 1.0}) == "hold"
    )
    p = {"quality": 1.0, "json": 0.02}
    assert multiple.all_required({"quality": "promote", "json": "reject"}, p) == "hold"
    p = {"quality": 1.0, "json": 0.001}
    assert multiple.all_required({"quality": "promote", "json": "reject"}, p) == "reject"
    with pytest.raises(UsageError):
        multiple.all_required({}, {})


def test_keeping_a_share():
    rng = np.random.default_rng(0)
    incumbent = (rng.random(2000) < 0.8).astype(float)
    same = np.where(rng.random(2000) < 0.02, 1 - incumbent, incumbent)
    assert multiple.relative_noninferiority(incumbent, same, kept=0.95)[1]
    worse = incumbent * (rng.random(2000) < 0.9)
    assert not multiple.relative_noninferiority(incumbent, worse, kept=0.95)[1]
    with pytest.raises(UsageError):
        multiple.relative_noninferiority(incumbent, same, kept=1.5)
