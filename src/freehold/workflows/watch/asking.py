"""What a check of a promoted route asks, chosen at random within a budget, and what it costs at most; put to the
incumbent, or to the candidate where the incumbent's answers are frozen, and scored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.costs.prices import flat_price, request_price
from freehold.datasets import building
from freehold.datasets.building import answer_of
from freehold.datasets.sampling import Recipe, sample_of
from freehold.errors import UsageError
from freehold.evals.frozen import with_frozen
from freehold.evals.replay import Replayed, ReplayOptions, answers
from freehold.evals.scorers import scorer_of
from freehold.gateway.proxy.deferrable import Deferrable, meets
from freehold.progress import Progress
from freehold.store import Store
from freehold.types.dataset import Sample
from freehold.types.endpoint import INCUMBENT, Endpoint
from freehold.types.evaluation import Task
from freehold.types.rollout import Against, AgreementShift
from freehold.types.route import Route
from freehold.types.trace import Trace, Usage
from freehold.wire.base_url import stem
from freehold.workflows.data.dataset import find_dataset
from freehold.workflows.project import Project
from freehold.workflows.prove.results import frozen_answers
from freehold.workflows.prove.task import task_of
from freehold.workflows.shift.rollout.decision import unit_of


class CheckPlan(NamedTuple):
    """What a check will ask, and what it will cost at most. `estimated_usd` is None where nothing is paid for."""

    against: Against
    samples: list[Sample]
    known: list[str | None]
    """One side's answers, which are not asked for: the candidate's (live), or the incumbent's (frozen)."""
    estimated_usd: Decimal | None
    notes: tuple[str, ...]
    confidences: tuple[float | None, ...] = ()
    """How sure the candidate was of its answers, where a rule of deferral decided."""


def plan_check(
    project: Project, store: Store, recent: Sequence[Trace], most: int, *, budget_usd: Decimal, seed: str
) -> CheckPlan:
    """Choose `most` requests of `recent` traces at random, or samples whose answers are frozen, within the budget.

    `seed` decides which are chosen. Raises `UsageError` when there is nothing to compare with, or no price to keep a
    budget with.
    """
    incumbent = project.config.incumbent
    if incumbent is None or incumbent.base_url is None:
        return _frozen_plan(project, store, most, seed)
    chosen: dict[str, Trace] = {}
    fresh = [trace for trace in recent if _comparable(trace) and may_leave(project, trace)]
    # By a hash, so that the choice knows nothing of the answers; one request a user.
    for trace in sorted(fresh, key=lambda trace: _random_order(seed, trace.id)):
        chosen.setdefault(unit_of(trace), trace)
    traces = list(chosen.values())[:most]
    affordable, total = 0, Decimal(0)
    for trace in traces:
        cost = expected_cost(project, trace)
        if total + cost > budget_usd:
            break
        affordable, total = affordable + 1, total + cost
    notes = []
    if affordable < len(traces):
        notes.append(f"the budget of {budget_usd} USD is enough for {affordable} of {len(traces)} requests")
    if len(traces) < most:
        notes.append(f"{len(traces)} users asked in this period, {most} were wanted")
    recipe = Recipe(group_by=task_of(project).group_by)
    samples = [sample_of(trace, recipe) for trace in traces[:affordable]]
    return CheckPlan(
        "live",
        samples,
        [answer_of(trace) for trace in traces[:affordable]],
        total,
        tuple(notes),
        tuple(map(_confidence, traces[:affordable])),
    )


def _confidence(trace: Trace) -> float | None:
    """How sure the candidate was of the answer that was given; an upper model's has none."""
    made = trace.deferral
    return made.confidence if made is not None and made.by == "candidate" else None


def _frozen_plan(project: Project, store: Store, most: int, seed: str) -> CheckPlan:
    dataset = find_dataset(store)
    held_out = list(building.samples(dataset, "held_out"))
    filled, _ = with_frozen(held_out, frozen_answers(project, dataset))
    usable = [sample for sample in filled if sample.incumbent is not None]
    if not usable:
        raise UsageError(
            "no answers of the incumbent are frozen",
            hint="freehold freeze records them while it still exists; or set [incumbent] base_url",
        )
    samples = sorted(usable, key=lambda sample: _random_order(seed, sample.id))[:most]
    return CheckPlan("frozen", samples, [sample.incumbent for sample in samples], None, ())


def _comparable(trace: Trace) -> bool:
    return trace.kind == "chat" and trace.completeness == "complete" and trace.fallback is None


def may_leave(project: Project, trace: Trace) -> bool:
    """Whether a request may be put to the incumbent afterwards: not where ``[defer] never_defer_out`` names it, now or
    when it was decided on. A trace has no headers: where no rule has read them, a condition's are taken to be met."""
    made = trace.deferral
    if made is not None and made.why == "stays_here":
        return False
    left = [
        {name: value for name, value in condition.items() if not name.startswith("header:")}
        for condition in project.config.defer.never_defer_out
        if made is None or not any(name.startswith("header:") for name in condition)
    ]
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in trace.metadata.items()
    }
    found = Deferrable(decidable=True, metadata=texts)
    return all(left) and not meets(left, found, lambda name: None, trace.api_key)


