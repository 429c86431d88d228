import numpy as np

from freehold.datasets.session_flow import REPEAT_MICROS, Forest, sessions_of

MINUTE = 60_000_000


def forest(*requests, most=4):
    """Requests as (unit, unit it continues, minute, turns before it)."""
    units, parents, minutes, depths = (np.array(column) for column in zip(*requests, strict=True))
    return Forest(
        rows=np.arange(len(requests)),
        unit=units.astype(np.uint64),
        parent=parents.astype(np.uint64),
        at=minutes * MINUTE,
        depth=depths,
        deep=depths > 0,
        most_branches=most,
    )


def sessions(*requests, **how):
    """The sessions, each as the set of its requests' places."""
    found = sessions_of(forest(*requests, **how))
    return sorted(sorted(np.flatnonzero(found == name).tolist()) for name in set(found.tolist()))


def test_a_chain_is_one_session_and_two_chains_are_two():
    assert sessions((1, 0, 0, 0), (2, 1, 1, 1), (3, 2, 2, 2)) == [[0, 1, 2]]
    assert sessions((1, 0, 0, 0), (5, 0, 0, 0), (6, 5, 1, 1), (2, 1, 1, 1)) == [[0, 3], [1, 2]]


def test_what_goes_on_in_two_ways_is_a_branch():
    assert sessions((1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 2, 1), (4, 3, 3, 2)) == [[0, 1, 2, 3]]


def test_an_opening_recorded_twice_that_goes_on_in_two_ways_is_two_sessions():
    alike = [(1, 0, 0, 0), (1, 0, 60, 0), (2, 1, 1, 1), (3, 1, 61, 1)]
    assert sessions(*alike) == [[0, 2], [1, 3]]


def test_two_sessions_alike_for_two_turns_are_told_apart_at_the_third():
    alike = [(1, 0, 0, 0), (1, 0, 60, 0), (2, 1, 1, 1), (2, 1, 61, 1), (3, 2, 2, 2), (4, 2, 62, 2)]
    assert sessions(*alike) == [[0, 2, 4], [1, 3, 5]]


def test_an_opening_given_up_does_not_shift_the_others():
    log = [(1, 0, 0, 0), (1, 0, 60, 0), (1, 0, 120, 0), (2, 1, 61, 1), (3, 1, 121, 1)]
    assert sessions(*log) == [[0], [1, 3], [2, 4]]


def test_a_call_that_was_logged_twice_is_one_session():
    again = REPEAT_MICROS // MINUTE
    assert sessions((1, 0, 0, 0), (1, 0, 1, 0), (2, 1, 2, 1)) == [[0, 1, 2]]
    assert sessions((1, 0, 0, 0), (1, 0, again, 0), (1, 0, 60, 0), (2, 1, 5, 1), (3, 1, 61, 1)) == [
        [0, 1, 3],
        [2, 4],
    ]
    assert sessions((1, 0, 0, 0), (2, 1, 1, 1), (2, 1, 1, 1), (3, 2, 2, 2), (4, 2, 3, 2)) == [[0, 1, 2, 3, 4]]


def test_an_opening_that_many_share_links_nothing():
    children = [(10 + n, 1, n, 1) for n in range(5)]
    assert sessions((1, 0, 0, 0), *children) == [[n] for n in range(6)]
    assert sessions((1, 0, 0, 0), *children[:4]) == [[0, 1, 2, 3, 4]]


def test_a_session_is_named_after_what_is_its_alone():
    alike = forest((1, 0, 0, 0), (1, 0, 60, 0), (2, 1, 1, 1), (3, 1, 61, 1))
    found = sessions_of(alike)
    named = {tuple(sorted(m.tolist())): first for _, m, first in alike.by_session(found, alike.unit, ())}
    assert named == {(0, 2): 2, (1, 3): 3}
    assert set(alike.units(found)) == {2, 3}
    assert not alike.is_session(np.array([0, 1])) and alike.is_session(np.array([0, 2]))


def test_the_same_question_with_two_answers_names_neither():
    log = forest((1, 0, 0, 0), (2, 0, 60, 0), (3, 1, 1, 1), (4, 2, 61, 1))
    keys = np.array([7, 7, 8, 9], dtype=np.uint64)
    named = {first for _, _, first in log.by_session(sessions_of(log), keys, ())}
    assert named == {2, 3}
