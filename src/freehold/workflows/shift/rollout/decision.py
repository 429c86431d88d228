"""What decides on a rollout: what its traces say, one observation per assignment key, in tests that hold however often
one looks; and the gates before a promotion.

A key's first requests fall into a window; when the window is full or old enough it becomes one value and enters
the tests, in the order in which keys were first exposed. A value never changes once it has entered, so each look
only adds. Quality comes from mirrored pairs (candidate against what the incumbent said, or a corrected answer);
errors, broken schemas and latency from the users of a canary whom the candidate answers. The total false-rollback
probability, over the life of a rollout, is 0.05.

Covered: sticky keys, ramped shares, several metrics, corrected answers that come while the window is open.
Not covered: corrections later than that, and answers that arrive after their key's window has entered.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median
from typing import Literal, NamedTuple

import msgspec

from freehold.stats.sequential import (
    ALPHA_SPLIT,
    TOWARDS_HALF,
    MeanLimit,
    MeanTest,
    empirical_bernstein_lower_cs,
)
from freehold.store import Store
from freehold.store.index import is_error
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ENDPOINT_NAME, ServePlan, is_own
from freehold.types.method import METHOD_KINDS
from freehold.types.record import Record, content_id
from freehold.types.rollout import Gate, Rollout
from freehold.types.route import Route, Target
from freehold.types.slot import ServedSlot
from freehold.types.trace import Trace
from freehold.types.verdict import MAX_AGE_DAYS, Verdict
from freehold.workflows.prove.evidence_basis import AS_ASKED, ages_of

PROMOTE_ALPHA = 0.025
FIRST_ATTEMPT = 0.8
"""The share of it that the first rollout of a candidate on a route gets; all later ones share the rest."""
BOUND_ALPHA = 0.05
LATENCY_LIMIT = 0.05
EXPECTED_REQUESTS = 100_000
"""Of a candidate, over a rollout: how rare a row of failures must be by chance to open the breaker."""

Metric = Literal["quality", "errors", "validity", "latency"]
Kind = Literal["arm", "pair"]
WindowKey = tuple[str, str]
"""Kind and unit."""


class MetricState(Record, frozen=True, kw_only=True):
    """One metric at one look. `estimate` is the mean over users: of the difference in quality, else of the share of
    failed, broken or late answers. `e_value` is the largest the rollback test has ever reached."""

    metric: Metric
    units: int
    estimate: float | None
    e_value: float
    acts_at: float
    rollback: bool
    promote: bool | None = None
    """Whether the promotion side is proven; None where there is no such side."""


class Look(Record, frozen=True, kw_only=True):
    """All metrics at one look."""

    metrics: tuple[MetricState, ...]
    pairs: int
    candidate_units: int
    lowest_effect: float | None
    """Lower limit of the quality difference, for display; None before the first pair."""
    harm_bounded: bool = False
    """Whether a drop of three margins is ruled out."""
    waiting: int = 0
    """Keys whose window is still open."""
    unscored: int = 0
    broken_off: str | None = None
    """Why the breaker opened: a row of failures that chance does not make."""

    @property
    def alarms(self) -> tuple[str, ...]:
        return tuple(state.metric for state in self.metrics if state.rollback)

    def state(self, metric: Metric) -> MetricState:
        return next(state for state in self.metrics if state.metric == metric)


class Window(Record, frozen=True, kw_only=True):
    """The first requests of one key: mirrored, or answered by the candidate of a canary. `seq` is its place in the
    order of exposure.

    `pairs` are ids of mirrored traces, `times_ms` how long answers took (None: never came).
    """

    kind: Kind
    unit: str
    seq: int
    opened_at: datetime
    closed: bool = False
    n: int = 0
    errors: int = 0
    broken: int = 0
    times_ms: tuple[float | None, ...] = ()
    pairs: tuple[str, ...] = ()
    value: float | None = None

    @property
    def key(self) -> WindowKey:
        return (self.kind, self.unit)


class Tests(Record, frozen=True, kw_only=True):
    """The state of all tests of one rollout; stored with it and never reset. `cursor` is the last trace seen."""

    quality_back: MeanTest
    quality_forward: MeanTest
    quality_bound: MeanTest | None
    errors_back: MeanTest
    errors_forward: MeanTest
    validity_back: MeanTest
    validity_forward: MeanTest
    latency: MeanTest | None = None
    max_p95_ms: float | None = None
    cursor: int = 0
    candidate_units: int = 0
    unscored: int = 0
    failures_in_a_row: int = 0
    broken_off: str | None = None


def begin(*, margin: float, max_p95_ms: float | None, errors_below: float, unsure: float = 0.0) -> Tests:
    """The tests before the first observation. What takes traffic back allows for what differences were seen to be
    `unsure` by."""
    worse, back = MeanLimit(-margin, -1.0, 1.0), MeanLimit(max(-1.0, -margin - unsure), -1.0, 1.0)
    bound = 3 * margin
    failing = MeanTest(limit=MeanLimit(errors_below))
    shown_below = MeanTest(limit=MeanLimit(errors_below, least=True), log_wealths=TOWARDS_HALF)
    return Tests(
        quality_back=MeanTest(limit=back._replace(least=True)),
        quality_forward=MeanTest(limit=worse),
        quality_bound=MeanTest(limit=worse._replace(at=-bound)) if bound < 1 else None,
        errors_back=failing,
        errors_forward=shown_below,
        validity_back=failing,
        validity_forward=shown_below,
        latency=None if max_p95_ms is None else MeanTest(limit=MeanLimit(LATENCY_LIMIT)),
        max_p95_ms=max_p95_ms,
    )


class ReadyWindows(NamedTuple):
    """Windows whose turn it is, in the order of exposure."""

    arms: list[Window]
    pairs: list[Window]


class Ledger:
    """Folds traces into windows and windows into tests. Give it all windows of the keys it will see.

    `changed` are the windows to be stored.
    """

    def __init__(
        self,
        tests: Tests,
        windows: Iterable[Window],
        *,
        requests_per_user: int,
        window_s: float,
        failure_window_s: float,
    ) -> None:
        self.tests = tests
        self.changed: dict[WindowKey, Window] = {}
        self._windows = {window.key: window for window in windows}
        self._first = requests_per_user
        self._open_s = {"pair": window_s, "arm": min(window_s, failure_window_s)}

    def take(self, seq: int, trace: Trace) -> None:
        """Fold in one trace, at its place in the order of arrival."""
        self.tests = msgspec.structs.replace(self.tests, cursor=seq)
        if trace.arm == "candidate":
            self._update_failures(trace)
        if trace.parent_id is not None:
            self._take_pair(seq, trace)
            return
        if trace.arm == "candidate" and trace.share is not None and 0 < trace.share < 1:
            self._take_arm(seq, trace)

    def ready(self, at: datetime) -> ReadyWindows:
        """The windows that may enter now: those at the head of the queue that are full or old enough."""
        windows: dict[str, list[Window]] = {"arm": [], "pair": []}
        waiting: set[str] = set()
        for window in sorted(self._windows.values(), key=lambda one: one.seq):
            if window.closed or window.kind in waiting:
                continue
            if (
                window.n >= self._first
                or (at - window.opened_at).total_seconds() >= self._open_s[window.kind]
            ):
                windows[window.kind].append(window)
            else:
                waiting.add(window.kind)
        return ReadyWindows(windows["arm"], windows["pair"])

    def waiting(self) -> int:
        """Windows that have not entered."""
        return sum(not window.closed for window in self._windows.values())

    def feed_arms(self, windows: Sequence[Window]) -> None:
        """Let windows of the candidate's users enter."""
        tests = self.tests
        errors = [one.errors / one.n for one in windows]
        broken = [one.broken / one.n for one in windows]
        slow = []
        if tests.max_p95_ms is not None:  # an answer that never came is slower than any limit
            slow = [
                float(median(math.inf if ms is None else ms for ms in one.times_ms) > tests.max_p95_ms)
                for one in windows
            ]
        self.tests = msgspec.structs.replace(
            tests,
            errors_back=tests.errors_back.update(errors),
            errors_forward=tests.errors_forward.update(errors),
            validity_back=tests.validity_back.update(broken),
            validity_forward=tests.validity_forward.update(broken),
            latency=None if tests.latency is None else tests.latency.update(slow),
        )
        for window in windows:
            self._store(msgspec.structs.replace(window, closed=True))

    def feed_pairs(self, windows: Sequence[Window], values: Sequence[float | None]) -> None:
        """Let mirrored windows enter, each with the mean difference of its pairs; None where none was scored."""
        tests = self.tests
        scored = [value for value in values if value is not None]
        self.tests = msgspec.structs.replace(
            tests,
            quality_back=tests.quality_back.update(scored),
            quality_forward=tests.quality_forward.update(scored),
            quality_bound=None if tests.quality_bound is None else tests.quality_bound.update(scored),
            unscored=tests.unscored + len(values) - len(scored),
        )
        for window, value in zip(windows, values, strict=True):
            self._store(msgspec.structs.replace(window, closed=True, value=value))

    def _store(self, window: Window) -> None:
        self._windows[window.key] = self.changed[window.key] = window

    def _take_pair(self, seq: int, trace: Trace) -> None:
        unit = unit_of(trace)
        window = self._windows.get(("pair", unit)) or Window(
            kind="pair", unit=unit, seq=seq, opened_at=trace.at
        )
        if not window.closed and window.n < self._first:
            self._store(msgspec.structs.replace(window, n=window.n + 1, pairs=(*window.pairs, trace.id)))

    def _take_arm(self, seq: int, trace: Trace) -> None:
        """A request that the candidate of a canary was given. When the share rises, a key that was on the candidate
        stays there and adds nothing."""
        unit = unit_of(trace)
        window = self._windows.get(("arm", unit))
        if window is None:
            window = Window(kind="arm", unit=unit, seq=seq, opened_at=trace.at)
            self.tests = msgspec.structs.replace(self.tests, candidate_units=self.tests.candidate_units + 1)
        if window.closed or window.n >= self._first:
            return
        failed = is_error(trace)
        self._store(
            msgspec.structs.replace(
                window,
                n=window.n + 1,
                errors=window.errors + failed,
                broken=window.broken + (trace.deferral is None and trace.fallback == "schema"),
                times_ms=(*window.times_ms, None if failed else trace.total_ms),
            )
        )

    def _update_failures(self, trace: Trace) -> None:
        """Open the breaker on a row of failures: an outage need not wait for a test."""
        tests = self.tests
        if not is_error(trace):
            if tests.failures_in_a_row:
                self.tests = msgspec.structs.replace(tests, failures_in_a_row=0)
            return
        row = tests.failures_in_a_row + 1
        limit = breaker_failures(EXPECTED_REQUESTS, tests.errors_back.limit.at)
        self.tests = msgspec.structs.replace(
            tests,
            failures_in_a_row=row,
            broken_off=tests.broken_off
            or (f"{row} errors of the candidate in a row" if row >= limit else None),
        )


