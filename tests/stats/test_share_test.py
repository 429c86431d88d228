"""A share decided as its items come: error rates by the exact distribution, not by the bound that promises them."""

import math

import pytest

from freehold.stats.share_test import ShareTest

ENDS = ShareTest(wanted=0.98, least=0.9, error=0.05)


def decided(test, share, most):
    """Exact probabilities of each outcome after at most `most` items, by the number of misses still undecided."""
    alive, found = {0: 1.0}, {"enough": 0.0, "too few": 0.0}
    for n in range(1, most + 1):
        after = {}
        for misses, chance in alive.items():
            for more, p in ((0, share), (1, 1 - share)):
                after[misses + more] = after.get(misses + more, 0.0) + chance * p
        alive = {}
        for misses, chance in after.items():
            # The order does not matter while undecided: what was decided has left.
            evidence = (n - misses) * math.log(test.wanted / test.least) + misses * math.log(
                (1 - test.wanted) / (1 - test.least)
            )
            if evidence >= -math.log(test.error):
                found["enough"] += chance
            elif evidence <= math.log(test.error):
                found["too few"] += chance
            else:
                alive[misses] = chance
    return found


@pytest.mark.parametrize("share", [0.98, 0.99, 1.0])
def test_a_share_as_wanted_is_seldom_too_few(share):
    assert decided(ENDS, share, 2000)["too few"] <= 0.05


@pytest.mark.parametrize("share", [0.9, 0.8, 0.5])
def test_a_share_that_is_too_small_is_seldom_enough(share):
    assert decided(ENDS, share, 2000)["enough"] <= 0.05


def test_most_shares_beyond_the_two_are_decided_in_the_prompts_that_parity_asks():
    assert decided(ENDS, 0.995, 120)["enough"] > 0.95
    assert decided(ENDS, 0.8, 120)["too few"] > 0.95


def test_it_decides_at_the_first_item_that_does_and_keeps_to_it():
    assert ENDS.fewest == 36
    assert ENDS.shown([True] * 35) == "undecided"
    assert ENDS.shown([True] * 36 + [False] * 20) == "enough"
    assert ENDS.shown([False] * 2 + [True] * 100) == "too few"
    assert ENDS.shown([]) == "undecided"


@pytest.mark.parametrize("wrong", [(0.9, 0.98, 0.05), (0.98, 0.9, 0.5), (1.0, 0.9, 0.05), (0.9, 0.9, 0.05)])
def test_shares_that_make_no_test_are_refused(wrong):
    with pytest.raises(ValueError, match="0 < least < wanted < 1"):
        ShareTest(wanted=wrong[0], least=wrong[1], error=wrong[2])
