"""What a rollout's traces say: one observation per assignment key, tests that hold however often one looks.

A key's first requests fall into a window; when the window is full or old enough it becomes one value and enters
the tests, in the order in which keys were first exposed. A value never changes once it has entered, so each look
only adds. Quality comes from mirrored pairs (candidate against what the incumbent said, or a corrected answer),
errors and broken schemas from both arms with the logged probability, latency from the candidate alone. The total
false-rollback probability, over the life of a rollout, is 0.05.

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
    AipwCanary,
    Exposure,
    MeanBet,
    PairedGrid,
    breaker_failures,
    empirical_bernstein_lower_cs,
    new_unit_probability,
)
from freehold.store.search.terms import is_error
from freehold.types.record import Record
from freehold.types.trace import Trace

PROMOTE_ALPHA = 0.025
BOUND_ALPHA = 0.05
ERROR_MARGIN = 0.005
LATENCY_LIMIT = 0.05
EXPECTED_REQUESTS = 100_000
"""Of a candidate, over a rollout: how rare a row of failures must be by chance to open the breaker."""

Metric = Literal["quality", "errors", "validity", "latency"]
Kind = Literal["arm", "pair"]


class MetricState(Record, frozen=True, kw_only=True):
    """One metric at one look. `e_value` is the largest the rollback test has ever reached."""

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
    """The first requests of one key, on one share. `seq` is its place in the order of exposure.

    `pairs` are ids of mirrored traces, `times_ms` how long answers took (None: never came).
    """

    kind: Kind
    unit: str
    stage: int
    seq: int
    opened_at: datetime
    closed: bool = False
    candidate: bool = False
    probability: float = 0.0
    n: int = 0
    errors: int = 0
    broken: int = 0
    times_ms: tuple[float | None, ...] = ()
    pairs: tuple[str, ...] = ()
    value: float | None = None

    @property
    def key(self) -> tuple[str, str, int]:
        return (self.kind, self.unit, self.stage)


class Tests(Record, frozen=True, kw_only=True):
    """The state of all tests of one rollout; stored with it and never reset. `cursor` is the last trace seen."""

    quality_back: PairedGrid
    quality_forward: PairedGrid
    quality_bound: PairedGrid | None
    errors_back: AipwCanary = AipwCanary(margin=ERROR_MARGIN, side="rollback")
    errors_forward: AipwCanary = AipwCanary(margin=ERROR_MARGIN, side="promote")
    validity_back: AipwCanary = AipwCanary(margin=ERROR_MARGIN, side="rollback")
    validity_forward: AipwCanary = AipwCanary(margin=ERROR_MARGIN, side="promote")
    latency: MeanBet | None = None
    max_p95_ms: float | None = None
    cursor: int = 0
    difference_sum: float = 0.0
    candidate_units: int = 0
    unscored: int = 0
    failures_in_a_row: int = 0
    broken_off: str | None = None


def begin(*, margin: float, max_p95_ms: float | None) -> Tests:
    """The tests before the first observation."""
    bound = 3 * margin
    return Tests(
        quality_back=PairedGrid(margin=margin, side="rollback"),
        quality_forward=PairedGrid(margin=margin, side="promote"),
        quality_bound=PairedGrid(margin=bound, side="promote") if bound < 1 else None,
        latency=None
        if max_p95_ms is None
        else MeanBet(limit=LATENCY_LIMIT, above=True, alpha=ALPHA_SPLIT["latency"]),
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
        self.changed: dict[tuple[str, str, int], Window] = {}
        self._windows = {window.key: window for window in windows}
        self._first = requests_per_user
        self._open_s = {"pair": window_s, "arm": min(window_s, failure_window_s)}
        self._arms: dict[str, list[Window]] = {}
        for window in sorted(self._windows.values(), key=lambda one: one.seq):
            if window.kind == "arm":
                self._arms.setdefault(window.unit, []).append(window)

    def take(self, seq: int, trace: Trace) -> None:
        """Fold in one trace, at its place in the order of arrival."""
        self.tests = msgspec.structs.replace(self.tests, cursor=seq)
        if trace.arm == "candidate":
            self._update_failures(trace)
        if trace.parent_id is not None:
            self._take_pair(seq, trace)
            return
        if trace.share is not None and 0 < trace.share < 1:
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
        """Let windows of the two arms enter."""
        tests = self.tests
        used = [one for one in windows if 0 < one.probability < 1]
        errors = [Exposure(one.candidate, 1 - one.errors / one.n, one.probability) for one in used]
        broken = [Exposure(one.candidate, 1 - one.broken / one.n, one.probability) for one in used]
        slow = []
        if tests.max_p95_ms is not None:  # an answer that never came is slower than any limit
            slow = [
                float(median(math.inf if ms is None else ms for ms in one.times_ms) > tests.max_p95_ms)
                for one in windows
                if one.candidate
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
            difference_sum=tests.difference_sum + math.fsum(scored),
            unscored=tests.unscored + len(values) - len(scored),
        )
        for window, value in zip(windows, values, strict=True):
            self._store(msgspec.structs.replace(window, closed=True, value=value))

    def _store(self, window: Window) -> None:
        self._windows[window.key] = self.changed[window.key] = window

    def _take_pair(self, seq: int, trace: Trace) -> None:
        unit = unit_of(trace)
        window = self._windows.get(("pair", unit, 0)) or Window(
            kind="pair", unit=unit, stage=0, seq=seq, opened_at=trace.at
        )
        if not window.closed and window.n < self._first:
            self._store(msgspec.structs.replace(window, n=window.n + 1, pairs=(*window.pairs, trace.id)))

    def _take_arm(self, seq: int, trace: Trace) -> None:
        """A key's request in a canary.

        When the share rises from p to q, a key that was on the incumbent moves with probability (q - p) / (1 - p)
        and is a new unit; one that was on the candidate stays there and adds nothing.
        """
        assert trace.share is not None
        unit, candidate = unit_of(trace), trace.arm == "candidate"
        share = trace.share if candidate else 1.0 - trace.share
        stage = round(share * 1e6)
        window = self._windows.get(("arm", unit, stage))
        if window is None:
            earlier = self._arms.get(unit, [])
            if any(one.candidate for one in earlier):
                return
            before = max((one.stage / 1e6 for one in earlier), default=None)
            if before is not None and share <= before:
                return
            window = Window(
                kind="arm",
                unit=unit,
                stage=stage,
                seq=seq,
                opened_at=trace.at,
                candidate=candidate,
                probability=share if before is None else new_unit_probability(before, share),
            )
            self._arms.setdefault(unit, []).append(window)
            if candidate:
                self.tests = msgspec.structs.replace(
                    self.tests, candidate_units=self.tests.candidate_units + 1
                )
        if window.closed or window.n >= self._first or window.candidate != candidate:
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
        known = tests.errors_back
        usual_rate = (0.5 + known.incumbent_n - known.incumbent_sum) / (50 + known.incumbent_n)
        limit = breaker_failures(EXPECTED_REQUESTS, min(usual_rate, 0.9))
        self.tests = msgspec.structs.replace(
            tests,
            failures_in_a_row=row,
            broken_off=tests.broken_off
            or (f"{row} errors of the candidate in a row" if row >= limit else None),
        )


def look(tests: Tests, differences: Sequence[float], *, waiting: int = 0) -> Look:
    """What the tests say now. `differences` are the values of the pairs that have entered, for display."""
    lowest = None
    if len(differences):
        lower = empirical_bernstein_lower_cs([(value + 1) / 2 for value in differences], alpha=BOUND_ALPHA)
        lowest = 2 * float(lower[-1]) - 1
    metrics = [
        _quality(tests),
        _arms("errors", tests.errors_back, tests.errors_forward),
        _arms("validity", tests.validity_back, tests.validity_forward),
    ]
    if tests.latency is not None:
        metrics.append(_latency(tests.latency))
    pairs = tests.quality_back.t
    return Look(
        metrics=tuple(metrics),
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


def _quality(tests: Tests) -> MetricState:
    back, alpha = tests.quality_back, ALPHA_SPLIT["quality"]
    return MetricState(
        metric="quality",
        units=back.t,
        estimate=tests.difference_sum / back.t if back.t else None,
        e_value=math.exp(min(back.max_log_e, 700.0)),
        acts_at=1 / alpha,
        rollback=back.crossed(alpha),
        promote=tests.quality_forward.crossed(PROMOTE_ALPHA),
    )


def _arms(metric: Metric, back: AipwCanary, forward: AipwCanary) -> MetricState:
    alpha = ALPHA_SPLIT[metric]
    return MetricState(
        metric=metric,
        units=back.t,
        estimate=back.effect,
        e_value=math.exp(min(back.max_log_e, 700.0)),
        acts_at=1 / alpha,
        rollback=back.crossed(alpha),
        promote=forward.crossed(PROMOTE_ALPHA),
    )


def _latency(bet: MeanBet) -> MetricState:
    """P(a key's median answer is slower than the limit) <= 0.05, tested on the candidate alone."""
    alpha = ALPHA_SPLIT["latency"]
    return MetricState(
        metric="latency",
        units=bet.t,
        estimate=bet.total / bet.t if bet.t else None,
        e_value=math.exp(min(bet.max_log_e, 700.0)),
        acts_at=1 / alpha,
        rollback=bet.crossed(alpha),
    )
