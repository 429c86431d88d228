"""Running sums of mixtures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from freehold.stats.deferral.running import running_sums, surest_first


@given(st.data(), st.booleans())
def test_sums_are_those_of_each_mixture_by_itself(data, has_upper):
    """The rest has no differences, or those of an upper model."""
    n = data.draw(st.integers(1, 30))
    values = arrays(float, n, elements=st.sampled_from([-1.0, 0.0, 1.0, -0.25, 0.5]))
    d, rest = data.draw(values), data.draw(values) if has_upper else np.zeros(n)
    codes = np.unique(data.draw(arrays(np.int64, n, elements=st.integers(0, 5))), return_inverse=True)[1]
    more = (rest,) if has_upper else ()
    found, alone = (running_sums(d, each, np.arange(1, n + 1), *more) for each in (codes, None))
    sizes = np.bincount(codes)
    assert (found.n, found.clusters, found.size_squares) == (n, len(sizes), (sizes**2).sum())
    for place in range(n):
        mixed = np.where(np.arange(n) <= place, d, rest)
        sums = np.bincount(codes, weights=mixed, minlength=len(sizes))
        asked = sizes if has_upper else np.bincount(codes[: place + 1], minlength=len(sizes))
        here = {name: value[place] for name, value in found._asdict().items() if np.ndim(value)}
        assert here == pytest.approx(
            {
                "answered": place + 1,
                "differing": asked.sum(),
                "total": mixed.sum(),
                "squares": (mixed**2).sum(),
                "cubes": (mixed**3).sum(),
                "wins": (mixed > 0).sum(),
                "losses": (mixed < 0).sum(),
                "cluster_squares": (sums**2).sum(),
                "cluster_products": (sums * sizes).sum(),
                "differing_squares": (asked**2).sum(),
                "moved": (sums != 0).sum(),
                "reached": (asked > 0).sum(),
            }
        )
        assert (alone.total[place], alone.moved[place]) == pytest.approx((mixed.sum(), (mixed != 0).sum()))


def test_many_projects_at_once_are_each_by_itself():
    rng = np.random.default_rng(0)
    d, codes = rng.choice([-1.0, 0.0, 1.0], (4, 50)), np.argsort(rng.random((4, 50)), axis=1) // 5
    counts = np.array([1, 7, 50])
    together = running_sums(d, codes, counts)
    for row in range(4):
        alone = running_sums(d[row], codes[row], counts)
        for one, all_ in zip(alone, together, strict=True):
            assert one == pytest.approx(np.asarray(all_)[row] if np.ndim(all_) else all_)


def test_independent_samples_are_clusters_of_one():
    d = np.array([0.0, -1.0, 0.5, 0.0, -0.25])
    counts = np.arange(1, 6)
    for one, other in zip(running_sums(d, None, counts), running_sums(d, np.arange(5), counts), strict=True):
        assert one == pytest.approx(other)


def test_the_surest_come_first_and_those_without_a_signal_last():
    assert surest_first(np.array([0.2, np.nan, 0.9, 0.2])).tolist() == [2, 0, 3, 1]
