"""What an evaluation left of its held-out samples, what a rule of deferral makes of it, and how well it agreed with
the incumbent there.

Live requests seldom have a right answer, so a candidate is scored by its agreement with the incumbent there. Of an
incumbent that is wrong in one request of three, a better candidate differs in as many. What was proven by right answers
can be watched by agreement all the same: it must not fall below what it was on the samples of the proof.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import anyio
import msgspec

from freehold.deferring.request_text import request_text
from freehold.deferring.router import Router
from freehold.errors import StorageError
from freehold.evals.comparing import SideBySide
from freehold.evals.scorer import Scorer
from freehold.evals.scorers import scorer_of
from freehold.late import np
from freehold.stats.binary import Floats
from freehold.store import Store
from freehold.types.dataset import Sample
from freehold.types.deferral import DeferralRule
from freehold.types.evaluated import Evaluation, ItemResult
from freehold.types.evaluation import Comparison, EvalResult, Task
from freehold.types.mixture import Mixture
from freehold.types.rollout import AgreementShift
from freehold.types.verdict import Verdict

if TYPE_CHECKING:
    import numpy.typing as npt


Conditions = Sequence[Mapping[str, str]]


def declared(conditions: Conditions, samples: Iterable[Sample]) -> npt.NDArray[np.bool_]:
    """Whether each sample meets one of the conditions in all its parts.

    A part about a header or an API key is not known of a sample: a condition with one is met by none.
    """
    known = [condition for condition in conditions if condition and not of_requests(condition)]
    return np.array(
        [
            any(
                all(_value_text(sample.metadata.get(name)) == value for name, value in condition.items())
                for condition in known
            )
            for sample in samples
        ],
        dtype=bool,
    )


def of_requests(condition: Mapping[str, str]) -> bool:
    """Whether a condition asks for a header or a key, which no sample has."""
    return any(map(is_of_requests, condition))


def is_of_requests(name: str) -> bool:
    """Whether that part of a condition does."""
    return name == "key" or name.startswith("header:")


def _value_text(value: object) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int | float) else None


def router_text(sample: Sample) -> str:
    """What a router reads of a sample."""
    return request_text({"messages": msgspec.to_builtins(sample.messages)})


Bools: TypeAlias = "npt.NDArray[np.bool_]"
_AGAIN = "freehold migrate --fresh measures it again"


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


def decide(rule: DeferralRule, samples: Sequence[Sample], candidate: Sequence[EvalResult]) -> Floats:
    """How sure the candidate is of each sample by the rule, as the gateway decides: a calibrated probability, below
    every threshold where the sample is not its to answer, above every one where it must. Raises `StorageError` for a
    router that is not the rule's."""
    tier = rule.candidate
    assert tier.calibration is not None and tier.signal is not None
    if tier.router is not None:
        router = Router.load(tier.router)
        raw = [router.score_text(text) if (text := router_text(one)) else math.nan for one in samples]
    else:
        raw = [one.signals.get(tier.signal, math.nan) for one in candidate]
    sure = np.array([-math.inf if math.isnan(value) else tier.calibration(value) for value in raw])
    sure[[one.error is not None and one.score.value is None for one in candidate]] = -math.inf
    sure[declared(rule.always_incumbent, samples)] = -math.inf
    sure[declared(rule.never_defer_out, samples)] = math.inf
    return sure


def mixed(results: SideBySide, here: Bools, upper: Mapping[int, EvalResult] | None = None) -> SideBySide:
    """The results with the mixture's in the candidate's place. `upper` are the upper model's by the sample's place."""
    answers = [
        own if is_here else (upper or {}).get(place, theirs)
        for place, (own, theirs, is_here) in enumerate(
            zip(results.candidate, results.incumbent, here, strict=True)
        )
    ]
    return results._replace(candidate=answers)


_Z = 1.96
"""Of a 95 % interval, both sides."""


def agreement_shift(
    store: Store, task: Task, rule: DeferralRule | None, verdict_id: str | None, *, only_sure: bool
) -> AgreementShift:
    """What is lost by agreement with the incumbent on the samples that proved the route's rule by right answers, or the
    candidate alone (`verdict_id`) where there is none; over all requests, or only those that the candidate was sure of.

    Nothing where the proof's results are gone, where they had no right answers, for scorers that look at an answer
    alone (a judge, tests of code), and where an upper model answers in the incumbent's place, which the results lack.
    """
    made = evaluation_behind(store, rule, verdict_id)
    if made is None or (rule is not None and rule.upper is not None):
        return AgreementShift()
    try:
        results = held_out_results(made)
        here = np.ones(len(results.samples), dtype=bool)
        if rule is not None:
            here = decide(rule, results.samples, results.candidate) >= rule.threshold
        rows = anyio.run(_losses, task, results)
    except StorageError:
        return AgreementShift()
    known = [
        (row if is_here else (0.0, 0.0))
        for row, is_here in zip(rows, here.tolist(), strict=True)
        if row is not None and (is_here or not only_sure)
    ]
    if len(known) < 2 or not any(loss or good for loss, good in known):
        return AgreementShift()
    values = np.array(known)
    mean, error = values.mean(axis=0), _Z * values.std(axis=0, ddof=1) / math.sqrt(len(values))
    return AgreementShift(
        difference=float(mean[0]),
        error=float(error[0]),
        as_good=float(mean[1]),
        as_good_error=float(error[1]),
    )


def evaluation_behind(store: Store, rule: DeferralRule | None, verdict_id: str | None) -> Evaluation | None:
    """The evaluation that a rule rests on, or the verdict where there is no rule."""
    if rule is not None:
        mixture = None if rule.mixture_id is None else store.get(Mixture, rule.mixture_id)
        ids = set() if mixture is None else set(mixture.made_from)
    else:
        verdict = None if verdict_id is None else store.get(Verdict, verdict_id)
        ids = set() if verdict is None else set(verdict.made_from)
        compared = [store.get(Comparison, one) for one in sorted(ids)]
        ids |= {name for one in compared if one is not None for name in one.made_from}
    return next(
        (
            one
            for one in reversed(store.records(Evaluation))
            if one.id in ids or (one.comparison is not None and one.comparison.id in ids)
        ),
        None,
    )


async def _losses(task: Task, results: SideBySide) -> list[tuple[float, float] | None]:
    """For each sample with a right answer what is lost by agreement, and by how much the candidate is as good more than
    that says; None where one of the answers is not known."""
    async with scorer_of(task) as scorer:
        if not scorer.right_by_agreement:
            return [None] * len(results.samples)
        return [
            await _loss(scorer, sample, incumbent, candidate)
            for sample, incumbent, candidate in zip(
                results.samples, results.incumbent, results.candidate, strict=True
            )
        ]


async def _loss(
    scorer: Scorer, sample: Sample, incumbent: EvalResult, candidate: EvalResult
) -> tuple[float, float] | None:
    ours, theirs = candidate.score.value, incumbent.score.value
    if sample.gold is None:
        return (0.0, 0.0)
    if ours is None or theirs is None or incumbent.output is None:
        return None
    agrees: float | None = 0.0
    if candidate.output is not None:
        agrees = (await scorer.score(sample, candidate.output, incumbent.output)).value
    if agrees is None:
        return None
    return 1.0 - agrees, float(ours >= theirs) - float(agrees >= 1.0)
