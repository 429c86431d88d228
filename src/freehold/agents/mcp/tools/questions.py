"""Tools that only look: at code, logs, licences, machines, prices and plans."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from freehold.agents.mcp.tool import Arguments, FileName, FileNames, ModelName, Name, Tool, ToolCall, about

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
    train: Annotated[Literal["lora", "qlora", "full"] | None, about("A training run, not serving.")] = None


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
    from freehold.api.proof import power

    return power(**call.within(asked))


TOOLS = (
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
