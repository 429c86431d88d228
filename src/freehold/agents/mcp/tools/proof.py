"""Tools that prove: plans, verdicts, and the whole journey. What trains, asks or pays asks the user first."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from freehold.agents.mcp.tool import (
    ActArguments,
    Arguments,
    FileName,
    Name,
    OutsideError,
    Tool,
    ToolCall,
    ToolKinds,
    about,
)
from freehold.agents.mcp.tools.asking import outline
from freehold.errors import UsageError

Margin = Annotated[float, Meta(gt=0, lt=1)]
ScorePair = Annotated[list[float | None], Meta(min_length=2, max_length=2)]
ScorePairs = Annotated[list[ScorePair], Meta(max_length=20_000)]
Scorer = Annotated[str, Meta(pattern="^[a-z_]+$", max_length=40)]
"""A name only: a file with a function of its own would be a program that the agent chooses."""


class CompareArguments(Arguments, frozen=True, kw_only=True):
    file: Annotated[FileName | None, about('Lines of {"id", "a", "b", "cluster"?}; a: the incumbent.')] = None
    pairs: Annotated[ScorePairs | None, about("[incumbent, candidate], not a file; null: unscored.")] = None
    margin: Annotated[Margin, about("Largest drop accepted, fixed before; 0.02 is two points.")]
    slices: Annotated[list[str], Meta(max_length=20, description="Fields of the file to slice by.")] = []
    looks: Annotated[int, Meta(ge=1, description="How often these were compared, this time included.")] = 1


class EvaluateFilesArguments(Arguments, frozen=True, kw_only=True):
    incumbent_file: FileName
    candidate_file: FileName
    gold_file: Annotated[FileName | None, about("Right answers {id, gold}, if the files have none.")] = None
    scorer: Annotated[Scorer | None, about("label, exact, number, json, tool_calls …; else guessed.")] = None
    margin: Annotated[Margin | None, about("Without it that of freehold.toml.")] = None


class MigrateArguments(ActArguments, frozen=True, kw_only=True):
    fresh: Annotated[bool, about("Run every step again, also those whose inputs have not changed.")] = False


class StepArguments(ActArguments, frozen=True, kw_only=True):
    kind: Literal["train", "freeze", "parity", "mixture"]
    model: Annotated[Name | None, about("Without it the first, or last chosen, candidate.")] = None
    max_minutes: Annotated[float, Meta(gt=0, le=10_080, description="For train.")] | None = None
    repeats: Annotated[int, Meta(ge=1, le=20), about("For freeze: 2 show the incumbent's own noise.")] = 1


class EvaluateArguments(ActArguments, frozen=True, kw_only=True):
    url: Annotated[Name, about("Address on this machine, such as http://127.0.0.1:8420.")]
    model: Annotated[Name, about("The candidate's name there.")]
    max_requests: Annotated[int, Meta(ge=1, le=1_000_000)] = 500


def _compare(call: ToolCall, asked: CompareArguments) -> Any:
    from freehold.api.questions import compare

    if (asked.file is None) == (asked.pairs is None):
        raise UsageError("give a file or pairs, one of the two")
    pairs = None if asked.pairs is None else [(one, other) for one, other in asked.pairs]
    scores = pairs if pairs is not None else call.places.inside(asked.file or "")
    return compare(scores, margin=asked.margin, slices=tuple(asked.slices), looks=asked.looks)


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
    return {"exit_code": made.exit_code, **outline(made.report, made.best), "page": made.written.html}


def _train(call: ToolCall, asked: StepArguments) -> Any:
    options: dict[str, Any] = {} if asked.max_minutes is None else {"max_minutes": asked.max_minutes}
    return call.project.train(base=asked.model, progress=call.progress, **options)


def _ask_freeze(call: ToolCall, asked: StepArguments) -> str:
    incumbent, cost = call.project.config.incumbent, call.project.freeze_cost(repeats=asked.repeats)
    named = "the incumbent" if incumbent is None else f"{incumbent.model} at {incumbent.base_url}"
    dollars = "at a price that is not known" if cost.cost_usd is None else f"about ${cost.cost_usd:.2f}"
    return f"send {cost.requests:,} requests to {named}, {dollars}, and keep its answers"


def _freeze(call: ToolCall, asked: StepArguments) -> Any:
    cost = call.project.freeze_cost(repeats=asked.repeats)
    call.budget.check(cost.requests, cost.cost_usd, "freezing the incumbent's answers")
    return call.project.freeze(repeats=asked.repeats, progress=call.progress)


def _local(url: str) -> str:
    """Raises `OutsideError` for an address beyond this machine: an agent does not choose where held-out words go."""
    from freehold.wire.base_url import is_loopback

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


STEP = ToolKinds(
    train=(
        _train, ("model", "max_minutes"),
        lambda call, asked: f"train an adapter of {asked.model or 'the first candidate'} on this machine",
    ),
    freeze=(_freeze, ("repeats",), _ask_freeze),
    parity=(
        lambda call, asked: call.project.parity(model=asked.model, progress=call.progress), ("model",),
        lambda call, asked: "load the trained and the served model here and compare them",
    ),
    mixture=(
        lambda call, asked: call.project.plan_mixture(candidate=asked.model, progress=call.progress), ("model",),
        lambda call, asked: "plan a fallback and evaluate the held-out samples once",
    ),
)  # fmt: skip
PROOF = (
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
        "lengths, labels, margin. Nothing is paid for or trained. Mend what it finds with the user before migrate.",
        Arguments, lambda call, asked: call.project.rehearse(progress=call.progress), "writes", idempotent=True,
    ),
    Tool(
        "migrate", "Run the whole journey to a verdict",
        "The whole journey from freehold.toml: import, dataset, licence, fit, training, proof on "
        "held-out samples, report. Takes minutes to hours; stopped, the same call goes on. Ends in a "
        "verdict: promote, hold or reject. Asks the user first.",
        MigrateArguments, _migrate, "acts", _ask_migrate, idempotent=True, open_world=True,
    ),
    Tool(
        "run_step", "Run one step by itself",
        "migrate runs these where they are needed. train: an adapter, on the last dataset, here. freeze: asks the "
        "rented model every held-out sample and keeps its answers, before it is retired; costs money, says how much. "
        "parity: is what is served what was trained? mixture: not good enough for everything, what may a candidate "
        "answer itself; one look at the held-out samples, and looks are counted. Asks the user first.",
        StepArguments, STEP.call, "acts", STEP.asks, idempotent=True, open_world=True,
    ),
    Tool(
        "evaluate_served", "Prove a served candidate",
        "Asks a candidate that is served on this machine the held-out samples and compares it with "
        "the incumbent's frozen answers. Every call is an evaluation, and evaluations are counted. Asks the user "
        "first.",
        EvaluateArguments, _evaluate, "acts",
        _ask_evaluate,
    ),
)  # fmt: skip
