from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from freehold.evals.matching import Fault, first_unmatched

BAD = Fault("bad", "")


@given(
    st.integers(1, 5).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_a_pairing_is_found_exactly_where_one_exists(fits):
    faults = [[None if one else BAD for one in row] for row in fits]
    possible = any(
        all(fits[row][column] for row, column in enumerate(order)) for order in permutations(range(len(fits)))
    )
    assert (first_unmatched(faults) is None) == possible


def test_the_call_of_the_right_name_says_what_is_wrong():
    other, near = Fault("wrong_function", "", False), Fault("wrong_value", "")
    assert first_unmatched([[other, near]]) == near
