"""One look at a rollout: score what is new, let it enter the tests, keep both in the store; and how the quality test
went, user by user.

A look reads only the traces that came since the last one. Several processes may look at once: the second
to write notices, reads what the first one learned, and goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import anyio
import msgspec

from freehold.datasets.building import answer_of, sample_of
from freehold.datasets.sampling import Recipe
from freehold.evals.scorer import Scorer
from freehold.evals.scorers import scorer_of
from freehold.late import np
from freehold.stats.sequential import empirical_bernstein_lower_cs
from freehold.store import Store, rollouts
from freehold.store.rollouts import WindowRow
from freehold.types.record import Record
from freehold.types.rollout import Rollout
from freehold.types.trace import Trace
from freehold.workflows.shift.rollout.decision import (
    BOUND_ALPHA,
    Ledger,
    Look,
    Tests,
    Window,
    begin,
    look,
    unit_of,
)

PAGE = 500


def learn(store: Store, rollout: Rollout, *, at: datetime) -> Tests:
    """Take in everything new; returns the tests as they stand then."""
    while True:
        state = rollouts.state_of(store.database, rollout.id)
        tests = _decode_tests(rollout, state.body)
        page = store.traces_after(
            tests.cursor, most=PAGE, route=rollout.route, since=rollout.started_at, complete_only=False
        )
        rows = {
            (row.kind, row.unit): row
            for row in (
                *rollouts.open_windows(store.database, rollout.id),
                *rollouts.windows_of(store.database, rollout.id, (unit_of(trace) for _, trace in page)),
            )
        }
        ledger = Ledger(
            tests,
            [msgspec.json.decode(row.body, type=Window) for row in rows.values()],
            requests_per_user=rollout.requests_per_user,
            window_s=rollout.window_s,
            failure_window_s=rollout.failure_window_s,
        )
        for seq, trace in page:
            ledger.take(seq, trace)
        ready = ledger.ready(at)
        ledger.feed_arms(ready.arms)
        scores = _scores_of(store, rollout, ready.pairs) if ready.pairs else {}
        ledger.feed_pairs(ready.pairs, [_mean(window, scores) for window in ready.pairs])
        if not page and not ledger.changed:
            return tests
        written = rollouts.learn(
            store.database,
            rollout.id,
            known_version=state.version,
            state=msgspec.json.encode(ledger.tests),
            windows=[_row(window) for window in ledger.changed.values()],
        )
        if written and len(page) < PAGE:
            return ledger.tests


def tests_of(store: Store, rollout: Rollout) -> Tests:
    """The tests as the last look left them."""
    return _decode_tests(rollout, rollouts.state_of(store.database, rollout.id).body)


def _decode_tests(rollout: Rollout, stored: bytes | None) -> Tests:
    if stored is None:
        return begin(
            margin=rollout.task.margin,
            unsure=rollout.agreement.error,
            max_p95_ms=rollout.max_p95_ms,
            errors_below=rollout.errors_below,
        )
    return msgspec.json.decode(stored, type=Tests)


def display_look(store: Store, rollout: Rollout, tests: Tests) -> Look:
    """The look that people are shown, with the limit that takes all values to compute."""
    windows = [
        msgspec.json.decode(body, type=Window)
        for body in rollouts.closed_windows(store.database, rollout.id, "pair")
    ]
    return look(
        tests,
        [window.value for window in windows if window.value is not None],
        attempt=rollout.attempt,
        waiting=len(rollouts.open_windows(store.database, rollout.id)),
    )


def _row(window: Window) -> WindowRow:
    return WindowRow(window.kind, window.unit, window.seq, window.closed, msgspec.json.encode(window))


def _mean(window: Window, scores: dict[str, float]) -> float | None:
    differences = [scores[id] for id in window.pairs if id in scores]
    return sum(differences) / len(differences) if differences else None


def _scores_of(store: Store, rollout: Rollout, windows: Sequence[Window]) -> dict[str, float]:
    mirrored = store.get_traces(id for window in windows for id in window.pairs)
    own = store.get_traces(mirror.parent_id for mirror in mirrored.values() if mirror.parent_id)
    pairs = [
        (own[mirror.parent_id], mirror)
        for mirror in mirrored.values()
        if mirror.parent_id is not None and mirror.parent_id in own
    ]
    return anyio.run(_score_pairs, rollout, pairs) if pairs else {}


async def _score_pairs(rollout: Rollout, pairs: list[tuple[Trace, Trace]]) -> dict[str, float]:
    task, shift = rollout.task, rollout.agreement.difference
    recipe = Recipe(held_out=0.5, validation=0.0, seed=0, group_by=task.group_by)
    async with scorer_of(task) as scorer:
        scores = {mirror.id: await _score_pair(scorer, recipe, own, mirror, shift) for own, mirror in pairs}
    return {id: score for id, score in scores.items() if score is not None}


async def _score_pair(
    scorer: Scorer, recipe: Recipe, own: Trace, mirror: Trace, shift: float
) -> float | None:
    """What the candidate scored beyond the incumbent, both against the corrected answer if there is one; else the
    incumbent's own answer is the reference: agreement, which the incumbent has by itself unless the scorer looks at
    answers alone. What agreement lost in the proof as well (`shift`) is added to it. Where a rule of
    deferral would have left the request to the incumbent, both are its. None when the
    incumbent has no whole answer, or one of them cannot be scored."""
    incumbent_answer = answer_of(own)
    if incumbent_answer is None or own.completeness != "complete" or own.status >= 400:
        return None
    sample = sample_of(own, recipe)
    reference = own.gold if own.gold is not None else incumbent_answer
    candidate_answer = answer_of(mirror)
    by_agreement = own.gold is None and scorer.right_by_agreement
    incumbent = 1.0 if by_agreement else (await scorer.score(sample, incumbent_answer, reference)).value
    candidate: float | None
    if mirror.deferral is not None and mirror.deferral.by == "incumbent":
        candidate = incumbent  # the mixture is judged, and on this request it is the incumbent
    elif candidate_answer is None or mirror.status >= 400:
        candidate = 0.0
    else:
        candidate = (await scorer.score(sample, candidate_answer, reference)).value
    if incumbent is None or candidate is None:
        return None
    return max(-1.0, min(1.0, candidate - incumbent + (shift if by_agreement else 0.0)))


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
