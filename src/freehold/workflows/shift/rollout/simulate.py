"""`freehold rollout simulate`: a log replayed against assumed degradations, to see when the tests act.

The users of the log come in their order, with as many requests each as they had. Each run draws which requests are
mirrored, who is on the candidate and what goes wrong, and the tests of `ledger` look after every user. A log with fewer
users than asked for is played again, as other users. Seeds are fixed and printed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from freehold.errors import UsageError
from freehold.late import np
from freehold.stats.binary import wilson_limits
from freehold.stats.sequential import ALPHA_SPLIT, AipwCanary, MeanBet, paired_grid_e_process
from freehold.store import Store
from freehold.store.search.terms import is_error
from freehold.types.record import Record
from freehold.workflows.shift.rollout.ledger import ERROR_MARGIN, LATENCY_LIMIT, unit_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
What = Literal["quality", "errors", "latency"]
_GRID = 10
_POWERS = tuple(2.0**-step for step in range(_GRID))
_NOISE = 0.04
"""Share of mirrored pairs that differ although both are equally good, half each way (incumbent against itself)."""


class User(NamedTuple):
    """One user of the log: when first seen (seconds after the first), requests, failures, their answers' times."""

    at_s: float
    requests: int
    failures: int
    median_ms: float | None


class SimulatedRollout(Record, frozen=True, kw_only=True):
    """The rollout whose tests look at the log: shares from 0 to 1, and its limit on times, if it has one."""

    margin: float
    shadow_share: float
    canary_share: float
    max_p95_ms: float | None


class Degradations(Record, frozen=True, kw_only=True):
    """What is assumed to go wrong: `drops` are shares of answers that turn wrong, `more_errors` shares of requests that
    fail in addition, `slower` factors on the time of answers."""

    drops: tuple[float, ...]
    more_errors: tuple[float, ...]
    slower: tuple[float, ...]


class Row(Record, frozen=True, kw_only=True):
    """One assumption. Delays are None when less than half (or 90 %) of the runs acted within the log."""

    what: What
    assumed: str
    harmful: bool
    """Whether the assumption is worse than the margin: then acting is right, otherwise a false alarm."""
    acted: float
    acted_low: float
    acted_high: float
    users_median: int | None
    users_90: int | None
    requests_median: int | None
    hours_median: float | None


class Simulation(Record, frozen=True, kw_only=True):
    """What was assumed, and the rows. `false_alarms` is the share of runs with nothing wrong in which a test acted."""

    runs: int
    seed: int
    users: int
    log_users: int
    log_requests: int
    error_rate: float
    margin: float
    shadow_share: float
    canary_share: float
    noise: float
    rows: tuple[Row, ...]
    false_alarms: float
    false_alarms_high: float


def users_of(store: Store, *, route: str | None, since: datetime | None, most_requests: int) -> list[User]:
    """The users in the store's traces, in the order of their first request. Raises `UsageError` when there are none."""
    by_user: dict[str, list[tuple[float, bool, float | None]]] = {}
    for trace in store.traces(route=route, since=since, complete_only=False, own_only=True):
        requests = by_user.setdefault(unit_of(trace), [])
        if len(requests) < most_requests:
            requests.append((trace.at.timestamp(), is_error(trace), trace.total_ms))
    if not by_user:
        raise UsageError(
            "there is no log to replay: the store has no traces"
            + (f" of the route {route}" if route else ""),
            hint="freehold up --capture patterns keeps some; freehold import brings some in",
        )
    first = min(requests[0][0] for requests in by_user.values())
    users = []
    for requests in by_user.values():
        times = [ms for _, _, ms in requests if ms is not None]
        users.append(
            User(
                requests[0][0] - first,
                len(requests),
                sum(failed for _, failed, _ in requests),
                float(np.median(times)) if times else None,
            )
        )
    return sorted(users, key=lambda user: user.at_s)


