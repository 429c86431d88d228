"""What a journey looks at before its first step, and before it pays."""

from __future__ import annotations

import anyio

from freehold.datasets import building
from freehold.store import Store
from freehold.types.dataset import Dataset
from freehold.types.finding import Finding, Preflight
from freehold.types.method import METHOD_KINDS
from freehold.types.report import CandidateReport, Report
from freehold.workflows.journey.methods import Candidate, candidates
from freehold.workflows.project import Project
from freehold.workflows.prove.preflight.address import AskedEndpoint
from freehold.workflows.prove.preflight.check import PreflightRequest, preflight
from freehold.workflows.prove.preflight.template import template_findings
from freehold.workflows.prove.results import frozen_answers
from freehold.workflows.prove.task import task_of


def look_first(
    project: Project, dataset: Dataset, store: Store, *, freezes: bool = False, looks: bool = True
) -> Preflight:
    """What speaks against migrating with this dataset. With `freezes` the incumbent's answers will be paid for first,
    so its endpoint is looked at as well. Without `looks` it is not asked whether the items were evaluated before."""
    config, task = project.config, task_of(project)
    known = candidates(config)
    trains = any(METHOD_KINDS[one.method].trains for one in known)
    addresses = list(_remote(project, known))
    incumbent = config.incumbent
    if freezes and incumbent is not None and incumbent.base_url is not None and incumbent.api == "openai":
        addresses.append(
            AskedEndpoint("the incumbent", incumbent.base_url, incumbent.model, incumbent.api_key_env)
        )
    templates: list[Finding] = []
    for one in known:
        if METHOD_KINDS[one.method].trains:
            templates += template_findings(one.model, project.settings)
    request = PreflightRequest(
        dataset=dataset,
        task=task,
        held_out=list(building.samples(dataset, "held_out")),
        config=config,
        frozen=frozen_answers(project, dataset),
        planned_looks=config.task.looks,
        trains=trains,
        freezes=freezes,
        addresses=tuple(addresses),
        store=store if looks else None,
    )

    async def work() -> Preflight:
        return await preflight(request, more=templates)

    return anyio.run(work)


def _remote(project: Project, known: tuple[Candidate, ...]) -> list[AskedEndpoint]:
    """Where candidates are asked that are served elsewhere."""
    serve = project.config.serve
    if serve.engine != "remote":
        return []
    url, key = serve.options.get("base_url"), serve.options.get("api_key_env")
    if not isinstance(url, str) or serve.options.get("api", "openai") != "openai":
        return []
    named = serve.options.get("upstream_name")
    return [
        AskedEndpoint(
            f"the candidate {one.short_name}", url, str(named or one.model), None if key is None else str(key)
        )
        for one in known
    ]


def reported(store: Store, project: Project, dataset: Dataset) -> bool:
    """Whether the last report is of this very journey: the same again adds no look."""
    last = store.latest(Report)
    if last is None:
        return False
    reported_ones = [_identity(one) for one in last.candidates]
    return (
        last.dataset.id == dataset.id
        and last.task == task_of(project)
        and reported_ones == [_identity(one) for one in candidates(project.config)]
    )


def _identity(one: CandidateReport | Candidate) -> tuple[str, str | None, str | None, str | None]:
    return one.model, one.method, one.endpoint, one.name
