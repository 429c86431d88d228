"""Agreement of several samples as a signal, asked of a candidate on this machine."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from freehold import __version__
from freehold.deferring.agreeing import agreement
from freehold.engines import start
from freehold.evals.replay import ReplayOptions, answers
from freehold.types.dataset import Sample
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import EvalResult
from freehold.types.selected import SampleAgreement
from freehold.workflows.journey.methods import Bench
from freehold.workflows.prove.evaluate import ServedCandidate
from freehold.workflows.prove.evidence_basis import answers_folder


def cannot_agree(plan: ServePlan) -> str | None:
    """Why further samples of a candidate are not asked for; None where they are."""
    if plan.engine_kind.is_rented:
        return "it is behind an address, where each further sample has its price"
    if plan.engine_kind.tells_confidence == "probability":
        return "an encoder answers the same each time"
    return None


async def agreement_on(
    bench: Bench, plan: ServePlan, samples: Sequence[Sample], first: Sequence[str | None] | None = None
) -> SampleAgreement:
    """How far further samples of the candidate agree with its `first` answers (None: with those that were kept when it
    was measured). Raises what starting its engine and asking it raise."""
    count = bench.project.config.defer.agreement_samples
    folder = answers_folder(bench.project.state / "evaluations", plan)
    async with start(plan, log_dir=bench.project.state / "engines", name="agree") as endpoint:
        served = ServedCandidate(endpoint, plan.served_name)
        options = ReplayOptions(plan.parallel, cache_path=served.answers_file(folder))
        if first is None:
            asked = options._replace(signals=True)
            found = await answers(endpoint, plan.served_name, samples, bench.task, options=asked)
            first = [one.answer.output for one in found]
        columns = []
        for number in range(1, count + 1):
            bench.progress.say(f"asking {len(samples):,} answers again, {number} of {count}")
            again = await answers(
                endpoint, plan.served_name, samples, bench.task, options=options._replace(sample=number)
            )
            columns.append([one.answer for one in again])
    values = []
    for place, said in enumerate(first):
        further = [column[place] for column in columns]
        missing = any(one.fault == "infrastructure" for one in further)
        cut = [None if one.fault is not None else one.output for one in further]
        values.append(None if missing else agreement(said, cut))
    return SampleAgreement(values=tuple(values))


def with_agreement(results: Sequence[EvalResult], found: SampleAgreement) -> list[EvalResult]:
    """Results that carry the signal, where it is known."""
    return [
        one if value is None else msgspec.structs.replace(one, signals={**one.signals, "agreement": value})
        for one, value in zip(results, found.values, strict=True)
    ]


def inputs(bench: Bench, plan: ServePlan, items: int) -> list[object]:
    """What decides the column on the selection split."""
    count = bench.project.config.defer.agreement_samples
    return [plan.identity, bench.dataset.id, bench.task, items, count, __version__]
