"""Tools that only look: at code, logs, licences, machines, prices and plans."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from freehold.agents.mcp.tool import Arguments, FileName, FileNames, ModelName, Tool, ToolCall

Machine = (
    Annotated[
        str,
        Meta(
            max_length=200,
            description='Another machine, in words: "L4", "2x H100", "RTX 4090", "g5.xlarge". None: this one.',
        ),
    ]
    | None
)
Tokens = Annotated[int, Meta(ge=1, le=10_000_000)]


class ScanArguments(Arguments, frozen=True, kw_only=True):
    paths: Annotated[list[FileName], Meta(max_length=100, description="Empty: the project's folder.")] = []


class RetirementArguments(Arguments, frozen=True, kw_only=True):
    models: Annotated[
        list[str], Meta(max_length=50, description="Rented models' ids. Empty: the incumbent.")
    ] = []
    within_days: Annotated[int, Meta(ge=0, description="Only shutdowns within this many days.")] | None = None


class TaskArguments(Arguments, frozen=True, kw_only=True):
    files: FileNames
    format: Annotated[str, Meta(max_length=40, description="None: told from the content.")] | None = None
    input: Annotated[str, Meta(max_length=200, description="Column of the question, for tables.")] | None = (
        None
    )
    label: (
        Annotated[str, Meta(max_length=200, description="Column of the right answer, for tables.")] | None
    ) = None


class LicenseArguments(Arguments, frozen=True, kw_only=True):
    model: ModelName
    use: (
        Annotated[
            dict[str, Any],
            Meta(
                description="Who uses it and for what: mode (internal, personal, research, hosted_service, "
                "embedded_product, distribute_weights), commercial, regions, monthly_active_users, "
                "annual_revenue_usd … Leave out what is not known. None: what [use] of freehold.toml "
                "says."
            ),
        ]
        | None
    ) = None


class AssessArguments(Arguments, frozen=True, kw_only=True):
    models: Annotated[list[ModelName], Meta(max_length=50, description="Empty: all of the catalog.")] = []
    machine: Machine = None


class FitArguments(Arguments, frozen=True, kw_only=True):
    model: ModelName
    context_tokens: Tokens = 4096
    concurrency: Annotated[int, Meta(ge=1, le=4096)] = 1
    machine: Machine = None
    quantization: Annotated[str, Meta(max_length=40, description="Such as Q4_K_M.")] | None = None
    engine: Literal["llamacpp", "vllm"] | None = None
    train: (
        Annotated[
            Literal["lora", "qlora", "full"], Meta(description="Count a training run instead of serving.")
        ]
        | None
    ) = None


class QuantArguments(Arguments, frozen=True, kw_only=True):
    model: ModelName
    context_tokens: Tokens = 4096
    concurrency: Annotated[int, Meta(ge=1, le=4096)] = 1
    machine: Machine = None


class CostArguments(Arguments, frozen=True, kw_only=True):
    model: Annotated[ModelName, Meta(description="The open model to hold.")] | None = None
    incumbent: Annotated[str, Meta(max_length=200, description="The rented model paid for today.")] | None = (
        None
    )
    machine: Machine = None
    requests_per_month: Annotated[float, Meta(gt=0)] | None = None
    prompt_tokens: Annotated[float, Meta(ge=0, description="Of one request.")] | None = None
    completion_tokens: Annotated[float, Meta(ge=0, description="Of one request.")] | None = None
    usd_per_hour: Annotated[float, Meta(ge=0, description="What the machine costs.")] | None = None


class PowerArguments(Arguments, frozen=True, kw_only=True):
    margin: Annotated[float, Meta(gt=0, lt=1, description="Largest drop accepted; 0.02 is two points.")]
    n: (
        Annotated[int, Meta(ge=1, description="How many items there are, to learn what they can show.")]
        | None
    ) = None
    discordance: (
        Annotated[float, Meta(ge=0, le=1, description="Share of items on which the two models differ.")]
        | None
    ) = None
    incumbent_rate: Annotated[float, Meta(ge=0, le=1)] | None = None


class NoArguments(Arguments, frozen=True, kw_only=True):
    """Nothing."""


def _scan(call: ToolCall, asked: ScanArguments) -> Any:
    from freehold.api.questions import scan

    return scan(*call.places.all_inside(asked.paths or ["."]), progress=call.progress)


def _tasks(call: ToolCall, asked: TaskArguments) -> Any:
    from freehold.api.questions import tasks

    files = call.places.all_inside(asked.files)
    return tasks(*files, format=asked.format, input=asked.input, label=asked.label, progress=call.progress)


def _fit(call: ToolCall, asked: FitArguments) -> Any:
    from freehold.api.questions import fit

    return fit(
        call.places.model(asked.model),
        context_tokens=asked.context_tokens,
        concurrency=asked.concurrency,
        machine=call.places.machine(asked.machine),
        quantization=asked.quantization,
        engine=asked.engine,
        train=asked.train,
    )


def _quantizations(call: ToolCall, asked: QuantArguments) -> Any:
    return call.project.quantizations(
        call.places.model(asked.model),
        context_tokens=asked.context_tokens,
        concurrency=asked.concurrency,
        machine=call.places.machine(asked.machine),
    )


def _cost(call: ToolCall, asked: CostArguments) -> Any:
    return call.project.cost(
        None if asked.model is None else call.places.model(asked.model),
        incumbent=asked.incumbent,
        machine=call.places.machine(asked.machine),
        requests_per_month=asked.requests_per_month,
        prompt_tokens=asked.prompt_tokens,
        completion_tokens=asked.completion_tokens,
        usd_per_hour=asked.usd_per_hour,
    )


def _power(call: ToolCall, asked: PowerArguments) -> Any:
    from freehold.api.proof import power

    return power(asked.margin, n=asked.n, discordance=asked.discordance, incumbent_rate=asked.incumbent_rate)


TOOLS = (
    Tool(
        "scan_code", "Find rented models in code",
        "Where does the code use rented models (OpenAI, Anthropic, Google …), and until when do they "
        "live? Reads source, notebooks and configuration under the paths. Start here when there is "
        "code and nothing else.",
        ScanArguments, _scan,
    ),
    Tool(
        "list_retirements", "When rented models are shut down",
        "When is a rented model, or a fine-tune of one, shut down? Each date has its source and the "
        "day it was read. A model without a date here may still have one.",
        RetirementArguments,
        lambda call, asked: list(call.project.retirements(*asked.models, within_days=asked.within_days)),
    ),
    Tool(
        "find_tasks", "Find the tasks in a log",
        "Which tasks are in a log of requests, and which one to move first? Reads OpenAI formats, "
        "request/response pairs, exports of Langfuse, LangSmith, LiteLLM and Helicone, CSV and JSON "
        "lines. Stores nothing. The first step when there is a log; then draft_project.",
        TaskArguments, _tasks,
    ),
    Tool(
        "check_license", "Rule on a model's licence",
        "May this model be used for this, and what must be done? Rules over the licences of the model"
        " and its ancestors. What is not known comes out as unclear, never as allowed. Not legal "
        "advice.",
        LicenseArguments,
        lambda call, asked: call.project.license(call.places.model(asked.model), use=asked.use),
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
        "Does a model fit a machine's memory, part by part, and what is the largest context that "
        "does? Serving, or with `train` a training run.",
        FitArguments, _fit,
    ),
    Tool(
        "list_quantizations", "Which quantization to take",
        "The quantizations of a model: bytes, whether each fits, how fast it is, and which one to "
        "take and why.",
        QuantArguments, _quantizations,
    ),
    Tool(
        "estimate_cost", "Leave or stay, by money",
        "Weighs the rented model's bill against holding an open one: leave, stay or not decidable, "
        "and why. What is not stated comes from the project's traces; what is not known is asked for,"
        " never guessed.",
        CostArguments, _cost,
    ),
    Tool(
        "plan_power", "How many items are needed",
        "How many held-out items does a proof within this margin need, or what can `n` of them show?",
        PowerArguments, _power,
    ),
    Tool(
        "what_next", "Where the project is, and what next",
        "Tells which steps of the journey are done, what the next one is and by which command, what is"
        " stale, and how many days the incumbent has left. Changes nothing.",
        NoArguments, lambda call, asked: call.project.care.journey(),
    ),
    Tool(
        "diagnose", "What is wrong here",
        "Looks at the machine, the project, its store, keys, port and what ended processes left. Each"
        " finding has a way out. Changes nothing.",
        NoArguments, lambda call, asked: call.project.care.diagnose(),
    ),
)  # fmt: skip
