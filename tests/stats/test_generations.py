"""Levels of generations: one budget for all swaps, another for all claims, and what comes of a look."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from tests.stats.conftest import counted, run

from freehold.errors import UsageError
from freehold.stats.generations import BUDGET, GenerationLevel, GenerationLook, conclude, gamma, next_level

NOTHING, SWAPPED, BETTER = (
    GenerationLook(),
    GenerationLook(swapped=True),
    GenerationLook(swapped=True, better=True),
)
looks = st.sampled_from([NOTHING, SWAPPED, BETTER])


def levels(history):
    """The levels at which the looks of a history were taken."""
    return [next_level(history[:taken]) for taken in range(len(history))]


def test_a_look_has_its_own_share_and_what_was_handed_on():
    first = next_level([])
    assert (first.number, first.swap_alpha) == (1, pytest.approx(0.0218745, abs=1e-6))
    assert first.better_alpha == first.swap_alpha
    own = [BUDGET * gamma(number) for number in range(1, 6)]
    assert next_level([NOTHING] * 3).swap_alpha == pytest.approx(own[3])
    assert next_level([SWAPPED] * 3).swap_alpha == pytest.approx(sum(own[:4]))
    assert next_level([SWAPPED, NOTHING, SWAPPED, SWAPPED]).swap_alpha == pytest.approx(sum(own[2:5]))
    assert next_level([SWAPPED], budget=0.1).swap_alpha == pytest.approx(2 * sum(own[:2]))


def test_all_looks_together_have_the_whole_budget():
    shares = sum(gamma(number) for number in range(1, 20_001))
    assert shares + 20_000.5**-0.6 / 0.6 / special.zeta(1.6) == pytest.approx(1, abs=1e-6)
    assert gamma(1) == pytest.approx(1 / special.zeta(1.6))


@given(st.lists(st.booleans(), max_size=60), st.data())
def test_bad_generations_have_at_most_the_budget_until_one_is_swapped_in(good, data):
    """Whatever comes of the good ones, and wherever the bad ones stand."""
    history = [data.draw(looks) if one else NOTHING for one in good]
    for kind in ("swap_alpha", "better_alpha"):
        of_bad = [getattr(level, kind) for level, one in zip(levels(history), good, strict=True) if not one]
        assert math.fsum(of_bad) <= BUDGET + 1e-12


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=60))
def test_false_claims_have_at_most_the_budget_whatever_is_swapped_in(generations):
    """A generation that is as good may be swapped in, and is not said to be better."""
    history = [GenerationLook(swapped=swapped or better, better=better) for swapped, better in generations]
    of_equal = [
        level.better_alpha for level, look in zip(levels(history), history, strict=True) if not look.better
    ]
    assert math.fsum(of_equal) <= BUDGET + 1e-12


@given(st.lists(looks, max_size=40))
def test_a_look_that_swapped_nothing_leaves_the_next_its_own_share(history):
    after = next_level([*history, NOTHING])
    own = BUDGET * gamma(len(history) + 2)
    assert after.swap_alpha == after.better_alpha == pytest.approx(own)
    assert after.swap_alpha < next_level(history).swap_alpha
    assert after.swap_alpha < next_level([*history, SWAPPED]).swap_alpha <= BUDGET


@given(st.lists(looks, max_size=40))
def test_claims_have_a_budget_of_their_own(history):
    level = next_level(history)
    assert level.better_alpha <= level.swap_alpha
    never_claimed = [GenerationLook(swapped=look.swapped) for look in history]
    assert next_level(never_claimed).swap_alpha == level.swap_alpha
    assert next_level(never_claimed).better_alpha == pytest.approx(BUDGET * gamma(level.number))


def test_what_cannot_be_is_refused():
    with pytest.raises(UsageError, match=r"the budget is 0\.5, expected between 0 and 0\.5"):
        next_level([], budget=0.5)
    with pytest.raises(UsageError, match="look 2 claims better of a generation that was not swapped in"):
        next_level([SWAPPED, GenerationLook(better=True)])


LEVEL = GenerationLevel(number=1, swap_alpha=0.025, better_alpha=0.025)
AS_GOOD = run(counted(both=900, wins=25, losses=25, neither=50), margin=0.03)
AHEAD = run(counted(both=900, wins=60, losses=10, neither=30), margin=0.03)
BEHIND = run(counted(both=900, wins=15, losses=45, neither=40), margin=0.03)


@pytest.mark.parametrize("missed", ["served", "anchor", "mixture"])
def test_each_of_the_three_must_be_proven(missed):
    proofs = {"served": AHEAD, "anchor": AHEAD, "mixture": AHEAD}
    assert conclude(LEVEL, **proofs, better=AHEAD) == BETTER
    assert conclude(LEVEL, **proofs | {missed: BEHIND}, better=AHEAD) == NOTHING


def test_better_is_more_than_not_worse():
    proofs = {"served": AS_GOOD, "anchor": AHEAD, "mixture": AHEAD}
    assert conclude(LEVEL, **proofs, better=AS_GOOD) == SWAPPED


@pytest.mark.parametrize("level", [(0.02, 0.025), (0.025, 0.02)])
def test_a_comparison_at_more_than_its_level_concludes_nothing(level):
    level = GenerationLevel(number=3, swap_alpha=level[0], better_alpha=level[1])
    with pytest.raises(ValueError, match="a comparison errs by more than look 3 may"):
        conclude(level, served=AHEAD, anchor=AHEAD, mixture=AHEAD, better=AHEAD)


@pytest.mark.parametrize("start", [1, 4, 20])
def test_a_bad_swap_ever_happens_in_at_most_the_budget_of_projects(start):
    """Good generations hand on what they can, then bad ones come for as long as none is swapped in, in turn with more
    good ones: the order that leaves the bad ones the most."""
    projects, rng = 4000, np.random.default_rng(31)
    wrong = 0
    for _ in range(projects):
        history = []
        for number, p in enumerate(rng.random(24).tolist(), 1):
            bad = number >= start and number % 2 == 0
            swapped = p <= next_level(history).swap_alpha if bad else True
            if bad and swapped:
                wrong += 1
                break
            history.append(GenerationLook(swapped=swapped))
    assert 0.02 < wrong / projects <= BUDGET + 2 * math.sqrt(BUDGET * (1 - BUDGET) / projects)
