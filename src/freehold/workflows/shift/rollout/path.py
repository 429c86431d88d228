"""How the quality test of a rollout went: its confidence sequence after each user, thinned out to draw it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from freehold.late import np
from freehold.stats.sequential import empirical_bernstein_lower_cs
from freehold.store import Store, rollouts
from freehold.types.record import Record
from freehold.types.serving.rollout import Rollout
from freehold.workflows.shift.rollout.ledger import BOUND_ALPHA, Window

POINTS_MAX = 160


class PathPoint(Record, frozen=True, kw_only=True):
    """After `users` mirrored users: the mean difference in score (candidate less incumbent) and its limits. `at` is
    when the last of them was first seen. The limits hold for all points together with 95 %, however often one looks."""

    at: datetime
    users: int
    mean: float
    low: float
    high: float


def quality_path(store: Store, rollout: Rollout, *, most: int = POINTS_MAX) -> tuple[PathPoint, ...]:
    """The confidence sequence of a rollout, oldest first, its last point among them."""
    bodies = rollouts.closed_windows(store.database, rollout.id, "pair")
    windows = [msgspec.json.decode(body, type=Window) for body in bodies]
    scored = [(window.opened_at, window.value) for window in windows if window.value is not None]
    return path_of([at for at, _ in scored], [value for _, value in scored], most=most)


def path_of(
    times: Sequence[datetime], values: Sequence[float], *, most: int = POINTS_MAX
) -> tuple[PathPoint, ...]:
    """The confidence sequence of differences in [-1, 1], in the order they came: the display bound of
    `freehold.stats.sequential`, from both sides with half of its error each."""
    if not values:
        return ()
    x = np.asarray(values, dtype=float)
    low = 2 * empirical_bernstein_lower_cs(((x + 1) / 2).tolist(), alpha=BOUND_ALPHA / 2) - 1
    high = 1 - 2 * empirical_bernstein_lower_cs(((1 - x) / 2).tolist(), alpha=BOUND_ALPHA / 2)
    means = np.cumsum(x) / np.arange(1, len(x) + 1)
    places = sorted({int(place) for place in np.linspace(0, len(x) - 1, min(most, len(x))).round()})
    return tuple(
        PathPoint(
            at=times[place],
            users=place + 1,
            mean=float(means[place]),
            low=float(low[place]),
            high=float(high[place]),
        )
        for place in places
    )
