import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.stats import binary

TABLES = st.tuples(*[st.integers(0, 200)] * 4).filter(lambda t: sum(t) > 0)


@settings(max_examples=30, deadline=None)
@given(TABLES)
def test_limits_hold_the_estimate_and_mirror(table):
    _, wins, losses, _ = table
    n = sum(table)
    found, mirror = binary.tango_ci(wins, losses, n), binary.tango_ci(losses, wins, n)
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    assert found.lower == pytest.approx(-mirror.upper, abs=1e-9)
    assert found.upper - found.lower > 0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 400))
def test_the_test_and_the_limit_say_the_same(wins, losses, rest):
    n, margin = wins + losses + rest, 0.05
    above = binary.tango_ci(wins, losses, n).lower > -margin
    assert above == (float(binary.tango_statistic(wins, losses, n, -margin)) > binary.z_quantile(0.025))


def test_total_agreement_is_the_closed_form():
    z = binary.z_quantile(0.025)
    for n in (1, 20, 1000):
        found = binary.tango_ci(0, 0, n)
        assert found.upper == pytest.approx(z * z / (n + z * z), abs=1e-9)
        assert found.lower == pytest.approx(-z * z / (n + z * z), abs=1e-9)


def test_limits_of_two_known_tables():
    z = 1.959963984540054
    assert binary.tango_limits(1, 7, 21, z) == pytest.approx((-0.5172322764, -0.0260030325), abs=1e-9)
    assert binary.tango_limits(40, 20, 160, z) == pytest.approx((0.0308645331, 0.2180642442), abs=1e-9)