def promote_alpha(attempt: int) -> float:
    """The chance with which each test of a candidate's n-th rollout on a route lets it pass in vain. Over all of them
    that is `PROMOTE_ALPHA`, since 1 / (n (n - 1)) over n from 2 on adds up to 1."""
    if attempt == 1:
        return FIRST_ATTEMPT * PROMOTE_ALPHA
    return (1 - FIRST_ATTEMPT) * PROMOTE_ALPHA / (attempt * (attempt - 1))


def look(tests: Tests, differences: Sequence[float], *, attempt: int = 1, waiting: int = 0) -> Look:
    """What the tests say now, in the n-th rollout of the candidate (`attempt`). `differences` are the values of the
    pairs that have entered, for display."""
    lowest = None
    if len(differences):
        lower = empirical_bernstein_lower_cs([(value + 1) / 2 for value in differences], alpha=BOUND_ALPHA)
        lowest = 2 * float(lower[-1]) - 1
    sides: dict[Metric, tuple[MeanTest, MeanTest | None]] = {
        "quality": (tests.quality_back, tests.quality_forward),
        "errors": (tests.errors_back, tests.errors_forward),
        "validity": (tests.validity_back, tests.validity_forward),
    }
    if tests.latency is not None:
        sides["latency"] = (tests.latency, None)
    pairs = tests.quality_back.t
    return Look(
        metrics=tuple(_state(metric, *both, promote_alpha(attempt)) for metric, both in sides.items()),
        pairs=pairs,
        candidate_units=tests.candidate_units,
        lowest_effect=lowest,
        harm_bounded=pairs > 0 and (tests.quality_bound is None or tests.quality_bound.crossed(BOUND_ALPHA)),
        waiting=waiting,
        unscored=tests.unscored,
        broken_off=tests.broken_off,
    )


