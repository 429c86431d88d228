"""The console's first screen: where the project is, what to do next, and how it goes now."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from freehold.costs.prices import TokenPrice, flat_price, price_basis, request_price
from freehold.errors import FreeholdError
from freehold.gateway.telemetry.meters import totals_of
from freehold.store import Store
from freehold.store.search import AnsweredTokens, answered_by_candidate, traffic
from freehold.types.endpoint import INCUMBENT, is_own
from freehold.types.journey import JourneyState
from freehold.types.record import Record
from freehold.types.route import Route
from freehold.types.trace import RecordedTraffic, Usage
from freehold.types.verdict import Verdict
from freehold.workflows.project import Project
from freehold.workflows.tell.next_step import journey_state
from freehold.workflows.tell.project_facts import project_facts
from freehold.workflows.tell.views.query import ScreenQuery, Seconds

REPORTS_SHOWN = 10
PATHS_SHOWN = 12
DAY_S = 86_400.0


class OverviewQuery(ScreenQuery, frozen=True, kw_only=True):
    """How far back the traffic, the share at home and the savings look."""

    window_s: Seconds = DAY_S


class Savings(Record, frozen=True, kw_only=True):
    """What the incumbent would have charged for the requests that were answered at home, by their own token counts,
    less what their endpoint charges for them. `usd` is None where a price is not known, and `why` says which.

    Requests that were stood in for, errors, mirrored copies and what a rule left to the incumbent are not counted. The
    machine is not taken off: it costs the same whether it is asked or not.
    """

    requests: int
    usd: Decimal | None
    basis: str
    why: str = ""


class OverviewRoute(Record, frozen=True, kw_only=True):
    """One route in a word. `can_go_back`: traffic is on the candidate, or on its way there."""

    name: str
    model: str
    state: str
    share: float
    can_go_back: bool


class ReportLine(Record, frozen=True, kw_only=True):
    """A report on disk."""

    name: str
    at: datetime


class PathLine(Record, frozen=True, kw_only=True):
    """What the gateway was asked by kind of path since it started, besides what it answers by its routes."""

    path: str
    passed_on: int
    refused: int


class OverviewScreen(Record, frozen=True, kw_only=True):
    """The journey with the next action, and the last `window_s` seconds of traffic."""

    at: datetime
    window_s: float
    journey: JourneyState
    verdict: Verdict | None
    traffic: RecordedTraffic
    savings: Savings | None
    routes: tuple[OverviewRoute, ...]
    reports: tuple[ReportLine, ...]
    others: tuple[PathLine, ...]


def overview(project: Project, store: Store, query: OverviewQuery, *, at: datetime) -> OverviewScreen:
    """Where the project is. Raises `StoreError` for a record that cannot be read."""
    since = at - timedelta(seconds=query.window_s)
    return OverviewScreen(
        at=at,
        window_s=query.window_s,
        journey=journey_state(project_facts(project, store, at=at)),
        verdict=store.latest(Verdict),
        traffic=traffic(store.database, since=since, until=at),
        savings=savings(project, answered_by_candidate(store.database, since=since, until=at)),
        routes=tuple(map(_line, store.routes())),
        reports=_reports(project.state / "reports"),
        others=others(project.state / "spool"),
    )


def savings(project: Project, answered: list[AnsweredTokens]) -> Savings | None:
    """What was not paid to the incumbent. None where nothing was answered at home, or no incumbent is named."""
    at_home = [one for one in answered if one.endpoint != INCUMBENT]
    incumbent = project.config.incumbent
    if not at_home or incumbent is None:
        return None
    own_prices = {table.name: table.price for table in project.config.endpoints}
    requests, total = sum(one.requests for one in at_home), Decimal(0)
    flat = flat_price(incumbent.price)
    try:
        basis = price_basis(incumbent.model, flat=flat).text
        for one in at_home:
            usage = Usage(prompt_tokens=one.prompt_tokens, completion_tokens=one.completion_tokens)
            total += _paid_for(one, incumbent.model, flat)
            if is_own(one.endpoint):
                continue
            own = flat_price(own_prices.get(one.endpoint))
            if own is None:
                why = f"what the endpoint {one.endpoint} charges is not stated: `price` of [[endpoints]]"
                return Savings(requests=requests, usd=None, basis=basis, why=why)
            total -= own.of(usage)
    except FreeholdError as error:
        return Savings(requests=requests, usd=None, basis="", why=error.message)
    return Savings(requests=requests, usd=total, basis=basis)


def _paid_for(one: AnsweredTokens, model: str, flat: TokenPrice | None) -> Decimal:
    """What these requests cost, each taken to be of their mean length, and the tokens that are over: all together they
    would be priced as one with a long prompt, for which some models charge double."""
    requests = max(1, one.requests)
    prompt, more_prompt = divmod(one.prompt_tokens, requests)
    completion, more_completion = divmod(one.completion_tokens, requests)
    each = Usage(prompt_tokens=prompt, completion_tokens=completion)
    rest = Usage(prompt_tokens=more_prompt, completion_tokens=more_completion)
    return requests * request_price(model, each, flat=flat) + request_price(model, rest, flat=flat)


def others(spool: Path) -> tuple[PathLine, ...]:
    """What running gateways passed on and refused, by kind of path, what was refused most first."""
    passed: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for (_, path, _), value in totals_of(spool, "freehold_passed_on").items():
        passed[path] += int(value)
    for (_, path), value in totals_of(spool, "freehold_refusals").items():
        refused[path] += int(value)
    paths = sorted({*passed, *refused}, key=lambda path: (-refused[path], -passed[path], path))
    return tuple(
        PathLine(path=path, passed_on=passed[path], refused=refused[path]) for path in paths[:PATHS_SHOWN]
    )


def _line(route: Route) -> OverviewRoute:
    share = {"promoted": 1.0, "canary": route.canary_share}.get(route.state, 0.0)
    return OverviewRoute(
        name=route.name,
        model=route.model,
        state=route.state,
        share=share,
        can_go_back=route.state in ("shadow", "canary", "promoted"),
    )


def _reports(folder: Path) -> tuple[ReportLine, ...]:
    files = sorted(folder.glob("*.html"), key=lambda path: path.stat().st_mtime, reverse=True)
    return tuple(
        ReportLine(name=path.name, at=datetime.fromtimestamp(path.stat().st_mtime, UTC))
        for path in files[:REPORTS_SHOWN]
    )
