"""Tools that prove: plans, verdicts, and the whole journey. What trains, asks or pays asks the user first."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta

from freehold.agents.mcp.limits import OutsideError
from freehold.agents.mcp.tool import ActArguments, Arguments, FileName, ModelName, Tool, ToolCall
from freehold.agents.mcp.tools.questions import NoArguments
from freehold.errors import UsageError

Margin = Annotated[
    float,
    Meta(gt=0, lt=1, description="Largest drop accepted, fixed before scores are seen; 0.02 is two points."),
]
ScorePair = Annotated[list[float | None], Meta(min_length=2, max_length=2)]
MaxRequests = Annotated[int, Meta(ge=1, le=1_000_000, description="Send at most this many requests.")]


ScorerName = (
    Annotated[
        str,
        Meta(
            pattern="^[a-z_]+$",
            max_length=40,
            description="How answers are scored: label, exact, number, json, tool_calls, judge … None: guessed "
            "from them.",
        ),
    ]
    | None
)
"""A name only: a file with a function of its own would be a program that the agent chooses."""


class CompareArguments(Arguments, frozen=True, kw_only=True):
    file: (
        Annotated[
            FileName,
            Meta(description='JSON lines {"id", "a", "b", "cluster"?}: a the incumbent, b the candidate.'),
        ]
        | None
    ) = None
    pairs: (
        Annotated[
            list[ScorePair],
            Meta(
                max_length=20_000,
                description="[incumbent, candidate] scores instead of a file; null: not scored.",
            ),
        ]
        | None
    ) = None
    margin: Margin
    slices: Annotated[list[str], Meta(max_length=20, description="Fields of the file to slice by.")] = []
    looks: Annotated[
        int, Meta(ge=1, description="How often these items were compared, this time included.")
    ] = 1


class EvaluateFilesArguments(Arguments, frozen=True, kw_only=True):
    incumbent_file: FileName
    candidate_file: FileName
    gold_file: (
        Annotated[FileName, Meta(description="Right answers {id, gold}, where the files have none.")] | None
    ) = None
    scorer: ScorerName = None
    margin: Annotated[Margin, Meta(description="None: what [task] of freehold.toml says.")] | None = None


class MigrateArguments(ActArguments, frozen=True, kw_only=True):
    fresh: Annotated[
        bool, Meta(description="Run every step again, also those whose inputs have not changed.")
    ] = False


class TrainArguments(ActArguments, frozen=True, kw_only=True):
    base: Annotated[ModelName, Meta(description="None: the project's first candidate.")] | None = None
    max_minutes: Annotated[float, Meta(gt=0, le=10_080)] | None = None


class FreezeArguments(ActArguments, frozen=True, kw_only=True):
    repeats: Annotated[int, Meta(ge=1, le=20, description="2 or more show the incumbent's own noise.")] = 1


class EvaluateArguments(ActArguments, frozen=True, kw_only=True):
    url: Annotated[
        str, Meta(max_length=300, description="Address on this machine, such as http://127.0.0.1:8420.")
    ]
    model: Annotated[str, Meta(max_length=300, description="The candidate's name there.")]
    max_requests: MaxRequests = 500


class MixtureArguments(ActArguments, frozen=True, kw_only=True):
    candidate: (
        Annotated[str, Meta(max_length=300, description="As the report names it; None: the last one.")] | None
    ) = None


class ParityArguments(ActArguments, frozen=True, kw_only=True):
    model: Annotated[ModelName, Meta(description="None: what migrate chose last.")] | None = None


class ReportArguments(Arguments, frozen=True, kw_only=True):
    report_id: (
        Annotated[str, Meta(max_length=64, description="The beginning of an id; None: the last.")] | None
    ) = None


def _compare(call: ToolCall, asked: CompareArguments) -> Any:
    from freehold.api.proof import compare

    if (asked.file is None) == (asked.pairs is None):
        raise UsageError("give a file or pairs, one of the two")
    if asked.pairs is not None:
        return compare([(one, other) for one, other in asked.pairs], margin=asked.margin, looks=asked.looks)
    assert asked.file is not None
    return compare(
        call.places.inside(asked.file), margin=asked.margin, slices=tuple(asked.slices), looks=asked.looks
    )


def _evaluate_files(call: ToolCall, asked: EvaluateFilesArguments) -> Any:
    def named(text: str) -> str:  # FILE::NAME takes one model's column of another tool's results
        file, mark, name = text.partition("::")
        return f"{call.places.inside(file)}{mark}{name}"

    return call.project.evaluate_files(
        named(asked.incumbent_file),
        named(asked.candidate_file),
        gold=None if asked.gold_file is None else call.places.inside(asked.gold_file),
        scorer=asked.scorer,
        margin=asked.margin,
        progress=call.progress,
    )


def _ask_migrate(call: ToolCall, asked: MigrateArguments) -> str:
    _check_prices(call)
    named = ", ".join(dict.fromkeys(one.model for one in call.project.candidates()))
    return (
        f"run the whole journey of {call.project.name} here: read the log, make ready or train {named}, "
        "prove one on held-out samples. Weights may be downloaded; requests that freehold.toml plans are sent, at most "
        f"{call.budget.requests:,} to rented models and for ${call.budget.usd_left:.2f} at most."
    )


def _check_prices(call: ToolCall) -> None:
    """Raises `OverBudgetError` where a model will be asked whose price is not known: each request would be refused."""
    from freehold.workflows.journey.before import rented_addresses
    from freehold.workflows.journey.paying import ProjectSpendingCap

    cap = ProjectSpendingCap(lambda: call.project.config, call.budget)
    for one in rented_addresses(call.project.opened):
        if one.model is not None:
            what = f"asking {one.who}, {one.model} at {one.url},"
            call.budget.check(1, cap.usd(one.url, one.model), what)


def _migrate(call: ToolCall, asked: MigrateArguments) -> Any:
    _check_prices(call)
    made = call.project.migrate(fresh=asked.fresh, progress=call.progress)
    best = made.best
    return {
        "outcome": None if best is None or best.verdict is None else best.verdict.outcome,
        "exit_code": made.exit_code,
        "verdict": None if best is None else best.verdict,
        "comparison": None if best is None else best.proof,
        "candidates": [
            {"name": one.label, "stopped": one.stopped, "not_chosen": one.not_chosen}
            for one in made.report.candidates
        ],
        "report_id": made.report.id,
        "page": made.written.html,
    }


def _train(call: ToolCall, asked: TrainArguments) -> Any:
    options: dict[str, Any] = {} if asked.max_minutes is None else {"max_minutes": asked.max_minutes}
    return call.project.train(base=asked.base, progress=call.progress, **options)


def _ask_freeze(call: ToolCall, asked: FreezeArguments) -> str:
    incumbent, cost = call.project.config.incumbent, call.project.freeze_cost(repeats=asked.repeats)
    named = "the incumbent" if incumbent is None else f"{incumbent.model} at {incumbent.base_url}"
    dollars = "at a price that is not known" if cost.cost_usd is None else f"about ${cost.cost_usd:.2f}"
    return f"send {cost.requests:,} requests to {named}, {dollars}, and keep its answers"


def _freeze(call: ToolCall, asked: FreezeArguments) -> Any:
    cost = call.project.freeze_cost(repeats=asked.repeats)
    call.budget.check(cost.requests, cost.cost_usd, "freezing the incumbent's answers")
    return call.project.freeze(repeats=asked.repeats, progress=call.progress)


def _local(url: str) -> str:
    "Raises `OutsideError` for an address beyond this machine: an agent does not choose where"
    "held-out words go."
    from freehold.engines.ports import is_loopback

    parts = urlsplit(url)
    here = is_loopback(parts.hostname or "") and parts.username is None
    if parts.scheme not in ("http", "https") or not here:
        raise OutsideError(
            f"{url}: not an address of this machine",
            hint="the user can evaluate another endpoint: freehold evaluate --endpoint URL --model NAME",
        )
    return url


def _ask_evaluate(call: ToolCall, asked: EvaluateArguments) -> str:
    return f"send up to {asked.max_requests:,} held-out samples to {asked.model} at {_local(asked.url)}"


def _evaluate(call: ToolCall, asked: EvaluateArguments) -> Any:
    url = _local(asked.url)
    call.budget.check(asked.max_requests, Decimal(0), "evaluating the candidate")
    return call.project.evaluate(url, asked.model, max_requests=asked.max_requests, progress=call.progress)


TOOLS = (
    Tool(
        "compare_scores", "A verdict from pairs of scores",
        "Is the candidate good enough? A verdict (promote, hold, reject) from bare pairs of scores of"
        " the same items: paired, clustered where the items are. Use it where scores exist already.",
        CompareArguments, _compare,
    ),
    Tool(
        "evaluate_answers", "A verdict from two files of answers",
        "Is the candidate good enough? Scores two files of answers to the same items, {id, output, "
        "gold?} in JSON lines, and gives a verdict. The look at these items is counted: looking again"
        " and again is not evidence.",
        EvaluateFilesArguments, _evaluate_files, "writes",
    ),
    Tool(
        "check_migration", "Rehearse the migration",
        "Imports the log, builds the dataset, and says what stands in the way of a good end: scorer, "
        "lengths, labels, margin. Nothing is paid for or trained. Do it before migrate, and mend what"
        " it finds with the user.",
        NoArguments, lambda call, asked: call.project.rehearse(progress=call.progress), "writes", idempotent=True,
    ),
    Tool(
        "migrate", "Run the whole journey to a verdict",
        "The whole journey from freehold.toml: import, dataset, licence, fit, training, proof on "
        "held-out samples, report. Takes minutes to hours; stopped, the same call goes on. Ends in a "
        "verdict: promote, hold or reject. Asks the user first.",
        MigrateArguments, _migrate, "acts", _ask_migrate, idempotent=True, open_world=True,
    ),
    Tool(
        "train_adapter", "Train an adapter",
        "Trains an adapter on the last dataset, here. migrate does it where it is needed. Asks the "
        "user first.",
        TrainArguments, _train, "acts",
        lambda call, asked: f"train an adapter of {asked.base or 'the first candidate'} on this machine",
        idempotent=True, open_world=True,
    ),
    Tool(
        "freeze_incumbent", "Record the incumbent's answers",
        "Asks the rented model every held-out sample and keeps its answers, before it is retired. "
        "Costs money; says how much and asks the user first.",
        FreezeArguments, _freeze, "acts", _ask_freeze, idempotent=True, open_world=True,
    ),
    Tool(
        "evaluate_served", "Prove a served candidate",
        "Asks a candidate that is served on this machine the held-out samples and compares it with "
        "the incumbent's frozen answers. Every call is a look, and looks are counted. Asks the user "
        "first.",
        EvaluateArguments, _evaluate, "acts",
        _ask_evaluate,
    ),
    Tool(
        "check_parity", "Is what is served what was trained",
        "Puts the same prompts to the trainer's model and the served one. Loads both here. Asks the user first.",
        ParityArguments,
        lambda call, asked: call.project.parity(model=asked.model, progress=call.progress), "acts",
        lambda call, asked: "load the trained and the served model here and compare them", idempotent=True,
    ),
    Tool(
        "plan_mixture", "What may a weaker candidate answer",
        "Not good enough for everything: plans which requests the candidate may answer itself, and "
        "looks once at the held-out samples. Asks the user first, because the look is counted.",
        MixtureArguments,
        lambda call, asked: call.project.plan_mixture(candidate=asked.candidate, progress=call.progress), "acts",
        lambda call, asked: "plan a mixture and look once at the held-out samples", idempotent=True,
    ),
    Tool(
        "show_mixture", "The mixture that was planned",
        "The mixture that was planned last: verdict, share, dollars, times.",
        NoArguments, lambda call, asked: call.project.mixture(),
    ),
    Tool(
        "show_report", "The last report",
        "The report of the last migration: every candidate's ruling, fit, comparison and verdict, "
        "with the ids of what each number was made from. The page for people is named by migrate.",
        ReportArguments, lambda call, asked: call.project.report(asked.report_id),
    ),
    Tool(
        "list_evaluations", "All evaluations",
        "Every evaluation side by side, the last one first.",
        NoArguments, lambda call, asked: list(call.project.evaluations()),
    ),
)  # fmt: skip
