"""Tools that move traffic, and what keeps a project. Every move asks the user, and none goes around its tests."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta

from freehold.agents.mcp.tool import ActArguments, Arguments, Route, Tool, ToolCall, Why
from freehold.agents.mcp.tools.questions import NoArguments
from freehold.errors import UsageError


class RouteArguments(Arguments, frozen=True, kw_only=True):
    route: Route = None


class MoveArguments(ActArguments, frozen=True, kw_only=True):
    route: Route = None
    why: Why = ""


class BeginArguments(ActArguments, frozen=True, kw_only=True):
    candidate: (
        Annotated[str, Meta(max_length=300, description="Model name of the candidate; None: what is served.")]
        | None
    ) = None
    route: Route = None


class GatewayArguments(ActArguments, frozen=True, kw_only=True):
    port: Annotated[int, Meta(ge=1024, le=65_535)] | None = None


class StopArguments(ActArguments, frozen=True, kw_only=True):
    """Nothing but the code."""


class WatchArguments(ActArguments, frozen=True, kw_only=True):
    route: Route = None
    budget_usd: Annotated[float, Meta(ge=0, le=1_000, description="Spend at most this much.")] = 0.5


class WhomArguments(Arguments, frozen=True, kw_only=True):
    user: Annotated[str, Meta(max_length=300)] | None = None
    conversation: Annotated[str, Meta(max_length=300)] | None = None
    trace: Annotated[str, Meta(max_length=100)] | None = None


class ForgetArguments(ActArguments, frozen=True, kw_only=True):
    user: Annotated[str, Meta(max_length=300)] | None = None
    conversation: Annotated[str, Meta(max_length=300)] | None = None
    trace: Annotated[str, Meta(max_length=100)] | None = None


class AuditArguments(Arguments, frozen=True, kw_only=True):
    action: Annotated[str, Meta(max_length=40, description="Such as rollout, key, forget.")] | None = None
    last: Annotated[int, Meta(ge=1, le=500)] = 40


def _route(call: ToolCall, route: str | None) -> str:
    return route or call.project.name


def _whom(asked: WhomArguments | ForgetArguments) -> dict[str, str]:
    named = {name: getattr(asked, name) for name in ("user", "conversation", "trace")}
    found = {name: value for name, value in named.items() if value is not None}
    if len(found) != 1:
        raise UsageError("say whom or what to forget, in one way", hint="a user, a conversation or a trace")
    return found


def _ask_advance(call: ToolCall, asked: MoveArguments) -> str:
    call.project.traffic.check_allowed(asked.route)  # a user is not asked for what will be refused
    return f"give the candidate the next larger share of route {_route(call, asked.route)}"


def _ask_promote(call: ToolCall, asked: MoveArguments) -> str:
    call.project.traffic.check_allowed(asked.route, promotes=True)
    return f"move all traffic of route {_route(call, asked.route)} to the candidate"


def _ask_forget(call: ToolCall, asked: ForgetArguments) -> str:
    ((kind, name),) = _whom(asked).items()
    found = call.project.care.forget(**{kind: name}, dry_run=True, progress=call.progress)
    files = sum(found.files.values())
    return f"delete for good: {found.traces:,} traces and what was made of them in {files:,} files, of {kind} {name}"


def _forget(call: ToolCall, asked: ForgetArguments) -> Any:
    return call.project.care.forget(**_whom(asked), dry_run=False, progress=call.progress)


def _watch(call: ToolCall, asked: WatchArguments) -> Any:
    limit = Decimal(str(asked.budget_usd))
    # Each request takes its most from the budget as it leaves: what is taken here as well would be missing then.
    call.budget.check(0, limit, "checking the promoted model")
    return call.project.traffic.watch(asked.route, budget_usd=limit, progress=call.progress)


TOOLS = (
    Tool(
        "start_gateway", "Start the gateway",
        "Starts the OpenAI-compatible gateway with the project's model behind it, in the background. "
        "Asks the user first.",
        GatewayArguments, lambda call, asked: call.project.traffic.start(port=asked.port, progress=call.progress),
        "acts",
        lambda call, asked: f"start the gateway of {call.project.name} in the background",
    ),
    Tool(
        "stop_gateway", "Stop the gateway",
        "Stops the gateway that runs in the background: its applications get no answers then. Asks "
        "the user first.",
        StopArguments, lambda call, asked: call.project.traffic.stop(), "acts",
        lambda call, asked: f"stop the gateway of {call.project.name}: its applications get no answers then",
        destructive=True,
    ),
    Tool(
        "rollout_status", "How far the rollout is",
        "Where the traffic goes, what the tests say, and what is missing for the next step. Moves nothing.",
        RouteArguments, lambda call, asked: call.project.traffic.status(asked.route),
    ),
    Tool(
        "rollout_begin", "Begin to mirror traffic",
        "Begins a rollout: requests are mirrored to the candidate, clients still get the incumbent's "
        "answers. Asks the user first.",
        BeginArguments,
        lambda call, asked: call.project.traffic.begin(candidate=asked.candidate, route=asked.route), "acts",
        lambda call, asked: f"mirror the traffic of route {_route(call, asked.route)} to the candidate",
    ),
    Tool(
        "rollout_advance", "The next larger share",
        "Gives the candidate the next larger share of traffic. Refused while the tests do not allow it: "
        "rollout_status says what is missing. Asks the user first.",
        MoveArguments, lambda call, asked: call.project.traffic.advance(asked.route, why=asked.why), "acts",
        _ask_advance,
        destructive=True,
    ),
    Tool(
        "rollout_promote", "All traffic to the candidate",
        "Moves all traffic to the candidate. Refused without the evidence that the rollout needs "
        "(verdict, parity, canary); there is no way around it here. Asks the user first.",
        MoveArguments, lambda call, asked: call.project.traffic.promote(asked.route, why=asked.why), "acts",
        _ask_promote,
        destructive=True,
    ),
    Tool(
        "rollout_pause", "Pause the rollout",
        "All traffic to the incumbent for now; rollout_advance goes on from there. Asks the user first.",
        MoveArguments, lambda call, asked: call.project.traffic.pause(asked.route, why=asked.why), "acts",
        lambda call, asked: f"pause: all traffic of route {_route(call, asked.route)} to the incumbent",
        destructive=True,
    ),
    Tool(
        "rollout_roll_back", "All traffic back to the incumbent",
        "All traffic to the incumbent, from any state. Asks the user first; in an emergency the user types "
        "freehold rollout rollback.",
        MoveArguments, lambda call, asked: call.project.traffic.roll_back(asked.route, why=asked.why), "acts",
        lambda call, asked: f"roll back: all traffic of route {_route(call, asked.route)} to the incumbent",
        destructive=True,
    ),
    Tool(
        "watch_promoted", "Is the promoted model still good",
        "Checks a promoted model once against the incumbent, within a budget. An alarm may move "
        "traffic back, as [watch] says. Asks the user first.",
        WatchArguments, _watch, "acts",
        lambda call, asked: f"check the promoted model of route {_route(call, asked.route)} for up to "
        f"${asked.budget_usd:.2f}; an alarm acts as [watch] in freehold.toml says",
        open_world=True,
    ),
    Tool(
        "list_checks", "Checks of the promoted model",
        "All checks that were made of a promoted model, oldest first.",
        RouteArguments, lambda call, asked: list(call.project.traffic.checks(asked.route)),
    ),
    Tool(
        "check_store", "Is the store what was written",
        "Checks every row of the store against its checksum. Changes nothing.",
        NoArguments, lambda call, asked: call.project.care.check_store(progress=call.progress),
    ),
    Tool(
        "back_up_store", "Back the store up",
        "Copies the store to a file in the project's state folder, while a gateway may run.",
        NoArguments, lambda call, asked: call.project.care.back_up(progress=call.progress), "writes",
    ),
    Tool(
        "preview_forget", "What a deletion would take",
        "What deleting a person's words would take: traces, files, datasets. Deletes nothing.",
        WhomArguments,
        lambda call, asked: call.project.care.forget(**_whom(asked), dry_run=True, progress=call.progress),
    ),
    Tool(
        "forget", "Delete a person's words",
        "Deletes a person's traces and everything made from them, for good. Asks the user first.",
        ForgetArguments, _forget, "acts", _ask_forget, destructive=True,
    ),
    Tool(
        "read_audit", "Who changed what",
        "The last entries of the audit record: who changed what, when, from where and why.",
        AuditArguments, lambda call, asked: list(call.project.care.audit(action=asked.action, last=asked.last)),
    ),
)  # fmt: skip
