"""Tools that only look: at code, logs, licences, machines, prices and plans, and at what a project keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from freehold.agents.mcp.tool import (
    Arguments,
    FileName,
    FileNames,
    ModelName,
    Name,
    Tool,
    ToolCall,
    ToolKinds,
    about,
    deletion,
)

if TYPE_CHECKING:
    from freehold.types.report import CandidateReport, Report


Machine = Annotated[Name | None, about('Another machine, in words: "L4", "2x H100", "g5.xlarge".')]
Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[float, Meta(ge=0)]
USE = (
    "Who uses it and for what: mode (internal, personal, research, hosted_service, embedded_product, "
    "distribute_weights), commercial, regions, monthly_active_users, annual_revenue_usd … Leave out what is not known. "
    "Without it [use] of freehold.toml."
)


class ScanArguments(Arguments, frozen=True, kw_only=True):
    paths: Annotated[list[FileName], Meta(max_length=100), about("Without them the project's folder.")] = []


class TaskArguments(Arguments, frozen=True, kw_only=True):
    files: FileNames
    format: Annotated[Name | None, about("Where the content does not tell it.")] = None
    input: Annotated[Name | None, about("A table's column of the question.")] = None
    label: Annotated[Name | None, about("Its column of the right answer.")] = None


class LicenseArguments(Arguments, frozen=True, kw_only=True):
    model: ModelName
    use: Annotated[dict[str, Any] | None, about(USE)] = None
    declared: Annotated[Name | None, about("Its licence's id, where none is known here.")] = None


class AssessArguments(Arguments, frozen=True, kw_only=True):
    models: Annotated[list[ModelName], Meta(max_length=50), about("Without them all of the catalog.")] = []
    machine: Machine = None


class FitArguments(Arguments, frozen=True, kw_only=True):
    model: ModelName
    context_tokens: Tokens = 4096
    concurrency: Annotated[int, Meta(ge=1, le=4096)] = 1
    machine: Machine = None
    quantization: Annotated[Name | None, about("Such as Q4_K_M; all: a table, and which one to take.")] = None
    engine: Literal["llamacpp", "vllm"] | None = None
    train: Annotated[Literal["lora", "qlora"] | None, about("A training run, not serving.")] = None


class CostArguments(Arguments, frozen=True, kw_only=True):
    model: Annotated[Name | None, about("The open model to hold.")] = None
    incumbent: Annotated[Name | None, about("The rented model paid for today.")] = None
    machine: Machine = None
    requests_per_month: Annotated[float, Meta(gt=0)] | None = None
    prompt_tokens: Annotated[Count | None, about("Of one request.")] = None
    completion_tokens: Annotated[Count | None, about("Of one request.")] = None
    usd_per_hour: Annotated[Count | None, about("What the machine costs.")] = None


class PowerArguments(Arguments, frozen=True, kw_only=True):
    margin: Annotated[float, Meta(gt=0, lt=1, description="Largest drop accepted; 0.02 is two points.")]
    n: Annotated[int, Meta(ge=1, description="Items there are, to learn what they can show.")] | None = None
    discordance: Annotated[Share | None, about("Of items on which the two models differ.")] = None
    incumbent_rate: Share | None = None


def _scan(call: ToolCall, asked: ScanArguments) -> Any:
    from freehold.api.questions import scan

    return scan(*call.places.all_inside(asked.paths or ["."]), progress=call.progress)


def _tasks(call: ToolCall, asked: TaskArguments) -> Any:
    from freehold.api.questions import tasks

    given = call.within(asked)
    return tasks(*given.pop("files"), **given, progress=call.progress)


def _fit(call: ToolCall, asked: FitArguments) -> Any:
    from freehold.api.questions import fit

    given = call.within(asked)
    if asked.quantization != "all":
        return fit(given.pop("model"), **given)
    load = {name: given[name] for name in ("context_tokens", "concurrency", "machine")}
    return call.project.quantizations(given["model"], **load)


def _power(call: ToolCall, asked: PowerArguments) -> Any:
    from freehold.api.questions import power

    return power(**call.within(asked))


QUESTIONS = (
    Tool(
        "scan_code", "Find rented models in code",
        "Where does the code use rented models (OpenAI, Anthropic, Google …), and until when do they "
        "live? Start here when there is code and nothing else.",
        ScanArguments, _scan,
    ),
    Tool(
        "find_tasks", "Find the tasks in a log",
        "Which tasks are in a log of requests, and which one to move first? Reads OpenAI formats, "
        "request/response pairs, exports of Langfuse, LangSmith, LiteLLM and Helicone, CSV and JSON "
        "lines. Stores nothing. Then draft_project.",
        TaskArguments, _tasks,
    ),
    Tool(
        "check_license", "Rule on a model's licence",
        "May this model be used for this, and what must be done? Rules over the licences of the model"
        " and its ancestors. What is not known comes out as unclear, never as allowed. Not legal "
        "advice.",
        LicenseArguments,
        lambda call, asked: call.project.license(**call.within(asked)),
    ),
    Tool(
        "assess_models", "Rank open models",
        "Which open models may be used, run on this machine, and do what the task needs? Ranked, with"
        " a reason for each exclusion. Downloads nothing.",
        AssessArguments,
        lambda call, asked: call.project.assess(
            *map(call.places.model, asked.models), machine=call.places.machine(asked.machine)
        ),
    ),
    Tool(
        "check_fit", "Does a model fit a machine",
        "Does a model fit a machine's memory, which quantization of it, how fast, and with how large a context?",
        FitArguments, _fit,
    ),
    Tool(
        "estimate_cost", "Leave or stay, by money",
        "Weighs the rented model's bill against holding an open one: leave, stay or not decidable, "
        "and why. What is not stated comes from the project's traces; what is not known is asked for,"
        " never guessed.",
        CostArguments, lambda call, asked: call.project.cost(**call.within(asked)),
    ),
    Tool(
        "plan_power", "How many items are needed",
        "How many held-out items does a proof within this margin need, or what can `n` of them show?",
        PowerArguments, _power,
    ),
)  # fmt: skip


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
READING = (
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
