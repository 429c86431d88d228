"""`freehold traces replay`: a captured request put once more to the incumbent or to the candidate.

What it can cost is said before, has to be agreed to, and counts against what all replays of a day may cost. The answer
is shown and not kept; that a request was sent, and what it cost, stands in the audit record, from before it is sent, so
that one that was under way when the process was killed counts with the most it can cost.

A request without a limit of its own gets one, since the cost would have no bound. What would be done at the other end
by being asked (hosted tools, searches, stored answers) is refused or left out (`freehold.workflows.shift.replay_body`);
calls of functions are shown and made by no part of freehold.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import anyio
import msgspec

from freehold.costs.prices import flat_price, request_price
from freehold.errors import FreeholdError, MissingExtraError, UsageError
from freehold.evals.answers import ChatAnswer
from freehold.evals.chat.chat_client import ChatClient, Patience
from freehold.store import Store, audit
from freehold.types.config import PriceConfig
from freehold.types.endpoint import ANY_MODEL, Endpoint, ServePlan
from freehold.types.record import Record
from freehold.types.route import Route, Target
from freehold.types.trace import Trace, Usage
from freehold.wire.base_url import stem
from freehold.workflows.data import traces
from freehold.workflows.project import Project
from freehold.workflows.project_lock import one_at_a_time
from freehold.workflows.serve.names import ENDPOINT_NAME, INCUMBENT
from freehold.workflows.shift.endpoints import configured_endpoints
from freehold.workflows.shift.replay_body import body_of, tokens_of

ReplaySide = Literal["incumbent", "candidate"]

BUDGET_USD = Decimal(1)
"""What all replays of `BUDGET_PERIOD` may cost together, unless said otherwise."""
BUDGET_PERIOD = timedelta(hours=24)
REQUEST_SECONDS = 120.0
LOCK = "replay of a trace"
ACTION = "trace.replay"

_PAGE = 200


class ReplayPlan(Record, frozen=True, kw_only=True):
    """What a replay would ask, and cost. `about_usd` is what it will about cost, `most_usd` what it can cost at most;
    None where nothing is charged by the token. `spent_usd` is what the replays of the last 24 hours cost, of
    `budget_usd`. `notes` say what is otherwise than in the request that was captured."""

    trace_id: str
    side: ReplaySide
    model: str
    endpoint: str
    answer_tokens: int
    about_usd: Decimal | None
    most_usd: Decimal | None
    spent_usd: Decimal
    budget_usd: Decimal
    notes: tuple[str, ...]


class TraceReplay(Record, frozen=True, kw_only=True):
    """The answer of a replay; `output` is None where there was none, and `error` says why. Times in milliseconds."""

    plan: ReplayPlan
    at: datetime
    output: str | None
    finish_reason: str | None
    error: str | None
    ttft_ms: float | None
    total_ms: float | None
    usage: Usage | None
    usd: Decimal | None


class _Asked(NamedTuple):
    """Who is asked under which name, and its price, where one is stated. `rented`: it charges by the token."""

    endpoint: Endpoint
    model: str
    rented: bool
    stated: PriceConfig | None


def plan_replay(
    project: Project,
    store: Store,
    trace_id: str,
    side: ReplaySide,
    *,
    budget_usd: Decimal = BUDGET_USD,
    at: datetime,
) -> ReplayPlan:
    """What would be asked, and what it can cost. Nothing is sent.

    Raises `UsageError` for a trace that is not here or cannot be asked again, where the other side is not known, where
    its price is not known, and where the budget does not hold the most it can cost.
    """
    return _planned(project, store, trace_id, side, budget_usd, at)[0]


def replay_trace(
    project: Project,
    store: Store,
    trace_id: str,
    side: ReplaySide,
    *,
    agreed_usd: Decimal | None,
    budget_usd: Decimal = BUDGET_USD,
    who: str,
    at: datetime,
) -> TraceReplay:
    """Ask once. `agreed_usd` is the most that was agreed to, as a plan said it.

    Raises `UsageError` as `plan_replay` does, and where it can cost more than was agreed to; `LockedError` while
    another replay of the project runs; `UpstreamError` where the address, the key or the model is wrong.
    """
    with one_at_a_time(store, LOCK):
        planned, asked, body = _planned(project, store, trace_id, side, budget_usd, at)
        _check_agreed(planned, agreed_usd)
        most = planned.most_usd
        detail = {"side": side, "model": planned.model, "endpoint": planned.endpoint, "most_usd": _text(most)}
        begun = audit.note(store.database, f"{ACTION}.begin", planned.trace_id, who=who, at=at, detail=detail)
        try:
            answer = anyio.run(_ask, asked.endpoint, body, Patience(1, request_seconds=REQUEST_SECONDS))
        except FreeholdError as error:  # refused before it was answered
            _end(store, planned, begun.number, Decimal(0), error.message, who, at)
            raise
        usd = None if most is None else _cost(asked, answer, most, at)
        _end(store, planned, begun.number, usd, answer.error, who, at)
    return TraceReplay(
        plan=planned,
        at=at,
        output=answer.output,
        finish_reason=answer.finish_reason,
        error=answer.error,
        ttft_ms=answer.ttft_ms,
        total_ms=answer.total_ms,
        usage=answer.usage,
        usd=usd,
    )


def spent_usd(store: Store, *, at: datetime) -> Decimal:
    """What the replays of the last `BUDGET_PERIOD` cost, as the audit record has it; one without an end counts with the
    most it could cost."""
    total, ended, since = Decimal(0), {}, at - BUDGET_PERIOD
    before: int | None = None
    while page := audit.newest(store.database, before=before, action=ACTION, most=_PAGE):
        for entry in page:
            if entry.action == ACTION:
                ended[entry.detail["begun"]] = entry.detail["usd"]
            elif entry.at > since:
                total += Decimal(ended.get(entry.number, entry.detail["most_usd"]) or 0)
        if all(entry.at <= since for entry in page):
            break
        before = page[-1].number
    return total


def _end(
    store: Store,
    planned: ReplayPlan,
    begun: int,
    usd: Decimal | None,
    error: str | None,
    who: str,
    at: datetime,
) -> None:
    # An error's first word is a code; the rest may quote what was asked.
    code = None if error is None else error.partition(":")[0][:40]
    detail = {"begun": begun, "usd": _text(usd), "error": code}
    audit.note(store.database, ACTION, planned.trace_id, who=who, at=at, detail=detail)


def _planned(
    project: Project, store: Store, trace_id: str, side: ReplaySide, budget_usd: Decimal, at: datetime
) -> tuple[ReplayPlan, _Asked, dict[str, Any]]:
    trace = traces.find(store, trace_id)
    asked = _asked(project, store, trace, side)
    body = body_of(trace, asked.model)
    about = most = None
    spent = spent_usd(store, at=at)
    if asked.rented:
        expected, longest = tokens_of(trace, body)
        about, most = _price(asked, expected, at), _price(asked, longest, at)
        if spent + most > budget_usd:
            raise UsageError(
                f"this can cost {most:.4f} USD, and replays of the last 24 hours cost {spent:.4f} of {budget_usd} USD",
                hint="freehold traces replay … --budget-usd says how much they may",
            )
    planned = ReplayPlan(
        trace_id=trace.id,
        side=side,
        model=asked.model,
        endpoint=asked.endpoint.name,
        answer_tokens=body.answer_tokens,
        about_usd=about,
        most_usd=most,
        spent_usd=spent,
        budget_usd=budget_usd,
        notes=body.notes,
    )
    return planned, asked, body.fields


def _check_agreed(planned: ReplayPlan, agreed_usd: Decimal | None) -> None:
    most = planned.most_usd
    if most is None:
        return
    if agreed_usd is None or not agreed_usd.is_finite() or most > agreed_usd:
        raise UsageError(
            f"asking {planned.model} can cost {most:.4f} USD, and that was not agreed to",
            hint="look at what it can cost, and agree to it",
        )


async def _ask(endpoint: Endpoint, body: dict[str, Any], patience: Patience) -> ChatAnswer:
    async with ChatClient(endpoint, concurrency=1, patience=patience) as client:
        answer = await client.ask(body)
        if (answer.error or "").startswith("http_400"):
            # The client has learned another name of the limit from the refusal, which is not billed.
            again = await client.ask(body)
            answer = msgspec.structs.replace(again, attempts=answer.attempts + again.attempts)
        return answer


def _asked(project: Project, store: Store, trace: Trace, side: ReplaySide) -> _Asked:
    """Who answers for that side of the trace's route; without one, the incumbent of the file and what serves here."""
    route = next((one for one in store.routes() if one.name == trace.route), None)
    target = _target(project, store, trace, route, side)
    if target.endpoint == ENDPOINT_NAME:
        model = target.model
        if model is None or any(_takes(one, model) for one in store.routes()):
            raise UsageError(
                f"the candidate of the route {trace.route} has no name of its own: the gateway would choose",
                hint="freehold routes set … --candidate local --candidate-model NAME, and no route for any model (*) "
                "without a key or header to match",
            )
        address = Endpoint(name=ENDPOINT_NAME, engine="remote", base_url=stem(project.gateway_url))
        return _Asked(address, model, rented=False, stated=None)
    known = {one.name: one for one in configured_endpoints(project.config)}
    endpoint = known.get(target.endpoint)
    if endpoint is None:
        raise UsageError(
            f"no address of {target.endpoint} is known, which answers for the {side}",
            hint="base_url in [incumbent], or in [[endpoints]]",
        )
    stated = _stated_price(project, target.endpoint)
    free = stated is not None and not (stated.prompt or stated.completion)
    model = target.model or (route.model if route is not None else trace.model)
    return _Asked(endpoint, model, rented=endpoint.engine_kind.is_rented and not free, stated=stated)


