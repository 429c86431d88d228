"""The money column of `freehold assess`: what each model would cost to hold, and leave or stay."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.costs import decision
from freehold.costs.decision import self_host
from freehold.errors import FreeholdError
from freehold.settings import Settings
from freehold.types.cost import Advice, Traffic
from freehold.types.machine import Machine, Speed
from freehold.types.planning.assessment import CandidateRow
from freehold.workflows.choose.cost import ANSWER_SECONDS, LOOKED_UP, MachineSpeeds, priced_machine
from freehold.workflows.choose.traffic import price_traffic
from freehold.workflows.fit.placing import ServingForm, served_as, sized_in
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
    form = ServingForm("vllm" if row.engine == "vllm" else "llamacpp", row.quantization)
    sized = sized_in(row.model, form, settings)
    return MachineSpeeds(sized, traffic, machine, settings, form.engine).within(ANSWER_SECONDS).speed


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
            if row.quantization is not None:
                found = msgspec.structs.replace(found, served_as=served_as(row.quantization, row.engine))
            first = decision.decide(traffic, bill, found, after=priced.after)
    paid = bill.usd_per_month.low
    if first is None:
        return costed, CostAdvice(
            None, "leave or stay is not decidable by cost: no model is left whose speed is known", paid
        )
    return costed, CostAdvice(first.advice, first.sentence, paid)
