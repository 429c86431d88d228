"""What mixtures add up to, at every number of requests that the candidate answers: sums over samples, surest first.

Where the incumbent answers, the difference is 0. All sums are cumulative, so that every threshold costs one pass, and
run over the last axis, so that a simulation can have many projects at once. Independent samples are clusters of one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.stats.binary import Floats
from freehold.stats.clustered import Codes

_MOVED = 1e-9  # sums of differences nearer to 0 than this are rounding


class Running(NamedTuple):
    """Sums when the candidate answers the `answered` surest of `n` samples, one place per threshold.

    `total`, `squares`, `cubes`: of the differences d. With D a cluster's sum of them, m its size, a the number of its
    samples that are answered: `cluster_squares` sums D^2, `cluster_products` D m, `answered_squares` a^2; `moved`
    counts clusters with D other than 0, `reached` those with a > 0. `size_squares` sums m^2 over all `clusters`.
    """

    n: int
    clusters: int
    size_squares: float
    answered: Floats
    total: Floats
    squares: Floats
    cubes: Floats
    wins: Floats
    losses: Floats
    cluster_squares: Floats
    cluster_products: Floats
    answered_squares: Floats
    moved: Floats
    reached: Floats


def surest_first(raw: Floats) -> Codes:
    """The order of falling signal, along the last axis; without a signal (NaN) last."""
    return np.argsort(-np.asarray(raw, dtype=float), axis=-1, kind="stable")


def running_sums(differences: Floats, codes: Codes | None, counts: Codes) -> Running:
    """Sums at the given `counts` of answered samples (each at least 1); `differences` are ordered surest first.

    `codes` number each sample's cluster 0..K-1 in the same order (None: each is one of its own).
    """
    d: Floats = np.asarray(differences, dtype=float)
    n, places = d.shape[-1], counts - 1

    def at(values: NDArray[np.floating]) -> Floats:
        return np.asarray(np.cumsum(values, axis=-1)[..., places], dtype=float)

    codes = None if codes is None else np.broadcast_to(codes, d.shape)
    ones = np.ones(d.shape)
    answered: Floats = np.broadcast_to(counts.astype(float), (*d.shape[:-1], len(counts)))
    total, squares = at(d), at(np.square(d))
    shared: dict[str, Floats] = {
        "answered": answered,
        "total": total,
        "squares": squares,
        "cubes": at(np.square(d) * d),
    }
    shared |= {"wins": at(1.0 * (d > 0)), "losses": at(1.0 * (d < 0))}
    if codes is None:
        return Running(
            n=n,
            clusters=n,
            size_squares=float(n),
            cluster_squares=squares,
            cluster_products=total,
            answered_squares=answered,
            moved=shared["wins"] + shared["losses"],
            reached=answered,
            **shared,
        )
    sizes = np.bincount(codes.reshape(-1, n)[0]).astype(float)  # the same in every row
    after, asked = _within_clusters(codes, d, ones)
    before = after - d
    return Running(
        n=n,
        clusters=len(sizes),
        size_squares=float((sizes**2).sum()),
        cluster_squares=at(d * (before + after)),
        cluster_products=at(d * sizes[codes]),
        answered_squares=at(2 * asked - 1),
        moved=at(1.0 * (np.abs(after) > _MOVED) - 1.0 * (np.abs(before) > _MOVED)),
        reached=at(1.0 * (asked == 1)),
        **shared,
    )


def _within_clusters(codes: Codes, *columns: Floats) -> list[Floats]:
    """For each sample and column: the sum over its cluster's samples up to it, itself included."""
    by = np.argsort(codes, axis=-1, kind="stable")
    ordered = np.take_along_axis(codes, by, axis=-1)
    places = np.broadcast_to(np.arange(codes.shape[-1]), codes.shape)
    first = np.ones(codes.shape, dtype=bool)
    first[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    began = np.maximum.accumulate(np.where(first, places, 0), axis=-1)
    found = []
    for column in columns:
        values = np.take_along_axis(column, by, axis=-1)
        sums = np.cumsum(values, axis=-1)
        sums -= np.take_along_axis(sums - values, began, axis=-1)
        back = np.empty_like(sums)
        np.put_along_axis(back, by, sums, axis=-1)
        found.append(back)
    return found
