import numpy as np

from freehold.stats.slices import scored_pairs

NAN = float("nan")


def test_what_lacks_a_score_is_counted_by_side_and_left_out():
    pairs = scored_pairs(
        np.array([1.0, NAN, 0.0, NAN, 1.0]), np.array([0.0, 1.0, NAN, NAN, 1.0]), codes=None, reach=1.0
    )
    assert pairs.d.tolist() == [-1.0, 0.0]
    assert pairs.scored.tolist() == [True, False, False, False, True]
    assert pairs.unscored == (1, 1, 1)
    assert pairs.n == 2
    assert (pairs.incumbent_mean, pairs.candidate_mean, pairs.difference) == (1.0, 0.5, -0.5)


def test_binary_means_both_ends_of_the_range():
    x, y = np.array([0.0, 1.0, 1.0]), np.array([1.0, 0.0, 1.0])
    assert scored_pairs(x, y, codes=None, reach=1.0).binary
    assert not scored_pairs(x, y, codes=None, reach=2.0).binary
    assert not scored_pairs(x, y / 2, codes=None, reach=1.0).binary


def test_clusters_are_renumbered_and_clusters_of_one_are_none():
    x = np.array([1.0, 1.0, NAN, 1.0])
    pairs = scored_pairs(x, x, codes=np.array([5, 2, 7, 5]), reach=1.0)
    assert pairs.codes.tolist() == [1, 0, 1]
    assert pairs.declared_codes.tolist() == [5, 2, 7, 5]
    assert scored_pairs(x, x, codes=np.array([5, 2, 7, 9]), reach=1.0).codes is None


def test_without_pairs_there_is_no_mean():
    pairs = scored_pairs(np.array([NAN]), np.array([1.0]), codes=None, reach=1.0)
    assert (pairs.n, pairs.incumbent_mean, pairs.difference) == (0, None, None)
