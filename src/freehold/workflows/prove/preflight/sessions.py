"""Before whole sessions are played: does the check of success run, who answers, and can that many sessions prove it?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from freehold.errors import FreeholdError
from freehold.evals.trajectories.sessions import RecordedSession
from freehold.evals.trajectories.success import Success, success_of
from freehold.store import Store
from freehold.types.dataset import Dataset, Sample
from freehold.types.evaluation import Score, Task
from freehold.types.finding import Finding, Preflight, fail, ok, warn
from freehold.workflows.prove.preflight.address import AskedEndpoint, address_findings
from freehold.workflows.prove.preflight.reach import Items, reach_findings
from freehold.workflows.prove.preflight.spent import look_findings

CHECK = "success"
SECONDS = 6.0
"""For trying the check of success: one that takes longer is told of, not waited for."""
_ENDING_SECONDS = 2.0
_TRIED = 3
"""Recorded sessions that are put to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsRequest:
    """What is about to be played. `success` is as a user names it, `decisions` are the samples of the `sessions`,
    `addresses` those that will be asked."""

    dataset: Dataset
    task: Task
    success: str
    sessions: Sequence[RecordedSession]
    decisions: Sequence[Sample]
    addresses: tuple[AskedEndpoint, ...]
    store: Store
    planned_looks: int = 1


async def sessions_preflight(request: SessionsRequest) -> Preflight:
    """Look at everything. A session is one item; where the recording tells success, all recorded ones have it."""
    began = time.monotonic()
    findings = await success_findings(request.success, request.sessions)
    async with anyio.create_task_group() as group:
        for address in request.addresses:
            group.start_soon(_ask, address, findings)
    if not any(one.check == CHECK and one.outcome == "fail" for one in findings):
        by_recording = success_of(request.success).by_recording
        size = len(request.sessions)
        items = Items(size, binary=by_recording, incumbent=[1.0] * size if by_recording else None)
        findings += reach_findings(
            items, margin=request.task.margin, alpha=request.task.alpha, planned_looks=request.planned_looks
        )
    findings += look_findings(
        request.store, request.dataset, request.task, request.decisions, planned=request.planned_looks
    )
    return Preflight(
        findings=tuple(findings), items=len(request.sessions), seconds=round(time.monotonic() - began, 3)
    )


async def success_findings(
    named: str, sessions: Sequence[RecordedSession], *, seconds: float = SECONDS
) -> list[Finding]:
    """Whether the check runs, and what it says of sessions as they were recorded; `seconds` at most."""
    try:
        success = success_of(named)
    except FreeholdError as error:
        return [fail(CHECK, error.message, error.hint or "docs/guides/evaluate.md lists the checks")]
    if success.by_recording:
        return [ok(CHECK, f"{success.name}: told by what was recorded")]
    tried: list[Score] = []
    trying = asyncio.ensure_future(_try(success, sessions[:_TRIED], tried))
    done, _ = await asyncio.wait({trying}, timeout=seconds)
    if not done:
        trying.cancel()
        await asyncio.wait({trying}, timeout=_ENDING_SECONDS)
        text = (
            f"{success.name} had not judged {_TRIED} sessions after {seconds:g} s: it loads slowly, or hangs"
        )
        return [warn(CHECK, text, "try it on one session: freehold evaluate --trajectories … --limit 1")]
    try:
        trying.result()
    except FreeholdError as error:
        return [fail(CHECK, error.message, error.hint or "mend the function")]
    unjudged = [one for one in tried if one.value is None]
    if unjudged and len(unjudged) == len(tried):
        text = f"{success.name} judges none of {len(tried)} sessions as they were recorded ({unjudged[0].reason})"
        return [fail(CHECK, text, "mend the function: it is called with answer, reference and sample")]
    failed = [one for one in tried if not one.value]
    if not failed:
        return [ok(CHECK, f"{success.name} finds {len(tried)} recorded sessions successful")]
    why = f" ({failed[0].reason})" if failed[0].reason else ""
    text = f"{success.name}: {len(failed)} of {len(tried)} sessions fail as they were recorded{why}"
    return [warn(CHECK, text, "look at it: a candidate is measured against what the recorded sessions reach")]


async def _try(success: Success, sessions: Sequence[RecordedSession], tried: list[Score]) -> None:
    try:
        for session in sessions:
            tried.append(await success.check(session, session.transcript))
    finally:
        await success.close()


async def _ask(address: AskedEndpoint, findings: list[Finding]) -> None:
    findings += await address_findings(address)
