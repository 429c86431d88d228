"""Tools that make a project of a log and keep it, and those that move traffic. Every move asks the user, and none goes
around its tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta

from freehold.agents.mcp.tool import (
    ActArguments,
    Arguments,
    FileName,
    FileNames,
    Name,
    Route,
    Tool,
    ToolCall,
    ToolKinds,
    about,
    deletion,
)


class DraftArguments(Arguments, frozen=True, kw_only=True):
    files: FileNames
    held_out: Annotated[FileName | None, about("A file kept for the proof, never trained on.")] = None
    incumbent: Annotated[Name | None, about("The rented model, where the log does not name it.")] = None


class ImportArguments(Arguments, frozen=True, kw_only=True):
    files: Annotated[list[FileName], Meta(max_length=100), about("Without them those of freehold.toml.")] = []
    held_out: Annotated[bool, about("Keep all of it for the proof.")] = False


class RescueArguments(Arguments, frozen=True, kw_only=True):
    file: FileName
    model: Annotated[Name | None, about("The fine-tune: ft:gpt-4o-mini-2024-07-18:acme::abc123.")] = None


class MakeArguments(Arguments, frozen=True, kw_only=True):
    kind: Literal["dataset", "backup"]


MAKE = ToolKinds(
    dataset=(lambda call, asked: call.project.build_dataset(progress=call.progress),),
    backup=(lambda call, asked: call.project.care.back_up(progress=call.progress),),
)


def _draft(call: ToolCall, asked: DraftArguments) -> Any:
    files, held_out = (
        call.places.all_inside(asked.files),
        asked.held_out and call.places.inside(asked.held_out),
    )
    return call.project.draft(*files, folder=call.root, held_out=held_out, incumbent=asked.incumbent)


def _import(call: ToolCall, asked: ImportArguments) -> Any:
    files = call.places.all_inside(asked.files)
    return call.project.import_traffic(*files, held_out=asked.held_out, progress=call.progress)


MAKING = (
    Tool(
        "draft_project", "Write a first freehold.toml",
        "Writes freehold.toml from what log files tell: format, model, scorer, candidates. One that is there is left. "
        "`open` lists what the files could not tell: ask the user about these, above all the use ([use]) and the "
        "margin ([task]). Then check_migration.",
        DraftArguments, _draft, "writes",
    ),
    Tool(
        "prepare_rescue", "Make a project of a fine-tuning file",
        "For a fine-tuned GPT that stops on a date: makes a project of its fine-tuning file, builds "
        "the dataset, and says when it ends and what freezing its answers would cost. Asks no API. "
        "Then check_migration, run_step(freeze), migrate.",
        RescueArguments,
        lambda call, asked: call.project.prepare_rescue(**call.within(asked), folder=call.root, progress=call.progress),
        "writes", idempotent=True,
    ),
    Tool(
        "import_traffic", "Bring logged traffic in",
        "Stores logged requests and answers as traces of the project. Bad records are kept aside with"
        " line and reason. check_migration and migrate do it for the files that freehold.toml names.",
        ImportArguments, _import, "writes", idempotent=True,
    ),
    Tool(
        "make", "Build the dataset, or back the store up",
        "dataset: an immutable one of the traces, personal data replaced, repeats gone, nothing held out also taught. "
        "backup: a copy of the store in the project's state folder.",
        MakeArguments, MAKE.call, "writes",
    ),
)  # fmt: skip


class MoveArguments(ActArguments, frozen=True, kw_only=True):
    kind: Literal["begin", "advance", "promote", "pause", "roll_back"]
    candidate: Annotated[Name | None, about("For begin: its model's name; without it what is served.")] = None
    route: Route = None
    why: Annotated[str, Meta(max_length=500), about("The reason, kept in its history. Name no person.")] = ""


class GatewayArguments(ActArguments, frozen=True, kw_only=True):
    kind: Literal["start", "stop"]
    port: Annotated[int, Meta(ge=1024, le=65_535)] | None = None


class WatchArguments(ActArguments, frozen=True, kw_only=True):
    route: Route = None
    budget_usd: Annotated[float, Meta(ge=0, le=1_000)] = 0.5


class ForgetArguments(ActArguments, frozen=True, kw_only=True):
    id: Annotated[Name, about("user:NAME, conversation:NAME or trace:ID.")]


def _moved(
    name: str, words: str, *, takes: tuple[str, ...] = ("why",), promotes: bool | None = None
) -> tuple[Any, ...]:
    """A step of a rollout; where `promotes` is not None a user is not asked for what would be refused."""

    def asks(call: ToolCall, asked: MoveArguments) -> str:
        if promotes is not None:
            call.project.traffic.check_allowed(asked.route, promotes=promotes)
        return words.format(f"route {asked.route or call.project.name}")

    def move(call: ToolCall, asked: MoveArguments) -> Any:
        return getattr(call.project.traffic, name)(
            route=asked.route, **{one: getattr(asked, one) for one in takes}
        )

    return move, takes, asks


def _ask_forget(call: ToolCall, asked: ForgetArguments) -> str:
    found = call.project.care.forget(**deletion(asked.id), dry_run=True, progress=call.progress)
    files = sum(found.files.values())
    return f"delete for good: {found.traces:,} traces and what was made of them in {files:,} files, of {asked.id}"


def _forget(call: ToolCall, asked: ForgetArguments) -> Any:
    return call.project.care.forget(**deletion(asked.id), dry_run=False, progress=call.progress)


def _watch(call: ToolCall, asked: WatchArguments) -> Any:
    limit = Decimal(str(asked.budget_usd))
    # Each request takes its most from the budget as it leaves: what is taken here as well would be missing then.
    call.budget.check(0, limit, "checking the promoted model")
    return call.project.traffic.watch(asked.route, budget_usd=limit, progress=call.progress)


GATEWAY = ToolKinds(
    start=(
        lambda call, asked: call.project.traffic.start(port=asked.port, progress=call.progress), ("port",),
        lambda call, asked: f"start the gateway of {call.project.name} in the background",
    ),
    stop=(
        lambda call, asked: call.project.traffic.stop(), (),
        lambda call, asked: f"stop the gateway of {call.project.name}: its applications get no answers then",
    ),
)  # fmt: skip
MOVE = ToolKinds(
    begin=_moved("begin", "mirror the traffic of {} to the candidate", takes=("candidate",)),
    advance=_moved("advance", "give the candidate the next larger share of {}", promotes=False),
    promote=_moved("promote", "move all traffic of {} to the candidate", promotes=True),
    pause=_moved("pause", "pause: all traffic of {} to the incumbent"),
    roll_back=_moved("roll_back", "roll back: all traffic of {} to the incumbent"),
)
MOVING = (
    Tool(
        "gateway", "Start or stop the gateway",
        "start: the OpenAI-compatible gateway with the project's model behind it, in the background. stop: its "
        "applications get no answers then. Asks the user first.",
        GatewayArguments, GATEWAY.call, "acts", GATEWAY.asks, destructive=True,
    ),
    Tool(
        "move_traffic", "Move traffic in steps, or back",
        "begin: requests are mirrored to the candidate, clients still get the incumbent's answers. advance: the next "
        "larger share, or on from a pause. promote: all of it. Both are refused without the evidence that they need, "
        "nothing here goes around that: read(rollout) says what is missing. pause, roll_back: all to the incumbent, "
        "for now or for good. Asks the user first; in an emergency the user types freehold rollout rollback.",
        MoveArguments, MOVE.call, "acts", MOVE.asks, destructive=True,
    ),
    Tool(
        "watch_promoted", "Is the promoted model still good",
        "Checks a promoted model once against the incumbent, within a budget. An alarm may move "
        "traffic back, as [watch] says. Asks the user first.",
        WatchArguments, _watch, "acts",
        lambda call, asked: f"check the promoted model of route {asked.route or call.project.name} for up to "
        f"${asked.budget_usd:.2f}; an alarm acts as [watch] in freehold.toml says",
        open_world=True,
    ),
    Tool(
        "forget", "Delete a person's words",
        "Deletes a person's traces and everything made from them, for good. Asks the user first.",
        ForgetArguments, _forget, "acts", _ask_forget, destructive=True,
    ),
)  # fmt: skip