def simulate(
    log: Sequence[User],
    rollout: SimulatedRollout,
    degradations: Degradations,
    *,
    users: int,
    runs: int = 400,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Simulation:
    """Replay a log until there are `users` users. Each list of degradations gets "nothing" and "exactly the margin"
    added.

    Raises `UsageError` for shares outside their range.
    """
    _check_shares(rollout, degradations)
    played = _repeat_log(log, users)
    rate = sum(user.failures for user in log) / sum(user.requests for user in log)
    assumptions = _assumptions(log, rollout, degradations)
    rows, nothing = [], np.zeros(runs, dtype=bool)
    for number, (what, value) in enumerate(assumptions):
        report(number, len(assumptions))
        draw = np.random.default_rng([seed, number])
        if what == "quality":
            crossings = _quality_crossings(played, value, rollout.margin, rollout.shadow_share, runs, draw)
        elif what == "errors":
            crossings = _error_crossings(played, rate, value, rollout.canary_share, runs, draw)
        else:
            assert rollout.max_p95_ms is not None
            crossings = _latency_crossings(
                played, value, rollout.max_p95_ms, rollout.canary_share, runs, draw
            )
        if value == (1.0 if what == "latency" else 0.0):
            nothing |= crossings >= 0
        rows.append(_row(what, value, crossings, played, rollout))
    report(len(assumptions), len(assumptions))
    _, high = wilson_limits(float(nothing.sum()), runs, 0.025)
    return Simulation(
        runs=runs,
        seed=seed,
        users=len(played),
        log_users=len(log),
        log_requests=sum(user.requests for user in log),
        error_rate=rate,
        margin=rollout.margin,
        shadow_share=rollout.shadow_share,
        canary_share=rollout.canary_share,
        noise=_NOISE,
        rows=tuple(rows),
        false_alarms=float(nothing.mean()),
        false_alarms_high=high,
    )


def _check_shares(rollout: SimulatedRollout, degradations: Degradations) -> None:
    for name, share in (("shadow", rollout.shadow_share), ("canary", rollout.canary_share)):
        if not 0 < share <= 1 or (name == "canary" and share == 1):
            raise UsageError(f"the {name} share is {share}, expected above 0 and below 1")
    for value in (*degradations.drops, *degradations.more_errors):
        if not 0 <= value <= 1:
            raise UsageError(f"{value} is not a share", hint="0.05 is five in a hundred")


def _assumptions(
    log: Sequence[User], rollout: SimulatedRollout, degradations: Degradations
) -> list[tuple[What, float]]:
    """What each row assumes. Times are left out where the rollout has no limit on them or the log none."""
    drops = {0.0, rollout.margin, *degradations.drops}
    more_errors = {0.0, ERROR_MARGIN, *degradations.more_errors}
    assumptions: list[tuple[What, float]] = [("quality", drop) for drop in sorted(drops)]
    assumptions += [("errors", more) for more in sorted(more_errors)]
    if rollout.max_p95_ms is not None and any(user.median_ms is not None for user in log):
        assumptions += [("latency", factor) for factor in sorted({1.0, *degradations.slower})]
    return assumptions


def aipw_crossings(
    candidate: Array, scores: Array, probability: float, *, margin: float, alpha: float
) -> Array:
    """The first user (from 0) at which `AipwCanary` acts, in each run; -1 where never. Arrays are (runs, users).

    The same process as `freehold.stats.sequential.AipwCanary`, for many runs at once; a test holds them together.
    """
    start = AipwCanary(margin=margin)
    runs, users = candidate.shape
    prior, weight = start.prior_mean * start.prior_weight, start.prior_weight
    wealths = np.zeros((runs, _GRID))
    n1, s1, n0, s0 = (np.zeros(runs) for _ in range(4))
    first = np.full(runs, -1)
    level = math.log(1 / alpha)
    p = probability
    for t in range(users):
        chosen, score = candidate[:, t], scores[:, t]
        m1, m0 = (prior + s1) / (weight + n1), (prior + s0) / (weight + n0)
        gap = m1 - m0
        value = gap + np.where(chosen, (score - m1) / p, -(score - m0) / (1 - p))
        reach = np.maximum(margin + gap + np.maximum((1 - m1) / p, m0 / (1 - p)), margin)
        wealths += np.log1p((start.cap / reach * (-margin - value))[:, None] * np.array(_POWERS))
        top = wealths.max(axis=1)
        # The mean over ten bets lies within log 10 of the best one: most steps need no exponential.
        near = np.flatnonzero((top >= level) & (first < 0))
        if len(near):
            rows = wealths[near]
            log_e = top[near] + np.log(np.exp(rows - top[near, None]).mean(axis=1))
            first[near[log_e >= level]] = t
        n1, s1 = n1 + chosen, s1 + chosen * score
        n0, s0 = n0 + ~chosen, s0 + ~chosen * score
    return first


def _repeat_log(log: Sequence[User], users: int) -> list[User]:
    """The log again and again until there are enough users, one round after the other in time."""
    span = log[-1].at_s + max(1.0, log[-1].at_s / len(log))
    rounds = math.ceil(users / len(log))
    repeated = [user._replace(at_s=user.at_s + turn * span) for turn in range(rounds) for user in log]
    return repeated[:users]


def _quality_crossings(
    users: list[User], drop: float, margin: float, share: float, runs: int, draw: np.random.Generator
) -> Array:
    requests = np.array([user.requests for user in users])
    first = np.full(runs, -1)
    win = min(_NOISE / 2, 1 - drop)
    lose = min(drop + _NOISE / 2, 1 - win)
    for run in range(runs):
        mirrored = draw.binomial(requests, share)
        seen = np.flatnonzero(mirrored)
        wins, losses, _ = draw.multinomial(mirrored[seen], [win, lose, 1 - win - lose]).T
        differences = (wins - losses) / mirrored[seen]
        at = paired_grid_e_process(
            differences, margin=margin, side="rollback", alpha=ALPHA_SPLIT["quality"]
        ).first_crossing_t
        first[run] = -1 if at is None else seen[at - 1]
    return first


def _error_crossings(
    users: list[User], rate: float, more: float, share: float, runs: int, draw: np.random.Generator
) -> Array:
    requests = np.array([user.requests for user in users])
    candidate = draw.random((runs, len(users))) < share
    failed = np.where(
        candidate,
        draw.binomial(requests, min(1.0, rate + more), (runs, len(users))),
        draw.binomial(requests, rate, (runs, len(users))),
    )
    return aipw_crossings(
        candidate, 1 - failed / requests, share, margin=ERROR_MARGIN, alpha=ALPHA_SPLIT["errors"]
    )


def _latency_crossings(
    users: list[User], factor: float, limit_ms: float, share: float, runs: int, draw: np.random.Generator
) -> Array:
    known = [user.median_ms for user in users if user.median_ms is not None]
    times = np.array([known[0] if user.median_ms is None else user.median_ms for user in users])
    slow = (times * factor > limit_ms).astype(float)
    alpha = ALPHA_SPLIT["latency"]
    first = np.full(runs, -1)
    for run in range(runs):
        bet = MeanBet(limit=LATENCY_LIMIT, above=True, alpha=alpha)
        for user in np.flatnonzero(draw.random(len(users)) < share):
            bet = bet.update((slow[user],))
            if bet.crossed(alpha):
                first[run] = user
                break
    return first


def _row(what: What, value: float, crossings: Array, users: list[User], rollout: SimulatedRollout) -> Row:
    acted = crossings[crossings >= 0]
    low, high = wilson_limits(float(len(acted)), len(crossings), 0.025)
    requests = np.cumsum([user.requests for user in users])
    median, most = _quantile(crossings, 0.5), _quantile(crossings, 0.9)
    if what == "latency":
        known = [user.median_ms * value for user in users if user.median_ms is not None]
        share = sum(ms > (rollout.max_p95_ms or 0.0) for ms in known) / len(known)
        assumed, harmful = f"answers take {value:g} times as long", share > LATENCY_LIMIT
    elif what == "errors":
        assumed, harmful = f"{value:.2%} more requests fail", value > ERROR_MARGIN
    else:
        assumed, harmful = f"{value:.1%} of answers turn wrong", value > rollout.margin
    return Row(
        what=what,
        assumed=assumed,
        harmful=harmful,
        acted=len(acted) / len(crossings),
        acted_low=low,
        acted_high=high,
        users_median=None if median is None else median + 1,
        users_90=None if most is None else most + 1,
        requests_median=None if median is None else int(requests[median]),
        hours_median=None if median is None else users[median].at_s / 3600,
    )


def _quantile(crossings: Array, share: float) -> int | None:
    """The user at which a share of all runs had acted; None when fewer ever did."""
    acted = np.sort(crossings[crossings >= 0])
    place = math.ceil(share * len(crossings)) - 1
    return int(acted[place]) if place < len(acted) else None
