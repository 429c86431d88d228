"""Tools that move traffic, and what keeps a project. Every move asks the user, and none goes around its tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from msgspec import Meta

from freehold.agents.mcp.tool import ActArguments, Name, Route, Tool, ToolCall, ToolKinds, about, deletion


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
TOOLS = (
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
