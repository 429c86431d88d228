"""Everything that is looked at before the first step, in one record; seconds, and nothing is spent."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio

from freehold.errors import FreeholdError, UsageError
from freehold.evals.frozen import with_frozen
from freehold.evals.scorers import for_task
from freehold.progress import Progress
from freehold.stats.clustered import encode_groups
from freehold.stats.looks import ONE_LOOK, LookPlan
from freehold.store import Store
from freehold.types.config import ProjectConfig
from freehold.types.dataset import Dataset, Sample
from freehold.types.evaluation import Task
from freehold.types.finding import Finding, Preflight, warn
from freehold.workflows.prove.preflight.address import AskedEndpoint, address_findings
from freehold.workflows.prove.preflight.data import label_findings, length_findings, shift_findings
from freehold.workflows.prove.preflight.incumbent import incumbent_scores
from freehold.workflows.prove.preflight.reach import Items, reach_findings
from freehold.workflows.prove.preflight.scorer import scorer_findings
from freehold.workflows.prove.preflight.spent import look_findings


class PreflightError(UsageError):
    """What was found speaks against beginning. `preflight` is all of it."""

    def __init__(self, preflight: Preflight) -> None:
        first, count = preflight.failed[0], len(preflight.failed)
        more = f" (and {count - 1} more)" if count > 1 else ""
        super().__init__(
            f"not begun, nothing was spent: {first.text}{more}",
            hint=f"{first.fix}. --anyway begins all the same",
        )
        self.preflight = preflight

    def told(self) -> dict[str, Any]:
        """All findings."""
        return {"preflight": self.preflight}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRequest:
    """What is about to begin. `config` is None where only a served candidate is asked. `frozen` are answers of the
    incumbent by sample id; with `freezes` the rest of the held-out samples will be asked of it. `trains` says that a
    model learns to write, `teaches` that any learns the labels. `addresses` are those that will be asked, besides that
    of a model which scores."""

    dataset: Dataset
    task: Task
    held_out: Sequence[Sample]
    config: ProjectConfig | None = None
    frozen: Mapping[str, Sequence[str]] = field(default_factory=dict)
    looks: LookPlan = ONE_LOOK
    trains: bool = False
    teaches: bool = False
    freezes: bool = False
    addresses: tuple[AskedEndpoint, ...] = ()
    store: Store | None = None
    """Where looks are kept; None leaves them out."""


async def preflight(request: PreflightRequest, *, more: Sequence[Finding] = ()) -> Preflight:
    """Look at everything; `more` are findings of those who know more. Ten seconds at most, in which nothing is paid."""
    began = time.monotonic()
    findings = [*await scorer_findings(request.task, request.held_out), *more]
    async with anyio.create_task_group() as group:
        for address in (*request.addresses, *scorer_addresses(request.task)):
            group.start_soon(_ask, address, findings)
    if request.config is not None:
        findings += length_findings(
            request.config, request.dataset, request.held_out, trains=request.trains, serves=request.trains
        )
    if request.teaches and not any(one.check == "scorer" and one.outcome == "fail" for one in findings):
        findings += label_findings(request.task, request.dataset, request.held_out)
    findings += shift_findings(request.dataset)
    findings += await _reach(request, findings)
    if request.store is not None:
        findings += look_findings(
            request.store, request.dataset, request.task, request.held_out, request.looks
        )
    return Preflight(
        findings=tuple(findings), items=len(request.held_out), seconds=round(time.monotonic() - began, 3)
    )


def require(found: Preflight, *, anyway: bool, progress: Progress) -> None:
    """Say what was found. Raises `PreflightError` where something failed, unless `anyway`."""
    if found.failed and not anyway:
        for one in found.doubted[1:]:
            progress.say(line(one))
        raise PreflightError(found)
    for one in found.doubted:
        progress.say(line(one))


def line(one: Finding) -> str:
    """A finding in a sentence, with the way out."""
    return f"{one.check}: {one.text.removesuffix('.')}" + (
        f". {one.fix[:1].upper()}{one.fix[1:]}" if one.fix else ""
    )


async def _ask(address: AskedEndpoint, findings: list[Finding]) -> None:
    findings += await address_findings(address)


def scorer_addresses(task: Task) -> Iterator[AskedEndpoint]:
    """The model that the scorer asks, where it asks one."""
    try:
        asks = for_task(task).asks
    except FreeholdError:
        return  # the scorer's finding says it
    if asks is not None:
        who = "the judge" if task.scorer == "judge" else f"the model that scores ({task.scorer})"
        yield AskedEndpoint(who, asks.base_url, asks.model, asks.api_key_env, cached=asks.kept)


def _records(request: PreflightRequest) -> int | None:
    """Records that the held-out items are a share of; None where they have files of their own, or a limit."""
    data = None if request.config is None else request.config.data
    if data is None or data.held_out_files or data.held_out_limit is not None:
        return None
    return sum(split.samples for split in request.dataset.splits)


async def _reach(request: PreflightRequest, findings: Sequence[Finding]) -> list[Finding]:
    filled, repeats = with_frozen(request.held_out, request.frozen)
    compared = filled if request.freezes else [one for one in filled if one.incumbent is not None]
    if not compared or any(one.check == "scorer" and one.outcome == "fail" for one in findings):
        return []
    codes = encode_groups([one.group for one in compared])
    items = Items(
        len(compared),
        for_task(request.task).binary,
        codes,
        None if request.freezes else await incumbent_scores(request.task, compared, repeats),
        _records(request),
        judged=request.task.scorer == "judge",
    )
    try:
        return list(
            reach_findings(items, margin=request.task.margin, alpha=request.task.alpha, looks=request.looks)
        )
    except FreeholdError as error:
        return [warn("margin", error.message, error.hint or "look at [task] margin and alpha")]
