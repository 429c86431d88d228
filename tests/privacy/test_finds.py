import itertools

from hypothesis import given
from hypothesis import strategies as st

from freehold.privacy import patterns
from freehold.privacy.finds import Find, apart, blanked, replaced

PARTS = st.sampled_from(
    [
        "ada@example.com",
        "+49 170 1234567",
        "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00",
        "10.0.0.7",
        " ",
        ", ",
        "order 4711",
        "0170 1234567",
        "sk-proj-abcdefghijklmnop1234",
        "日本",
        "x",
    ]
)


def test_of_two_that_overlap_the_longer_one_stays():
    assert apart([Find(0, 4, "A"), Find(2, 9, "B"), Find(9, 10, "C")]) == [Find(2, 9, "B"), Find(9, 10, "C")]


@given(st.lists(PARTS).map("".join))
def test_finds_are_in_order_apart_and_inside(text):
    found = patterns.find(text)
    assert all(one.end <= other.start for one, other in itertools.pairwise(found))
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert len(blanked(text, found, "_")) == len(text)
    assert replaced(text, found, lambda find, value: value) == text
