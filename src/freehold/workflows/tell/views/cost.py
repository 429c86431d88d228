"""The screen Cost: today's bill against holding a candidate, and against the proven mixture; what is not known yet."""

from __future__ import annotations

import shlex
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from msgspec import Meta

from freehold.errors import UsageError
from freehold.store import Store
from freehold.types.choosing import RequestCost
from freehold.types.cost import Cost, Range
from freehold.types.record import Record
from freehold.types.report import Report
from freehold.workflows.choose.cost import Hosting, MachinePrice, known_costs
from freehold.workflows.project import Project
from freehold.workflows.tell.views.query import ScreenQuery, catalog_model, machine_words

FIRST_COMMAND = "freehold cost"


class CostQuery(ScreenQuery, frozen=True, kw_only=True):
    """What if: a model, on a machine (None: this one), at a price in dollars an hour, or one that is yours already."""

    model: Annotated[str, Meta(max_length=200)] | None = None
    machine: Annotated[str, Meta(max_length=200)] | None = None
    usd_per_hour: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    owned: bool = False


class CandidateCost(Record, frozen=True, kw_only=True):
    """What 1,000 requests cost with a candidate, as the last report measured or estimated it."""

    label: str
    cost: RequestCost
    report_id: str


class Unknown(Record, frozen=True, kw_only=True):
    """What is not known, and the command that would say it."""

    what: str
    hint: str
    command: str


class CostScreen(Record, frozen=True, kw_only=True):
    """The whole screen. `weighed` is None where something it needs is not known; `unknown` then says what."""

    app: str
    at: datetime
    incumbent: str | None
    weighed: Cost | None
    rented: str | None
    """What the incumbent costs, when it ends and what its replacement would cost; None: its price is not known."""
    unknown: tuple[Unknown, ...]
    candidates: tuple[CandidateCost, ...]
    command: str
    first_command: str = FIRST_COMMAND


def cost_screen(project: Project, store: Store, query: CostQuery, *, at: datetime) -> CostScreen:
    """What there is to see. What is not known is said, not guessed."""
    try:
        known = known_costs(project, _hosting(project, query))
    except UsageError as unread:  # of words that name no machine
        known = known_costs(project)._replace(missing=unread)
    missing, command = known.missing, command_of(query)
    report = store.latest(Report)
    return CostScreen(
        app=project.config.app.name,
        at=at,
        incumbent=None if project.config.incumbent is None else project.config.incumbent.model,
        weighed=known.weighed,
        rented=known.sentence,
        unknown=()
        if missing is None
        else (Unknown(what=missing.message, hint=missing.hint or "", command=command),),
        candidates=_candidates(report),
        command=command,
    )


def _hosting(project: Project, query: CostQuery) -> Hosting:
    stated = None
    if query.usd_per_hour is not None:
        price = Decimal(str(query.usd_per_hour))
        stated = Range(low=price, high=price)
    return Hosting(
        model=query.model if query.model in project.config.models else catalog_model(query.model),
        machine=machine_words(query.machine),
        price=MachinePrice(usd_per_hour=stated, purchase_usd=Decimal(0) if query.owned else None),
    )


def command_of(query: CostQuery) -> str:
    """The command that says the same."""
    words = ["freehold", "cost"]
    if query.model is not None:
        words.append(query.model)
    if query.machine is not None:
        words += ["--machine", query.machine]
    if query.usd_per_hour is not None:
        words += ["--usd-per-hour", f"{query.usd_per_hour:g}"]
    elif query.owned:
        words += ["--purchase-usd", "0"]
    return shlex.join(words)


def _candidates(report: Report | None) -> tuple[CandidateCost, ...]:
    if report is None:
        return ()
    return tuple(
        CandidateCost(
            label=f"{one.label}, with {report.incumbent} as fallback" if one.is_mixture else one.label,
            cost=one.cost,
            report_id=report.id,
        )
        for one in report.candidates
        if one.cost is not None
    )