def unit_of(trace: Trace) -> str:
    """The independent unit a trace belongs to."""
    return trace.assignment_key or trace.conversation_id or trace.user or trace.id


def _state(metric: Metric, back: MeanTest, forward: MeanTest | None, passes_at: float) -> MetricState:
    alpha = ALPHA_SPLIT[metric]
    return MetricState(
        metric=metric,
        units=back.t,
        estimate=back.mean,
        e_value=math.exp(min(back.max_log_e, 700.0)),
        acts_at=1 / alpha,
        rollback=back.crossed(alpha),
        promote=None if forward is None else forward.crossed(passes_at),
    )


def breaker_failures(expected_requests: float, error_rate: float) -> int:
    """Consecutive failures that open the hard breaker: chance below 0.001 over the rollout, at least 5.

    Engineering, not inference: an outage need not wait for a test. `error_rate` lies above 0 and below 1.
    """
    return max(5, math.ceil(math.log(0.001 / expected_requests) / math.log(error_rate)))


def gates_left(store: Store, rollout: Rollout, seen: Look, at: datetime) -> list[tuple[Gate, str]]:
    """The gates that stand in the way of the next step, each with its reason."""
    if rollout.state in ("promoted", "rolled_back"):
        return []
    route = next((one for one in store.routes() if one.name == rollout.route), None)
    verdict = verdict_of(store, rollout)
    missing = _stale_evidence(store, rollout, route, verdict, at)
    if (proof := _missing_proof(route, verdict)) is not None:
        missing.append(proof)
    units = seen.pairs if rollout.stage < 0 else seen.candidate_units
    if units < rollout.users_a_stage:
        missing.append(("users", f"{units} of {rollout.users_a_stage} independent users seen"))
    hours = (at - rollout.stage_began_at).total_seconds() / 3600
    if hours < rollout.hours_a_stage:
        cycle = " (one daily cycle)" if rollout.hours_a_stage == 24 else ""
        missing.append(("hours", f"{hours:.1f} of {rollout.hours_a_stage:g} hours{cycle} passed"))
    if not seen.harm_bounded:
        bound = -3 * rollout.task.margin
        missing.append(("harm", f"quality: a difference of {bound:+.3f} (three margins) is not ruled out"))
    if rollout.stage + 1 == len(rollout.stages):
        below = f"below {100 * rollout.errors_below:.4g} %"
        again = f" (try {rollout.attempt} of this candidate; all share one error)"
        for state in seen.metrics:
            if state.promote is False and state.metric != "latency":
                of = "within its margin" if state.metric == "quality" else below
                text = f"{state.metric}: not yet shown to be {of}" + again * (rollout.attempt > 1)
                missing.append((state.metric, text))
    return missing


