"""What mixtures add up to, at every number of requests that the candidate answers: sums over samples, surest first.

Where the incumbent answers, the difference is 0; where an upper model answers in its place, it is that one's. All sums
are cumulative, so that every threshold costs one pass, and run over the last axis, so that a simulation can have many
projects at once. Independent samples are clusters of one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from freehold.late import np
from freehold.stats.binary import Floats
from freehold.stats.clustered import Codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOVED = 1e-9  # sums of differences nearer to 0 than this are rounding


class Running(NamedTuple):
    """Sums when the candidate answers the `answered` surest of `n` samples, one place per threshold.

    `total`, `squares`, `cubes`: of the differences d. `differing` samples can have one: those answered, or all where
    an upper model answers the rest. With D a cluster's sum of d, m its size, a the number of its samples that can
    differ: `cluster_squares` sums D^2, `cluster_products` D m, `differing_squares` a^2; `moved` counts clusters with D
    other than 0, `reached` those with a > 0. `size_squares` sums m^2 over all `clusters`.
    """

    n: int
    clusters: int
    size_squares: float
    answered: Floats
    differing: Floats
    total: Floats
    squares: Floats
    cubes: Floats
    wins: Floats
    losses: Floats
    cluster_squares: Floats
    cluster_products: Floats
    differing_squares: Floats
    moved: Floats
    reached: Floats


def surest_first(raw: Floats) -> Codes:
    """The order of falling signal, along the last axis; without a signal (NaN) last."""
    return np.argsort(-np.asarray(raw, dtype=float), axis=-1, kind="stable")


def running_sums(
    differences: Floats, codes: Codes | None, counts: Codes, otherwise: Floats | None = None
) -> Running:
    """Sums at the given `counts` of answered samples (each at least 1); `differences` are ordered surest first.

    `codes` number each sample's cluster 0..K-1 in the same order (None: each is one of its own). `otherwise` is the
    difference of each sample where the candidate does not answer it (None: 0, the incumbent's own).
    """
    d: Floats = np.asarray(differences, dtype=float)
    rest: Floats = np.zeros(d.shape) if otherwise is None else np.asarray(otherwise, dtype=float)
    n, places = d.shape[-1], counts - 1

    def at(here: NDArray[np.floating], there: NDArray[np.floating] | None = None) -> Floats:
        """Sums of `here` over what is answered, and of `there` over what is not."""
        if otherwise is None or there is None:
            return np.asarray(np.cumsum(here, axis=-1)[..., places], dtype=float)
        whole = there.sum(axis=-1, keepdims=True)
        return np.asarray(np.cumsum(here - there, axis=-1)[..., places] + whole, dtype=float)

    codes = None if codes is None else np.broadcast_to(codes, d.shape)
    answered: Floats = np.broadcast_to(counts.astype(float), (*d.shape[:-1], len(counts)))
    differing = answered if otherwise is None else np.full(answered.shape, float(n))
    total, squares = at(d, rest), at(np.square(d), np.square(rest))
    shared: dict[str, Floats] = {
        "answered": answered,
        "differing": differing,
        "total": total,
        "squares": squares,
        "cubes": at(np.square(d) * d, np.square(rest) * rest),
        "wins": at(1.0 * (d > 0), 1.0 * (rest > 0)),
        "losses": at(1.0 * (d < 0), 1.0 * (rest < 0)),
    }
    if codes is None:
        return Running(
            n=n,
            clusters=n,
            size_squares=float(n),
            cluster_squares=squares,
            cluster_products=total,
            differing_squares=differing,
            moved=shared["wins"] + shared["losses"],
            reached=differing,
            **shared,
        )
    sizes = np.bincount(codes.reshape(-1, n)[0]).astype(float)  # the same in every row
    changes = d - rest
    after, asked = _within_clusters(codes, changes, np.ones(d.shape))
    begun = (
        _cluster_sums(codes, rest, len(sizes))
        if otherwise is not None
        else np.zeros((*d.shape[:-1], len(sizes)))
    )
    own = np.take_along_axis(begun, codes, axis=-1)
    after = after + own
    before = after - changes
    size_squares = float((sizes**2).sum())
    return Running(
        n=n,
        clusters=len(sizes),
        size_squares=size_squares,
        cluster_squares=at(changes * (before + after)) + np.square(begun).sum(axis=-1, keepdims=True),
        cluster_products=at(d * sizes[codes], rest * sizes[codes]),
        differing_squares=at(2 * asked - 1) if otherwise is None else np.full(answered.shape, size_squares),
        moved=at(1.0 * (np.abs(after) > _MOVED) - 1.0 * (np.abs(before) > _MOVED))
        + (np.abs(begun) > _MOVED).sum(axis=-1, keepdims=True),
        reached=at(1.0 * (asked == 1)) if otherwise is None else np.full(answered.shape, float(len(sizes))),
        **shared,
    )


def _cluster_sums(codes: Codes, values: Floats, clusters: int) -> Floats:
    """Each cluster's sum of the values, along the last axis."""
    rows, flat = values.reshape(-1, values.shape[-1]), codes.reshape(-1, values.shape[-1])
    sums = [
        np.bincount(row, weights=value, minlength=clusters) for row, value in zip(flat, rows, strict=True)
    ]
    return np.asarray(np.stack(sums), dtype=float).reshape(*values.shape[:-1], clusters)


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
