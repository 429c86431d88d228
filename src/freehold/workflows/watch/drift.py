"""Has what comes in, or what goes out, changed since the model was promoted? Shares of requests, compared with then.

Needs no labels. Each summary is 0 or 1 per user and period; the null is that its share is within `TOLERANCE` of what
it was. Periods go into a detector that errs once in 200 of them on average, per summary.
Covered: length, tools, structure and script of requests; empty, cut, long, refusing and failed answers.
Not covered: what a request is about. Changes of that show in the quality check, which asks again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from freehold.datasets.building import answer_of
from freehold.stats.drift import THRESHOLD, MeanDetector, share_limits
from freehold.stats.sequential import one_value_per_unit
from freehold.store.index import is_error
from freehold.types.record import Record
from freehold.types.rollout import Drift, Side
from freehold.types.trace import Trace
from freehold.workflows.shift.rollout.decision import unit_of

TOLERANCE = 0.05
FEWEST = 30
_LONG = 0.9
_REFUSALS = ("i'm sorry", "i am sorry", "i can't", "i cannot", "i'm unable", "as an ai")


class Baseline(Record, frozen=True, kw_only=True):
    """Shares at the time of promotion, and the lengths that counted as long then."""

    traces: int
    long_prompt_characters: float
    long_answer_characters: float
    shares: dict[str, float] = {}


class Summary(NamedTuple):
    """A yes-or-no question about a trace; the baseline says what is long."""

    name: str
    side: Side
    holds: Callable[[Trace, Baseline], bool]


def _prompt(trace: Trace) -> str:
    parts = []
    for message in trace.request.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        parts.append(content if isinstance(content, str) else msgspec.json.encode(content).decode())
    return "\n".join(parts)


def _structured(trace: Trace) -> bool:
    form = trace.request.get("response_format")
    return isinstance(form, dict) and form.get("type") in ("json_object", "json_schema")


def _other_script(trace: Trace) -> bool:
    letters = [char for char in _prompt(trace) if char.isalpha()]
    return sum(char > "\u024f" for char in letters) > 0.2 * len(letters)


def _answer(trace: Trace) -> str:
    return answer_of(trace) or ""


SUMMARIES: tuple[Summary, ...] = (
    Summary("long prompt", "input", lambda trace, then: len(_prompt(trace)) > then.long_prompt_characters),
    Summary("tools", "input", lambda trace, _: bool(trace.request.get("tools"))),
    Summary("structured answer asked", "input", lambda trace, _: _structured(trace)),
    Summary("other script", "input", lambda trace, _: _other_script(trace)),
    Summary("empty answer", "output", lambda trace, _: not _answer(trace).strip()),
    Summary("cut answer", "output", lambda trace, _: trace.finish_reason == "length"),
    Summary("long answer", "output", lambda trace, then: len(_answer(trace)) > then.long_answer_characters),
    Summary("refusal", "output", lambda trace, _: _answer(trace).lstrip().lower().startswith(_REFUSALS)),
    Summary(
        "failed or passed over", "output", lambda trace, _: is_error(trace) or trace.fallback is not None
    ),
)


def baseline(asked: Sequence[Trace], answered: Sequence[Trace]) -> Baseline | None:
    """The baseline from traces before the promotion: requests, and the candidate's answers. None when too few."""
    if min(len(asked), len(answered)) < FEWEST:
        return None
    made = Baseline(
        traces=len(asked),
        long_prompt_characters=_high([len(_prompt(trace)) for trace in asked]),
        long_answer_characters=_high([len(_answer(trace)) for trace in answered]),
    )
    shares = {}
    for one in SUMMARIES:
        values = _values(one, asked if one.side == "input" else answered, made)
        shares[one.name] = sum(values) / len(values)
    return msgspec.structs.replace(made, shares=shares)


def drifts(
    traces: Sequence[Trace], then: Baseline, detectors: dict[str, MeanDetector]
) -> tuple[tuple[Drift, ...], dict[str, MeanDetector]]:
    """What one period's traces say, and the detectors after it."""
    found, after = [], dict(detectors)
    for one in SUMMARIES:
        values = _values(one, traces, then)
        if not values or one.name not in then.shares:
            continue
        before = then.shares[one.name]
        limits = share_limits(before, before, TOLERANCE)
        after[one.name] = state = after.get(one.name, MeanDetector()).update(values, *limits)
        found.append(
            Drift(
                name=one.name,
                side=one.side,
                users=len(values),
                share=sum(values) / len(values),
                baseline=before,
                e_value=MeanDetector().update(values, *limits).statistic,
                statistic=state.statistic,
                alarm=state.statistic >= THRESHOLD,
            )
        )
    return tuple(found), after


def _values(one: Summary, traces: Sequence[Trace], then: Baseline) -> list[float]:
    pairs = one_value_per_unit(
        [unit_of(trace) for trace in traces], [float(one.holds(trace, then)) for trace in traces]
    )
    return [value for _, value in pairs]


def _high(lengths: list[int]) -> float:
    return float(sorted(lengths)[math.ceil(_LONG * len(lengths)) - 1])
