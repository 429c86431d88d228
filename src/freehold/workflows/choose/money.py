"""The money column of `freehold assess`: what each model would cost to hold, and leave or stay."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.catalog import models as catalog
from freehold.costs import decision
from freehold.costs.self_host import self_host
from freehold.errors import FreeholdError
from freehold.settings import Settings
from freehold.types.cost import Advice, Traffic
from freehold.types.machine import Machine, Speed
from freehold.types.planning.assessment import CandidateRow
from freehold.workflows.choose.cost import ANSWER_SECONDS, LOOKED_UP, MachineSpeeds, priced_machine
from freehold.workflows.choose.placing import served_bytes
from freehold.workflows.choose.traffic import price_traffic
from freehold.workflows.fit.sizes import size_model
from freehold.workflows.project import Project


class CostAdvice(NamedTuple):
    """Advice with its sentence; without advice the sentence says what is missing."""

    advice: Advice | None
    sentence: str
    bill: Decimal | None = None


def _batched(row: CandidateRow, machine: Machine, traffic: Traffic, settings: Settings) -> Speed:
    """The row's speed; an estimate is made again for a full batch, as traffic that fills a machine would run."""
    assert row.speed is not None
    if row.speed.how == "measured" or row.quantization is None:
        return row.speed
    if row.engine == "vllm":
        sized = size_model(row.model, settings=settings)
        sized = sized._replace(bytes=served_bytes(catalog.get(row.model), row.quantization, row.engine))
    else:
        sized = size_model(row.model, settings=settings, quantization=row.quantization)
    return MachineSpeeds(sized, traffic, machine, settings).within(ANSWER_SECONDS).speed


def with_costs(
    project: Project, rows: list[CandidateRow], machine: Machine
) -> tuple[list[CandidateRow], CostAdvice]:
    """Rows with dollars a month where they can be known, and the advice for the first of the shortlist.

    Nothing is guessed: without traffic, a price of the incumbent or a price of the machine the column stays empty
    and the sentence says which of them is missing.
    """
    known = ""
    try:
        priced = price_traffic(project)
        traffic, bill = priced.traffic, priced.bill
        known = priced.sentence
        price = priced_machine(machine, LOOKED_UP).price
    except FreeholdError as error:
        missing = (
            f"Leave or stay is not decidable by cost: {error.message}; freehold cost takes stated figures"
        )
        return rows, CostAdvice(None, f"{known} {missing}".strip())
    costed, first = [], None
    for row in rows:
        if row.outcome == "excluded" or row.speed is None:
            costed.append(row)
            continue
        found = self_host(
            row.model, machine.name, traffic, _batched(row, machine, traffic, project.settings), price
        )
        costed.append(
            msgspec.structs.replace(row, usd_per_month=(found.usd_per_month.low, found.usd_per_month.high))
        )
        if first is None and row.outcome == "shortlisted":
            first = decision.decide(traffic, bill, found, after=priced.after)
    paid = bill.usd_per_month.low
    if first is None:
        return costed, CostAdvice(
            None, "leave or stay is not decidable by cost: no model is left whose speed is known", paid
        )
    return costed, CostAdvice(first.advice, first.sentence, paid)
