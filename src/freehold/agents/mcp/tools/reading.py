"""The tool that reads what is kept: the project's state, its records, and answers that were cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.agents.mcp.tool import Arguments, Name, Tool, ToolCall, ToolKinds, about, deletion

if TYPE_CHECKING:
    from freehold.types.report import CandidateReport, Report

Limit = Annotated[int, Meta(ge=1, le=500)]
Kind = Literal[
    "status", "diagnosis", "retirements", "dataset", "report", "evaluations", "mixture", "rollout", "checks", "audit",
    "store", "deletion", "answer",
]  # fmt: skip
WHICH = (
    "A report by the beginning of its id, retirements of a rented model, rollout or checks of a route, audit of an "
    "action (rollout, key …), deletion of user:NAME, conversation:NAME or trace:ID, an answer by its id."
)


class ReadArguments(Arguments, frozen=True, kw_only=True):
    kind: Kind
    id: Annotated[Name | None, about(WHICH)] = None
    part: Annotated[Name | None, about("A path in it: candidates[0].ruling, rows[40:80].")] = None
    limit: Annotated[Limit | None, about("Of a list, only the first.")] = None
    full: Annotated[bool, about("Up to 100 kB of it, not 4.")] = False


def outline(report: Report, best: CandidateReport | None = None) -> dict[str, Any]:
    """What a migration came to: its verdict without the ids that it rests on, and each candidate in a line."""
    best = best or report.chosen or next((one for one in report.candidates if one.verdict is not None), None)
    verdict = None if best is None else best.verdict
    return {
        "outcome": verdict and verdict.outcome,
        "verdict": verdict and msgspec.structs.replace(verdict, evidence=None, made_from=()),
        "comparison": best and best.proof,
        "cost": best and best.cost,
        "candidates": [
            {"name": one.label, "score": one.score, "stopped": one.stopped, "not_chosen": one.not_chosen}
            for one in report.candidates
        ],
        "report_id": report.id,
        "whole": 'read(kind="report", part="candidates[0].ruling"), or another part of the record',
    }


def _report(call: ToolCall, asked: ReadArguments) -> Any:
    report = call.project.report(asked.id)
    return report if asked.part or asked.full else outline(report)


def _deletion(call: ToolCall, asked: ReadArguments) -> Any:
    return call.project.care.forget(**deletion(asked.id or ""), dry_run=True, progress=call.progress)


def _read(call: ToolCall, asked: ReadArguments) -> Any:
    found = READ.call(call, asked)
    return found[: asked.limit] if isinstance(found, tuple) else found


READ = ToolKinds(
    status=(lambda call, asked: call.project.care.journey(),),
    diagnosis=(lambda call, asked: call.project.care.diagnose(),),
    retirements=(lambda call, asked: call.project.retirements(*filter(None, [asked.id])), ("id",)),
    dataset=(lambda call, asked: call.project.check_dataset(progress=call.progress),),
    report=(_report, ("id",)),
    evaluations=(lambda call, asked: call.project.evaluations(),),
    mixture=(lambda call, asked: call.project.mixture(),),
    rollout=(lambda call, asked: call.project.traffic.status(asked.id), ("id",)),
    checks=(lambda call, asked: call.project.traffic.checks(asked.id)[::-1], ("id",)),
    audit=(lambda call, asked: call.project.care.audit(action=asked.id, last=500)[::-1], ("id",)),
    store=(lambda call, asked: call.project.care.check_store(progress=call.progress),),
    deletion=(_deletion, ("id",)),
    answer=(lambda call, asked: call.answers.kept(asked.id), ("id",)),
)  # fmt: skip
TOOLS = (
    Tool(
        "read", "Read what is kept",
        "Changes nothing. status: steps done, stale and next. diagnosis: what is wrong here. retirements: when a "
        "rented model is shut down, by default the incumbent. dataset: what one of the traces would hold. report: what "
        "the last migration came to. evaluations: all. mixture: the last planned. rollout: where traffic goes, what is "
        "missing for the next step. checks: of the promoted model. audit: who changed what. store: is it what was "
        "written. deletion: what forget would take. answer: one that was cut.",
        ReadArguments, _read,
    ),
)  # fmt: skip
