"""The money column of `freehold assess`: what each model would cost to hold, and leave or stay."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import msgspec

from freehold.catalog import models as catalog
from freehold.costs import decision
from freehold.costs.self_host import self_host
from freehold.errors import FreeholdError
from freehold.hardware.speed import estimate
from freehold.types.cost import Advice, Traffic
from freehold.types.machine import Machine, Speed, Workload
from freehold.types.planning.assessment import CandidateRow
from freehold.workflows.choose.cost import MachinePrice, machine_price_of
from freehold.workflows.choose.placing import served_bytes
from freehold.workflows.choose.traffic import StatedTraffic, price_traffic
from freehold.workflows.project import Project

BATCH = 8
"""Requests at once on a machine that is sized for the peak, as `freehold cost` assumes too."""


class CostAdvice(NamedTuple):
    """Advice with its sentence; without advice the sentence says what is missing."""

    advice: Advice | None
    sentence: str
    bill: Decimal | None = None


def _batched(row: CandidateRow, machine: Machine, traffic: Traffic) -> Speed:
    """The row's speed; an estimate is made again for a full batch, as traffic that fills a machine would run."""
    assert row.speed is not None
    if row.speed.how == "measured" or row.quantization is None:
        return row.speed
    model = catalog.get(row.model)
    tokens = int(traffic.prompt_tokens + traffic.completion_tokens) + 1
    work = Workload(context_tokens=tokens, concurrency=BATCH)
    size = served_bytes(model, row.quantization, row.engine)
    return estimate(model.shape, size, work, machine) or row.speed


def with_costs(
    project: Project,
    rows: list[CandidateRow],
    machine: Machine,
    price: MachinePrice,
    requests_per_month: Decimal | None,
) -> tuple[list[CandidateRow], CostAdvice]:
    """Rows with dollars a month where they can be known, and the advice for the first of the shortlist.

    Nothing is guessed: without traffic, a price of the incumbent or a price of the machine the column stays empty
    and the sentence says which of them is missing.
    """
    incumbent = project.config.incumbent
    if incumbent is None:
        return rows, CostAdvice(
            None, "leave or stay is not decidable by cost: no [incumbent] in freehold.toml"
        )
    try:
        traffic, bill, _ = price_traffic(
            project, incumbent.model, StatedTraffic(requests_per_month=requests_per_month)
        )
        machine_price = machine_price_of(machine, price)
    except FreeholdError as error:
        sentence = (
            f"leave or stay is not decidable by cost: {error.message}; freehold cost takes stated figures"
        )
        return rows, CostAdvice(None, sentence)
    costed, first = [], None
    for row in rows:
        if row.outcome == "excluded" or row.speed is None:
            costed.append(row)
            continue
        found = self_host(row.model, machine.name, traffic, _batched(row, machine, traffic), machine_price)
        costed.append(
            msgspec.structs.replace(row, usd_per_month=(found.usd_per_month.low, found.usd_per_month.high))
        )
        if first is None and row.outcome == "shortlisted":
            first = decision.decide(traffic, bill, found)
    now = bill.usd_per_month.low
    if first is None:
        return costed, CostAdvice(
            None, "leave or stay is not decidable by cost: no model is left whose speed is known", now
        )
    return costed, CostAdvice(first.advice, first.sentence, now)