def _takes(route: Route, model: str) -> bool:
    """Whether a request for the model, which shows no key and no header, could be answered by the route."""
    return route.model == model or (
        route.model == ANY_MODEL and not route.match_keys and not route.match_headers
    )


def _target(project: Project, store: Store, trace: Trace, route: Route | None, side: ReplaySide) -> Target:
    if route is not None:
        target = route.incumbent if side == "incumbent" else route.candidate
        if target is None:
            raise UsageError(
                f"the route {route.name} has no candidate", hint="freehold rollout start begins with one"
            )
        if target.endpoint == INCUMBENT and target.model is None and project.config.incumbent is not None:
            return msgspec.structs.replace(target, model=project.config.incumbent.model)
        return target
    if side == "incumbent":
        if project.config.incumbent is None:
            raise UsageError("no incumbent is named", hint="model and base_url in [incumbent]")
        return Target(endpoint=INCUMBENT, model=project.config.incumbent.model)
    plan = store.latest(ServePlan)
    if plan is None:
        raise UsageError(
            "this trace has no route, and no candidate was chosen for this project yet",
            hint="freehold migrate chooses one",
        )
    return Target(endpoint=ENDPOINT_NAME, model=plan.served_name)


def _stated_price(project: Project, endpoint: str) -> PriceConfig | None:
    if endpoint == INCUMBENT:
        return project.config.incumbent.price if project.config.incumbent is not None else None
    return next((one.price for one in project.config.endpoints if one.name == endpoint), None)


def _price(asked: _Asked, usage: Usage, at: datetime) -> Decimal:
    try:
        return request_price(asked.model, usage, at=at, flat=flat_price(asked.stated))
    except (UsageError, MissingExtraError):
        raise UsageError(
            f"no price of {asked.model} is known, so it is not asked",
            hint="state it: [incumbent] or [[endpoints]] price = { prompt = 2.5, completion = 10 } (dollars per "
            "million tokens); list prices need the extra: pip install 'freehold[costs]'",
        ) from None


def _cost(asked: _Asked, answer: ChatAnswer, most: Decimal, at: datetime) -> Decimal:
    """What it cost. Without counts it is the most it can, unless the API refused to answer."""
    if answer.usage is not None and answer.usage.prompt_tokens is not None:
        return _price(asked, answer.usage, at)
    return Decimal(0) if answer.is_refusal else most


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else str(usd)