def expected_cost(project: Project, trace: Trace) -> Decimal:
    """What asking the incumbent this is expected to cost, from what the candidate's answer took, twice as long."""
    usage = trace.usage
    prompt = (
        usage.prompt_tokens if usage and usage.prompt_tokens else len(msgspec.json.encode(trace.request)) // 3
    )
    answer = usage.completion_tokens if usage and usage.completion_tokens else 256
    return request_cost(project, Usage(prompt_tokens=prompt, completion_tokens=2 * answer))


def request_cost(project: Project, usage: Usage) -> Decimal:
    """Dollars the incumbent takes for a request of that many tokens. Raises `UsageError` where no price is known."""
    incumbent = project.config.incumbent
    assert incumbent is not None
    flat = incumbent.price
    try:
        return request_price(incumbent.model, usage, flat=flat_price(flat))
    except UsageError:
        raise UsageError(
            f"no price of {incumbent.model} is known, so no budget can be kept",
            hint="[incumbent] price = { prompt = 2.5, completion = 10 } (dollars per million tokens)",
        ) from None


def _random_order(seed: str, id: str) -> bytes:
    return hashlib.blake2b(f"{seed}:{id}".encode(), digest_size=8).digest()


class PeriodScores(NamedTuple):
    """Differences of scores, candidate minus incumbent; how many pairs could not be scored; dollars spent (None:
    nothing was paid for); the places in the plan of those that were scored."""

    differences: list[float]
    unscored: int
    spent_usd: Decimal | None
    scored: list[int] = []
    as_good: list[bool] = []
    agreement: AgreementShift = AgreementShift()
    """What these differences hold already of it, and how far it may be off."""


async def ask(
    project: Project,
    route: Route,
    plan: CheckPlan,
    task: Task,
    *,
    agreement: AgreementShift | None = None,
    progress: Progress,
) -> PeriodScores:
    """Ask the side whose answers are not known yet, and score both. The candidate answers at the project's gateway.
    `agreement` is added to each difference that only agreement tells."""
    agreement = agreement or AgreementShift()
    if not plan.samples:
        return PeriodScores([], 0, None)
    endpoint, model = _asked_side(project, route, plan)
    progress.step(f"ask {model} {len(plan.samples)} requests")
    replies = await answers(
        endpoint,
        model,
        plan.samples,
        task,
        options=ReplayOptions(as_live=plan.against == "live"),
        on_progress=lambda done, of: progress.update(done, of, unit="requests"),
    )
    differences, unscored, scored, as_good = [], 0, [], []
    async with scorer_of(task) as scorer:
        for place, (sample, known_answer, reply) in enumerate(
            zip(plan.samples, plan.known, replies, strict=True)
        ):
            new_answer = reply.answer.output if reply.answer.fault != "infrastructure" else None
            live = plan.against == "live"
            incumbent, candidate = (new_answer, known_answer) if live else (known_answer, new_answer)
            if incumbent is None or (candidate is None and not live):
                unscored += 1
                continue
            reference = sample.gold if sample.gold is not None else incumbent
            candidate_score = (
                (await scorer.score(sample, candidate, reference)).value if candidate is not None else 0.0
            )
            by_agreement = sample.gold is None and scorer.right_by_agreement
            incumbent_score = (
                1.0 if by_agreement else (await scorer.score(sample, incumbent, reference)).value
            )
            if candidate_score is None or incumbent_score is None:
                unscored += 1
            else:
                difference = candidate_score - incumbent_score
                difference += agreement.difference if by_agreement else 0.0
                differences.append(max(-1.0, min(1.0, difference)))
                as_good.append(candidate_score >= incumbent_score)
                scored.append(place)
    return PeriodScores(differences, unscored, _spent(project, plan, replies), scored, as_good, agreement)


def _spent(project: Project, plan: CheckPlan, replies: Sequence[Replayed]) -> Decimal | None:
    if plan.against == "frozen":
        return None
    total = Decimal(0)
    for reply in replies:
        usage = reply.answer.usage
        if not reply.cached and usage is not None and usage.prompt_tokens is not None:
            total += request_cost(project, usage)
    return total


def incumbent_side(project: Project, route: Route) -> tuple[Endpoint, str]:
    """The incumbent's endpoint, and the model that a route asks it for. Raises `UsageError` where it has no address."""
    incumbent = project.config.incumbent
    if incumbent is None or incumbent.base_url is None:
        raise UsageError("the incumbent cannot be asked", hint="[incumbent] base_url says where it is")
    endpoint = Endpoint(
        name=INCUMBENT,
        engine="remote",
        base_url=stem(incumbent.base_url),
        api=incumbent.api,
        api_key_env=incumbent.api_key_env,
        credentials=incumbent.credentials,
    )
    return endpoint, route.incumbent.model or incumbent.model


def _asked_side(project: Project, route: Route, plan: CheckPlan) -> tuple[Endpoint, str]:
    if plan.against == "live":
        return incumbent_side(project, route)
    assert route.candidate is not None
    return (
        Endpoint(name="candidate", engine="remote", base_url=stem(project.gateway_url)),
        route.candidate.model or route.model,
    )
