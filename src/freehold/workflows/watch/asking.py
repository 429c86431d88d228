"""A check's requests put to the incumbent, or to the candidate where the incumbent's answers are frozen, and scored."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from freehold.evals.replay import Replayed, ReplayOptions, answers
from freehold.evals.scorers import scorer_of
from freehold.progress import Progress
from freehold.types.endpoint import Endpoint
from freehold.types.evaluation import Task
from freehold.types.route import Route
from freehold.wire.base_url import stem
from freehold.workflows.project import Project
from freehold.workflows.watch.plan import CheckPlan, request_cost


class PeriodScores(NamedTuple):
    """Differences of scores, candidate minus incumbent; how many pairs could not be scored; dollars spent (None:
    nothing was paid for); the places in the plan of those that were scored."""

    differences: list[float]
    unscored: int
    spent_usd: Decimal | None
    scored: list[int] = []


async def ask(
    project: Project, route: Route, plan: CheckPlan, task: Task, *, progress: Progress
) -> PeriodScores:
    """Ask the side whose answers are not known yet, and score both. The candidate answers at the project's gateway."""
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
    differences, unscored, scored = [], 0, []
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
            incumbent_score = (
                1.0
                if sample.gold is None and scorer.right_by_agreement
                else (await scorer.score(sample, incumbent, reference)).value
            )
            if candidate_score is None or incumbent_score is None:
                unscored += 1
            else:
                differences.append(max(-1.0, min(1.0, candidate_score - incumbent_score)))
                scored.append(place)
    return PeriodScores(differences, unscored, _spent(project, plan, replies), scored)


def _spent(project: Project, plan: CheckPlan, replies: Sequence[Replayed]) -> Decimal | None:
    if plan.against == "frozen":
        return None
    total = Decimal(0)
    for reply in replies:
        usage = reply.answer.usage
        if not reply.cached and usage is not None and usage.prompt_tokens is not None:
            total += request_cost(project, usage)
    return total


def _asked_side(project: Project, route: Route, plan: CheckPlan) -> tuple[Endpoint, str]:
    incumbent = project.config.incumbent
    if plan.against == "live":
        assert incumbent is not None and incumbent.base_url is not None
        name = route.incumbent.model or incumbent.model
        return (
            Endpoint(
                name="incumbent",
                engine="remote",
                base_url=stem(incumbent.base_url),
                api=incumbent.api,
                api_key_env=incumbent.api_key_env,
                credentials=incumbent.credentials,
            ),
            name,
        )
    assert route.candidate is not None
    return (
        Endpoint(name="candidate", engine="remote", base_url=stem(project.gateway_url)),
        route.candidate.model or route.model,
    )
