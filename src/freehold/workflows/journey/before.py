"""What a journey looks at before its first step, and before it pays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import anyio

from freehold.datasets import building
from freehold.hardware.probes import probe_machine
from freehold.stats.looks import LookPlan
from freehold.store import Store
from freehold.training.encoder.answers import untaught
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.finding import Finding, Preflight, ok, warn
from freehold.types.method import METHOD_KINDS
from freehold.types.report import CandidateReport, Report
from freehold.workflows.journey.candidate_findings import candidate_findings
from freehold.workflows.journey.methods import Candidate, candidates
from freehold.workflows.journey.methods.method import behind, endpoint_of, engine_of, fetches
from freehold.workflows.journey.selection import search_minutes
from freehold.workflows.journey.suits import TaskFacts, Unsuited, suit_findings
from freehold.workflows.project import Project
from freehold.workflows.prove.preflight.address import AskedEndpoint
from freehold.workflows.prove.preflight.check import PreflightRequest, preflight, scorer_addresses
from freehold.workflows.prove.preflight.template import template_findings, tool_findings
from freehold.workflows.prove.results import frozen_answers
from freehold.workflows.prove.task import task_of
from freehold.workflows.serve.plan import ServeRequest

_SHOWN = 5


def look_first(
    project: Project,
    dataset: Dataset,
    store: Store,
    known: tuple[Candidate, ...],
    *,
    freezes: bool = False,
    looks: bool = True,
) -> Preflight:
    """What speaks against migrating these candidates with this dataset. With `freezes` the incumbent's answers will be
    paid for first, so its endpoint is looked at as well. Without `looks` it is not asked whether the items were
    evaluated before."""
    config, task = project.config, task_of(project)
    writers = [one for one in known if _learns_to_write(one)]
    addresses = _remote(config, known)
    incumbent = config.incumbent
    if freezes and incumbent is not None and incumbent.base_url is not None and incumbent.api == "openai":
        addresses.append(
            AskedEndpoint(
                "the incumbent",
                incumbent.base_url,
                incumbent.model,
                incumbent.api_key_env,
                credentials=incumbent.credentials,
            )
        )
    facts = TaskFacts(config, dataset)
    more: list[Finding] = list(suit_findings(known, facts))
    machine = probe_machine(project.state)
    more += candidate_findings(project, dataset, known, machine)
    minutes = search_minutes(config.selection, machine)
    if len(known) > 1 and minutes is not None:
        said = f"making and measuring candidates ends after {minutes:g} minutes, with the best so far"
        more.append(ok("time", f"{said} ([selection] within_minutes)"))
    for one in writers:
        more += template_findings(one.model, project.settings)
    held_out = list(building.samples(dataset, "held_out"))
    if task.scorer != "label" and any(METHOD_KINDS[one.method].closed_set_only for one in known):
        more += _untaught_findings(facts, held_out)
    if engine_of(config).ignores_tools_unsaid:
        for one in known:
            if not METHOD_KINDS[one.method].trains and fetches(one, config):
                more += tool_findings(one.model, project.settings, held_out)
    request = PreflightRequest(
        dataset=dataset,
        task=task,
        held_out=held_out,
        config=config,
        frozen=frozen_answers(project, dataset),
        looks=LookPlan(config.task.looks, grows=True),
        trains=bool(writers),
        teaches=any(METHOD_KINDS[one.method].trains for one in known),
        freezes=freezes,
        addresses=tuple(addresses),
        store=store if looks else None,
    )

    async def work() -> Preflight:
        return await preflight(request, more=more)

    return anyio.run(work)


def _untaught_findings(facts: TaskFacts, held_out: Sequence[Sample]) -> Iterator[Finding]:
    """Values of the held-out part that no training sample has, and an encoder so never answers."""
    if isinstance(facts.taught, Unsuited):
        return
    missing = untaught(facts.taught.form, [one.target or "" for one in held_out])
    if missing:
        shown = ", ".join(f"{value} ({count:,})" for value, count in list(missing.items())[:_SHOWN])
        yield warn(
            "labels",
            f"{len(missing):,} values of the held-out part are never taught: {shown}; an item with one is lost",
            "add training samples of those values, or expect these items to be lost",
        )


def _learns_to_write(candidate: Candidate) -> bool:
    """Whether it is taught by chat templates; an encoder reads the message alone."""
    kind = METHOD_KINDS[candidate.method]
    return kind.trains and not kind.closed_set_only


def rented_addresses(project: Project) -> list[AskedEndpoint]:
    """Whom a journey asks that freehold does not serve itself, as far as `freehold.toml` says it: candidates behind an
    endpoint, the model that scores.

    Raises `UsageError` for one that cannot be asked.
    """
    config, task = project.config, task_of(project)
    return [*_remote(config, candidates(config)), *scorer_addresses(task)]


def _remote(config: ProjectConfig, known: Sequence[Candidate]) -> list[AskedEndpoint]:
    """Where candidates are asked that are served elsewhere."""
    found = []
    for one in known:
        if one.endpoint is not None:
            options = behind(ServeRequest(), endpoint_of(config, one.endpoint)).options
        elif config.serve.engine == "remote" and METHOD_KINDS[one.method].asks_elsewhere:
            options = config.serve.options
        else:
            continue
        url, key = options.get("base_url"), options.get("api_key_env")
        if not isinstance(url, str) or options.get("api", "openai") != "openai":
            continue
        named = str(options.get("upstream_name") or one.model)
        found.append(
            AskedEndpoint(f"the candidate {one.short_name}", url, named, None if key is None else str(key))
        )
    return found


def reported(store: Store, project: Project, dataset: Dataset, known: tuple[Candidate, ...]) -> bool:
    """Whether the last report is of this very journey: the same again adds no look."""
    last = store.latest(Report)
    if last is None:
        return False
    reported_ones = [_identity(one) for one in last.candidates]
    return (
        last.dataset.id == dataset.id
        and last.task == task_of(project)
        and reported_ones == [_identity(one) for one in known]
    )


def _identity(one: CandidateReport | Candidate) -> tuple[str, str | None, str | None, str | None]:
    return one.model, one.method, one.endpoint, one.name
