"""A generation against those before it, on the requests that were audited for it: not worse than the one that serves,
and not worse than the first one, each by the promised margin.

The incumbent is the third, by the journey's own look at rising shares. All three must pass, so each is tested at the
whole level of the generation (intersection-union test, Berger 1982, Technometrics 24(4)). Shares are tested in the
order of that look, to the first at which one of them fails: what is proven before it is proven at once. The earlier
ones answer the same requests again, with the model and the rule that they served with.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import msgspec

from freehold.engines import start
from freehold.errors import UsageError
from freehold.evals.comparing import SideBySide
from freehold.evals.replay import ReplayOptions
from freehold.evals.task_comparison import compare_by_task, prepared
from freehold.late import np
from freehold.types.deferral import DeferralRule
from freehold.types.endpoint import ServePlan
from freehold.types.evaluation import Comparison, EvalResult
from freehold.types.generation import AgainstEarlier, Generation
from freehold.types.mixture import Mixture
from freehold.workflows.journey.methods.method import Bench
from freehold.workflows.prove.evaluate import ServedCandidate, ask_and_score
from freehold.workflows.prove.evidence_basis import answers_folder
from freehold.workflows.prove.mixed import Bools, decide, mixed


class Step(NamedTuple):
    """A share at which a generation was tested against those before it, by their numbers. `share` is 1 for the
    candidate alone, `shown` is what it makes of the requests at that share."""

    share: float
    shown: SideBySide
    compared: dict[int, Comparison]

    @property
    def passed(self) -> bool:
        """Whether it is worse than none of them by the margin."""
        return all(one.verdict == "promote" for one in self.compared.values())

    @property
    def earlier(self) -> tuple[AgainstEarlier, ...]:
        """As a generation keeps it."""
        return tuple(
            AgainstEarlier(
                number=number,
                difference=one.difference,
                low=one.ci_low,
                high=one.ci_high,
                verdict=one.verdict,
            )
            for number, one in self.compared.items()
        )


class EarlierAnswers(NamedTuple):
    """What an earlier generation, with its fallback, makes of the same requests."""

    number: int
    results: list[EvalResult]
    share: float


def answers_of_earlier(
    bench: Bench, generations: Sequence[Generation], results: SideBySide
) -> list[EarlierAnswers]:
    """Have earlier generations answer the audited requests. Raises `UsageError` where a model of theirs is gone, and
    what starting its engine raises."""
    return [anyio.run(partial(_answers, bench, one, results)) for one in generations]


async def _answers(bench: Bench, generation: Generation, results: SideBySide) -> EarlierAnswers:
    plan, what = _plan_of(generation), f"generation {generation.number}"
    folder = answers_folder(bench.project.state / "evaluations", plan)
    bench.progress.say(f"asking {what} the {len(results.samples):,} audited requests")
    async with start(plan, log_dir=bench.project.state / "engines", name="earlier") as endpoint:
        served = ServedCandidate(endpoint, plan.served_name)
        options = ReplayOptions(plan.parallel, cache_path=served.answers_file(folder))
        task = prepared(bench.task, folder)
        answered = await ask_and_score(
            served, results.incumbent_name, results.samples, {}, task, options, bench.progress
        )
    own = answered.results.candidate
    here = _here(generation.rule, results, own)
    return EarlierAnswers(
        generation.number,
        list(mixed(results._replace(candidate=own), here).candidate),
        float(here.mean()) if len(here) else 0.0,
    )


def _plan_of(generation: Generation) -> ServePlan:
    plan = generation.plan
    if plan is None or (plan.weights_path is not None and not Path(plan.weights_path).exists()):
        raise UsageError(
            f"the model of generation {generation.number} is gone, so nothing can be compared with it",
            hint="bring its folder back from a backup; without it only freehold migrate proves a new model",
        )
    return plan


def _here(rule: DeferralRule | None, results: SideBySide, own: Sequence[EvalResult]) -> Bools:
    """Which requests are answered without the incumbent."""
    if rule is None:
        return np.ones(len(results.samples), dtype=bool)
    return decide(rule, results.samples, own) >= rule.threshold


def compare_with(
    bench: Bench,
    results: SideBySide,
    planned: DeferralRule | None,
    mixture: Mixture | None,
    earlier: Sequence[EarlierAnswers],
    alpha: float,
) -> list[Step]:
    """Test the shares that were proven against the incumbent, in their order, against what earlier ones answer. All
    that are returned passed but perhaps the last.

    `planned` is the rule whose thresholds the mixture's shares are; without one the candidate answers all.
    """
    places: list[tuple[float, Bools]] = []
    if planned is not None and mixture is not None:
        sure = decide(planned, results.samples, results.candidate)
        places = [(one.share, sure >= one.threshold) for one in mixture.proven]
    if mixture is None or mixture.alone or planned is None:
        places.append((1.0, np.ones(len(results.samples), dtype=bool)))
    steps: list[Step] = []
    for share, here in places:
        shown = mixed(results, here)
        found = {one.number: compared(bench, shown, one, alpha) for one in earlier}
        steps.append(Step(share, shown, found))
        if not steps[-1].passed:
            break
    return steps


def to_incumbent(bench: Bench, results: SideBySide, earlier: EarlierAnswers) -> Comparison:
    """An earlier generation with its fallback minus the incumbent, with a 95 % interval."""
    task = msgspec.structs.replace(bench.task, alpha=0.025)
    against = results._replace(candidate=earlier.results)
    return anyio.run(partial(compare_by_task, against, task, made_from=(bench.dataset.id,))).comparison


def compared(bench: Bench, shown: SideBySide, earlier: EarlierAnswers, alpha: float) -> Comparison:
    """What is shown in the candidate's place minus an earlier generation, at a one-sided `alpha`."""
    against = shown._replace(incumbent=earlier.results, incumbent_name=f"generation {earlier.number}")
    task = msgspec.structs.replace(bench.task, alpha=alpha)
    return anyio.run(partial(compare_by_task, against, task, made_from=(bench.dataset.id,))).comparison
