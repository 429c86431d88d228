from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.stats.survival import product_limit


def test_the_estimate_of_a_worked_example():
    """Five sequences: one fails at 1, one ends at 2, one fails at 2, two fail at 3 and end at 3."""
    curve = product_limit([(1, True), (2, False), (2, True), (3, True), (3, False)])
    assert [(one.at_risk, one.failed) for one in curve] == [(5, 1), (4, 1), (2, 1)]
    assert [one.survived for one in curve] == pytest.approx([0.8, 0.6, 0.3])
    assert product_limit([]) == []


@given(st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=40))
def test_without_endings_before_the_last_it_is_the_plain_share(lasted):
    curve = product_limit(lasted)
    assert all(0 <= one.survived <= 1 for one in curve)
    assert all(a.survived >= b.survived for a, b in pairwise(curve))
    if all(failed for _, failed in lasted):
        for one in curve:
            assert one.survived == pytest.approx(sum(steps > one.number for steps, _ in lasted) / len(lasted))