def verdict_of(store: Store, rollout: Rollout) -> Verdict | None:
    """The offline verdict that a rollout rests on: its own where that promotes, else the newest."""
    own = store.get(Verdict, rollout.verdict_id) if rollout.verdict_id else None
    return own if own is not None and own.outcome == "promote" else store.latest(Verdict)


def _stale_evidence(
    store: Store, rollout: Rollout, route: Route | None, verdict: Verdict | None, at: datetime
) -> list[tuple[Gate, str]]:
    """Why the offline evidence no longer holds, with the command that renews it."""
    if verdict is None:
        return []
    ages = ages_of(
        store,
        verdict,
        task=rollout.task,
        candidate=None if route is None or route.candidate is None else route.candidate.model,
        at=at,
        max_age_days=MAX_AGE_DAYS,
    )
    return [
        (
            "evidence",
            f"the evidence of {one.gate} no longer holds: {'; '.join(one.stale)} ({one.renew} renews it)",
        )
        for one in ages
        if one.stale
    ]


def _missing_proof(route: Route | None, verdict: Verdict | None) -> tuple[Gate, str] | None:
    """What is not proven offline of what the route asks: without it clients get no answer of the candidate's."""
    if verdict is None or verdict.outcome != "promote":
        return "verdict", "no offline verdict says promote (freehold migrate makes one)"
    if (target := candidate_of(route)) is not None and target.model != verdict.candidate:
        return "verdict", (
            f"the verdict is on {verdict.candidate}, and the route's candidate is {target.model}: freehold rollout "
            f"start --candidate {verdict.candidate} moves to the one, freehold migrate proves the other"
        )
    if target is not None and not is_own(target.endpoint) and _is_prepared(verdict):
        return "verdict", (
            f"{verdict.candidate} was proven with a prompt or examples that freehold puts before each request, and "
            f"the route asks {target.endpoint} without: --candidate {verdict.candidate} of freehold rollout start"
        )
    rule = None if route is None else route.deferral
    if verdict.mixture_id is not None and (rule is None or rule.mixture_id != verdict.mixture_id):
        return (
            "verdict",
            "the verdict is with a fallback, and the route has another rule or none: freehold rollout start",
        )
    if (code := required_parity(verdict)) is not None and code not in {one.code for one in verdict.reasons}:
        return "parity", "the served model was not compared with the trained one: freehold migrate does it"
    return None


