"""The one look at a mixture: its scores on the held-out samples, in place of the candidate's, in the usual verdict."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import msgspec

from freehold.deferring.router import Router
from freehold.errors import StorageError
from freehold.evals.comparing import SideBySide
from freehold.evals.latency import summarize
from freehold.evals.task_comparison import compare_by_task
from freehold.late import np
from freehold.stats import deferral
from freehold.types.config import DeferConfig
from freehold.types.dataset import Sample
from freehold.types.deferral import DeferralRule
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.types.evaluation import Comparison, EvalResult, Task
from freehold.types.mixture import MixtureLatency
from freehold.workflows.journey.mixing.curves import codes_of, router_text
from freehold.workflows.journey.mixing.slices import declared
from freehold.workflows.prove.looks import Looks, context_of, look_at, with_look

if TYPE_CHECKING:
    import numpy.typing as npt

Bools: TypeAlias = "npt.NDArray[np.bool_]"
AskUpper = Callable[[Sequence[Sample]], Awaitable[Sequence[EvalResult]]]
"""Asks the upper model, and gives the score of each of its answers."""
_MIXED = "The mixture: the candidate's answer where it is sure, the incumbent's recorded one elsewhere."
_MIXED_WITH_UPPER = (
    "The mixture: the candidate's answer where it is sure, the upper model's elsewhere, both against the incumbent's "
    "recorded one."
)
_AGAIN = "freehold migrate --fresh measures it again"


class Decided(NamedTuple):
    """Which held-out samples the candidate answers. `decided_ms` are the router's times, empty for a cascade."""

    here: Bools
    decided_ms: list[float]


class MixtureLook(NamedTuple):
    """What the look showed."""

    comparison: Comparison
    share: float
    share_low: float
    share_high: float
    latency: MixtureLatency


def held_out_results(made: Evaluation) -> SideBySide:
    """Both models' results as an evaluation left them. Raises `StorageError` where its file is gone or damaged."""
    path = Path(made.results_file or "")
    decoder = msgspec.json.Decoder(ItemResult)
    try:
        with path.open("rb") as file:
            lines = [decoder.decode(line) for line in file]
    except (OSError, msgspec.DecodeError) as error:
        raise StorageError(f"{path}: the evaluation's results cannot be read: {error}", hint=_AGAIN) from None
    return SideBySide(
        [one.sample for one in lines],
        [one.reference for one in lines],
        [one.incumbent for one in lines],
        [one.candidate for one in lines],
        made.incumbent,
        made.candidate,
    )


def decide(rule: DeferralRule, samples: Sequence[Sample], candidate: Sequence[EvalResult]) -> Decided:
    """Who answers each sample by the rule, as the gateway decides. Raises `StorageError` for a router that is not
    the rule's."""
    times: list[float] = []
    if rule.way == "router":
        assert rule.router is not None
        router = Router.load(rule.router)
        raw = []
        for sample in samples:
            began = time.perf_counter()
            text = router_text(sample)
            raw.append(router.score_text(text) if text else math.nan)
            times.append((time.perf_counter() - began) * 1000)
    else:
        raw = [one.signals.get(rule.signal, math.nan) for one in candidate]
    sure = np.array([not math.isnan(value) and rule.calibration(value) >= rule.threshold for value in raw])
    answered = np.array([not (one.error and one.score.value is None) for one in candidate])
    config = DeferConfig(always_incumbent=rule.always_incumbent, never_defer_out=rule.never_defer_out)
    here = sure & answered & ~declared(config.always_incumbent, samples)
    return Decided(here | declared(config.never_defer_out, samples), times)


def mixed(results: SideBySide, here: Bools, upper: Mapping[int, EvalResult] | None = None) -> SideBySide:
    """The results with the mixture's in the candidate's place. `upper` are the upper model's by the sample's place."""
    answers = [
        own if is_here else (upper or {}).get(place, theirs)
        for place, (own, theirs, is_here) in enumerate(
            zip(results.candidate, results.incumbent, here, strict=True)
        )
    ]
    return results._replace(candidate=answers)


async def _of_upper(
    rule: DeferralRule, samples: Sequence[Sample], here: Bools, ask: AskUpper | None
) -> dict[int, EvalResult]:
    """The upper model's results where it answers, by the sample's place. One that has no answer leaves it to the
    incumbent, as it does when it is served."""
    if ask is None:
        return {}
    places = np.flatnonzero(~here & ~declared(rule.always_incumbent, samples)).tolist()
    results = await ask([samples[place] for place in places]) if places else ()
    return {
        place: one
        for place, one in zip(places, results, strict=True)
        if not (one.error and one.score.value is None)
    }


async def look(
    rule: DeferralRule,
    made: Evaluation,
    looks: Looks,
    *,
    task: Task,
    recorded_ms: Sequence[float],
    ask_upper: AskUpper | None = None,
) -> MixtureLook:
    """Look at the mixture on the samples of an evaluation. `task` has the alpha of all planned looks together;
    `recorded_ms` are times of the incumbent's answers; `ask_upper` asks the rule's upper model, where it has
    one. The look is counted before its result is known.

    Raises as `held_out_results` and `decide` do, and what asking raises.
    """
    results = held_out_results(made)
    samples, names = results.samples, (made.incumbent, made.candidate)
    decided = decide(rule, samples, results.candidate)
    upper = await _of_upper(rule, samples, decided.here, ask_upper)
    counted = looks.take_mixture(
        look_at(samples, evaluation_id=made.id, dataset_id=made.dataset_id, names=names, alpha=task.alpha)
    )
    noise, unmeasured = None, 0.0
    if made.comparison is not None:
        noise, unmeasured = made.comparison.self_noise, made.comparison.unmeasured
    compared = await compare_by_task(
        mixed(results, decided.here, upper),
        msgspec.structs.replace(task, alpha=counted.alpha),
        made_from=(made.dataset_id, made.id, rule.id),
        notes=(_MIXED if rule.upper is None else _MIXED_WITH_UPPER,),
        context=context_of(counted, self_noise=noise, unmeasured=unmeasured * float(decided.here.mean())),
    )
    low, high = deferral.share_interval(decided.here, codes_of(samples), counted.alpha)
    return MixtureLook(
        with_look(compared.comparison, counted),
        float(decided.here.mean()),
        low,
        high,
        latency(rule, results.candidate, decided, recorded_ms),
    )


def latency(
    rule: DeferralRule, candidate: Sequence[EvalResult], decided: Decided, recorded_ms: Sequence[float]
) -> MixtureLatency:
    """The two paths' times. The gateway's own work and the incumbent's answer come on top of `deferred`."""
    here = summarize(
        [one for one, is_here in zip(candidate, decided.here, strict=True) if is_here], concurrency=1
    )
    rest = summarize(
        [one for one, is_here in zip(candidate, decided.here, strict=True) if not is_here], concurrency=1
    )
    router = rule.way == "router"
    p50, p95 = _quantile(decided.decided_ms, 0.5), _quantile(decided.decided_ms, 0.95)
    return MixtureLatency(
        decided_p50_ms=p50,
        decided_p95_ms=p95,
        here_p50_ms=here.total_p50_ms,
        here_p95_ms=here.total_p95_ms,
        deferred_p50_ms=p50 if router else rest.total_p50_ms,
        deferred_p95_ms=p95 if router else rest.total_p95_ms,
        incumbent_p50_ms=_quantile(recorded_ms, 0.5),
        incumbent_p95_ms=_quantile(recorded_ms, 0.95),
    )


def _quantile(values: Sequence[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
