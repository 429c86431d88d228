"""Labels compared: chance is not told, and a difference that matters is."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import chi2_contingency

from freehold.datasets.profile import LEVEL, label_shift


def test_out_of_scope_that_is_held_out_more_often_is_told_by_name_and_shares():
    before = {"out of scope": 93, **{f"intent {n}": 20 for n in range(150)}}
    after = {"out of scope": 330, **{f"intent {n}": 10 for n in range(150)}}
    found = label_shift(before, after)
    assert found.tells and found.p == 1 / 2000 and found.share == pytest.approx(0.15, abs=0.01)
    name, share, other = found.most[0]
    assert (name, round(share, 3), round(other, 2)) == ("out of scope", 0.03, 0.18)


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.9, 0.05, 0.03, 0.02], [1 / 60] * 60])
def test_chance_is_told_in_one_case_of_a_hundred(shares):
    draw = np.random.default_rng(3)
    sides = [dict(enumerate(draw.multinomial(n, shares))) for _ in range(300) for n in (300, 80)]
    found = [label_shift(*pair) for pair in zip(sides[::2], sides[1::2], strict=True)]
    assert sum(one.p < LEVEL for one in found) <= 9  # 3 expected; more than 9 in 1 of 1,000 series


def test_where_counts_are_large_it_is_the_chi_square_test():
    before, after = {"a": 5100, "b": 4900}, {"a": 4900, "b": 5100}
    both = [[5100, 4900], [4900, 5100]]
    assert label_shift(before, after).p == pytest.approx(
        chi2_contingency(both, correction=False).pvalue, abs=3e-3
    )


def test_much_data_does_not_make_a_trifle_tell_and_an_empty_side_says_nothing():
    assert not label_shift({"a": 505_000, "b": 495_000}, {"a": 495_000, "b": 505_000}).tells
    assert label_shift({}, {"a": 3}) is None and label_shift({"a": 3}, Counter()) is None