def candidate_of(route: Route | None) -> Target | None:
    """Where and under which name a route asks its candidate; None where there is none."""
    if route is None or route.candidate is None:
        return None
    return msgspec.structs.replace(route.candidate, model=route.candidate.model or route.model)


def served_plans(store: Store, endpoint: str) -> list[ServePlan]:
    """What `freehold up` holds, or held, under an endpoint's name, the newest first."""
    slot = store.get(ServedSlot, endpoint)
    return store.records(ServePlan)[::-1] if slot is None else [slot.plan]


def served_id(store: Store, model: str, endpoint: str = ENDPOINT_NAME) -> str | None:
    """What `freehold up` serves under a name, by its content; None where no plan has that name."""
    for plan in served_plans(store, endpoint):
        if model in (plan.model, *(mount.name for mount in plan.adapters)):
            return plan.candidate_id(model)
    return None


def candidate_key(store: Store, route: Route) -> str:
    """What a route's candidate is, by its content. What is served here is another one as soon as its weights, its
    adapter, its prompt or its engine's options are. Another share of requests makes it no other: all of them are at
    hand to be tried one after the other."""
    target = candidate_of(route)
    if target is None or target.model is None:
        return ""
    content = served_id(store, target.model, target.endpoint) if is_own(target.endpoint) else None
    return content_id([target.endpoint, target.model, content])


def _is_prepared(verdict: Verdict) -> bool:
    """Whether what was proven is more than the model: what is served here does it to requests, an address does not."""
    return verdict.evidence is not None and verdict.evidence.parts.get("prompt", AS_ASKED) != AS_ASKED


def rule_of(store: Store, route_name: str) -> DeferralRule | None:
    return next((one.deferral for one in store.routes() if one.name == route_name), None)


def required_parity(verdict: Verdict) -> str | None:
    """The reason that shows, for a candidate made as the verdict's was, that what is served is what was made."""
    if verdict.method is not None:
        return METHOD_KINDS[verdict.method].parity
    # From an evaluation outside a migration: what is served on one's own machine may have been trained.
    return "parity_ok" if any(reason.code == "fits" for reason in verdict.reasons) else None
