"""What a rollout's traces say: one observation per assignment key, tests that hold however often one looks.

Everything is computed anew from the traces at each look, in the order of exposure, so that nothing is lost by a
restart and a look changes nothing. Quality comes from mirrored pairs (candidate against what the incumbent
said, or a corrected answer), errors and broken schemas from both arms with the logged probability, latency
from the candidate alone. The total false-rollback probability, over the life of a rollout, is 0.05.

Covered: sticky keys (a key's first requests become one value), ramped shares, several metrics.
Not covered: labels that come much later than the answer; a key counts with what is known at the look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Literal, NamedTuple

from freehold.stats.sequential import (
    ALPHA_SPLIT,
    AipwCanary,
    Exposure,
    MeanBet,
    PairedGrid,
    betting_cs,
    new_unit_probability,
    one_value_per_unit,
)
from freehold.types.record import Record
from freehold.types.trace import Trace

PROMOTE_ALPHA = 0.025
ERROR_MARGIN = 0.005
FIRST_REQUESTS = 5
"""How many of a key's requests make its one value."""

Metric = Literal["quality", "errors", "validity", "latency"]


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
    """Lower limit of the quality difference; None before the first pair."""

    @property
    def alarms(self) -> tuple[str, ...]:
        return tuple(state.metric for state in self.metrics if state.rollback)

    def state(self, metric: Metric) -> MetricState:
        return next(state for state in self.metrics if state.metric == metric)


class Pair(NamedTuple):
    """One mirrored request: whose it is, and candidate minus incumbent."""

    unit: str
    difference: float


def look(traces: Sequence[Trace], pairs: Sequence[Pair], *, margin: float, max_p95_ms: float | None) -> Look:
    """Test all metrics. `traces` are the route's own since the rollout began, in order; no mirrored ones."""
    differences = [
        value for _, value in one_value_per_unit([p.unit for p in pairs], [p.difference for p in pairs])
    ]
    states = [_quality(differences, margin)]
    exposed = [trace for trace in traces if trace.share is not None and 0 < trace.share < 1]
    states.append(_arms("errors", exposed, [1.0 - is_error(trace) for trace in exposed]))
    states.append(
        _arms("validity", exposed, [0.0 if trace.fallback == "schema" else 1.0 for trace in exposed])
    )
    on_candidate = [trace for trace in traces if trace.arm == "candidate"]
    if max_p95_ms is not None:
        states.append(_latency(on_candidate, max_p95_ms))
    lowest = None
    if differences:
        lower, _ = betting_cs([(value + 1) / 2 for value in differences], alpha=0.05)
        lowest = 2 * float(lower[-1]) - 1
    return Look(
        metrics=tuple(states),
        pairs=len(differences),
        candidate_units=len({unit_of(trace) for trace in on_candidate}),
        lowest_effect=lowest,
    )


def unit_of(trace: Trace) -> str:
    """The independent unit a trace belongs to."""
    return trace.assignment_key or trace.conversation_id or trace.user or trace.id


def is_error(trace: Trace) -> bool:
    """Did the arm a request was sent to fail? A client that left is nobody's error."""
    return (
        trace.status >= 500
        or trace.completeness == "upstream_cut"
        or trace.fallback not in (None, "schema", "context")
    )


def _quality(differences: Sequence[float], margin: float) -> MetricState:
    back = PairedGrid(margin=margin, side="rollback").update(differences)
    forward = PairedGrid(margin=margin, side="promote").update(differences)
    alpha = ALPHA_SPLIT["quality"]
    return MetricState(
        metric="quality",
        units=back.t,
        estimate=sum(differences) / len(differences) if differences else None,
        e_value=_exp(back.max_log_e),
        acts_at=1 / alpha,
        rollback=back.crossed(alpha),
        promote=forward.crossed(PROMOTE_ALPHA),
    )


def _arms(metric: Metric, traces: Sequence[Trace], scores: Sequence[float]) -> MetricState:
    exposures = list(_exposures(traces, scores))
    back = AipwCanary(margin=ERROR_MARGIN, side="rollback").update(exposures)
    forward = AipwCanary(margin=ERROR_MARGIN, side="promote").update(exposures)
    alpha = ALPHA_SPLIT[metric]
    return MetricState(
        metric=metric,
        units=back.t,
        estimate=back.effect,
        e_value=_exp(back.max_log_e),
        acts_at=1 / alpha,
        rollback=back.crossed(alpha),
        promote=forward.crossed(PROMOTE_ALPHA),
    )


def _exposures(traces: Sequence[Trace], scores: Sequence[float]) -> Iterable[Exposure]:
    """Units in the order of their exposure, each with the probability of the candidate it had.

    When the share rises from p to q, a key that was on the incumbent moves with probability
    (q - p) / (1 - p) and is a new unit; one that was on the candidate stays there and is no news.
    """
    moments: dict[tuple[str, float], list[float]] = {}
    arms: dict[tuple[str, float], tuple[bool, float]] = {}
    last_share: dict[str, float] = {}
    been_there: set[str] = set()
    for trace, score in zip(traces, scores, strict=True):
        assert trace.share is not None
        unit, candidate = unit_of(trace), trace.arm == "candidate"
        share = trace.share if candidate else 1.0 - trace.share
        moment = (unit, round(share, 9))
        if moment in moments:
            if len(moments[moment]) < FIRST_REQUESTS:
                moments[moment].append(score)
            continue
        if unit in been_there:
            continue
        before = last_share.get(unit)
        if before is not None and share <= before:
            continue
        probability = share if before is None else new_unit_probability(before, share)
        last_share[unit] = share
        if candidate:
            been_there.add(unit)
        moments[moment] = [score]
        arms[moment] = (candidate, probability)
    for moment, values in moments.items():
        candidate, probability = arms[moment]
        if 0 < probability < 1:
            yield Exposure(candidate, sum(values) / len(values), probability)


def _latency(traces: Sequence[Trace], max_p95_ms: float) -> MetricState:
    """P(a key's median answer is slower than the limit) <= 0.05, tested on the candidate alone."""
    times: dict[str, list[float]] = {}
    for trace in traces:
        # An answer that never came is slower than any limit.
        value = float("inf") if trace.total_ms is None or is_error(trace) else trace.total_ms
        seen = times.setdefault(unit_of(trace), [])
        if len(seen) < FIRST_REQUESTS:
            seen.append(value)
    slow = [float(median(values) > max_p95_ms) for values in times.values()]
    alpha = ALPHA_SPLIT["latency"]
    bet = MeanBet(limit=0.05, above=True, alpha=alpha).update(slow)
    return MetricState(
        metric="latency",
        units=bet.t,
        estimate=sum(slow) / len(slow) if slow else None,
        e_value=_exp(bet.max_log_e),
        acts_at=1 / alpha,
        rollback=bet.crossed(alpha),
    )


def _exp(log_e: float) -> float:
    from math import exp

    return exp(min(log_e, 700.0))
