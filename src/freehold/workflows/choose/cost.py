"""`freehold cost`: the incumbent's bill, what holding a model costs, where they meet, and a plain sentence."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold import __version__, files
from freehold.catalog import models as model_catalog
from freehold.catalog import rentals
from freehold.costs import decision, prices
from freehold.costs.prices import TokenPrice
from freehold.costs.self_host import TARGET_UTILISATION, Owned, Rented, machine_month, self_host
from freehold.errors import UsageError
from freehold.hardware.speed import estimate
from freehold.store import open_store
from freehold.types.cost import Advice, Bill, Cost, MixtureMonth, Range, SelfHost, Traffic
from freehold.types.machine import Machine, Speed, Workload
from freehold.types.mixture import Mixture
from freehold.types.record import content_id
from freehold.workflows.choose.traffic import NOTHING_STATED, PricedTraffic, StatedTraffic, price_traffic
from freehold.workflows.fit.fit import fit_sized
from freehold.workflows.fit.machine import engine_build, find_machine
from freehold.workflows.fit.sizes import SizedModel, size_model
from freehold.workflows.fit.speeds import measured
from freehold.workflows.project import Project


class MachinePrice(NamedTuple):
    """What a machine costs; all None: rental prices of the catalog are looked up."""

    usd_per_hour: Range | None = None
    purchase_usd: Decimal | None = None
    watts: float | None = None
    usd_per_kwh: Decimal = Decimal("0.25")
    life_years: Decimal = Decimal(4)


LOOKED_UP = MachinePrice()


class Hosting(NamedTuple):
    """What would be held: a model (None: the first candidate) on a machine (None: this one) at a price, which answers
    `concurrency` requests at once."""

    model: str | None = None
    quantization: str | None = None
    machine: str | None = None
    price: MachinePrice = LOOKED_UP
    concurrency: int = 8


class _HostedModel(NamedTuple):
    """A model on a machine whose speed and price are known."""

    model: str
    machine: str
    speed: Speed
    price: Rented | Owned

    def cost(self, traffic: Traffic, **changes: Any) -> SelfHost:
        return self_host(self.model, self.machine, traffic, self.speed, self.price, **changes)


def cost(
    project: Project,
    hosting: Hosting,
    *,
    incumbent: str | None = None,
    stated: StatedTraffic = NOTHING_STATED,
    flat: TokenPrice | None = None,
) -> Cost:
    """Weigh the incumbent's bill against holding a model.

    Traffic is taken from the project's traces unless it is stated. Raises `UsageError` for what is not known
    and may not be guessed: no traffic, no price of the incumbent, no price or speed of the machine.
    """
    paid = incumbent or (project.config.incumbent.model if project.config.incumbent else None)
    if paid is None:
        raise UsageError("no incumbent is named", hint="--incumbent gpt-4o, or [incumbent] in freehold.toml")
    priced = price_traffic(project, paid, stated, flat)
    held = _held(project, hosting, priced.traffic)
    made = decision.decide(
        priced.traffic,
        priced.bill,
        held.cost(priced.traffic),
        sensitivity=_sensitivity(priced, held),
        hosted_open=_hosted(held.model, priced.traffic),
        made_from=priced.made_from,
        version=__version__,
    )
    made = msgspec.structs.replace(made, mixture=_mixture_month(project, made))
    return msgspec.structs.replace(made, id=content_id(made))


def _mixture_month(project: Project, made: Cost) -> MixtureMonth | None:
    """What a month costs with the mixture that was proven last for this incumbent."""
    if project.config_path is None:
        return None
    with open_store(project.reading_url) as store:
        proven = [one for one in store.records(Mixture) if one.is_proven and one.incumbent == made.bill.model]
    if not proven or proven[-1].share is None:
        return None
    rest = 1 - Decimal(str(proven[-1].share))
    bill, holding = made.bill.usd_per_month, made.self_host.usd_per_month
    month = Range(low=holding.low + rest * bill.low, high=holding.high + rest * bill.high)
    return MixtureMonth(
        mixture_id=proven[-1].id,
        share=proven[-1].share,
        usd_per_month=month,
        saved_usd_per_month=Range(low=bill.low - month.high, high=bill.high - month.low),
    )


def _held(project: Project, hosting: Hosting, traffic: Traffic) -> _HostedModel:
    """Size the model, check that it fits, and find out how fast it is there and what the machine costs."""
    here = hosting.machine is None
    machine = find_machine(hosting.machine, project.settings, measure=here)
    sized = size_model(
        hosting.model or project.config.models[0],
        settings=project.settings,
        quantization=hosting.quantization,
    )
    tokens = int(traffic.prompt_tokens + traffic.completion_tokens) + 1
    workload = Workload(context_tokens=tokens, concurrency=hosting.concurrency)
    speed = measured(project, sized.name, sized.quantization) if here else None
    if speed is None:
        _require_fit(sized, workload, machine, project)
        speed = estimate(sized.shape, sized.bytes, workload, machine, build=engine_build(project.settings))
    if speed is None:
        raise UsageError(
            f"how fast {machine.name} is, is not known",
            hint="give its bandwidth in a machine file, or measure: freehold bench-model",
        )
    return _HostedModel(sized.name, machine.name, speed, machine_price_of(machine, hosting.price))


def _require_fit(sized: SizedModel, workload: Workload, machine: Machine, project: Project) -> None:
    """Raise `UsageError` when the model cannot run on the machine, or not such requests: there is nothing to price."""
    if workload.context_tokens > sized.shape.context_tokens:
        raise UsageError(
            f"{sized.name} was made for {sized.shape.context_tokens:,} tokens of context, a request of this traffic "
            f"takes {workload.context_tokens:,}",
            hint="weigh a model with a longer context: freehold assess",
        )
    found = fit_sized(sized, workload=workload, machine=machine, settings=project.settings)
    if not found.fits:
        raise UsageError(
            f"{sized.name} {sized.quantization} does not fit on {machine.name} with {workload.concurrency} at once: "
            f"{found.reasons[0]}",
            hint="; ".join(found.ways_out[:2])
            or "another machine, a smaller model, or fewer at once: --concurrency 1",
        )


def write_page(found: Cost, path: Path) -> None:
    """Write the page with the picture. Raises `StorageError` when it cannot be written."""
    from freehold.report.cost_page import render_cost

    with files.writing(str(path), hint="name a file in a folder that exists"), files.shared(path):
        path.write_text(render_cost(found), encoding="utf-8")


def machine_price_of(machine: Machine, stated: MachinePrice) -> Rented | Owned:
    """What a machine costs: as stated, else rental prices of the catalog. Raises `UsageError` when not known."""
    if stated.usd_per_hour is not None:
        return Rented(stated.usd_per_hour)
    if stated.purchase_usd is not None:
        watts = stated.watts
        if watts is None:
            drawn = [device.watts for device in machine.accelerators]
            if not drawn or any(one is None for one in drawn):
                raise UsageError(
                    f"how much power {machine.name} draws is not known", hint="state it: --watts N"
                )
            watts = (
                float(sum(one for one in drawn if one is not None)) * 1.5
            )  # the rest of the machine, cooling
        bought = Range(low=stated.purchase_usd, high=stated.purchase_usd)
        return Owned(bought, watts, stated.usd_per_kwh, stated.life_years)
    ranges = [rentals.usd_per_hour(device.name) for device in machine.accelerators]
    if not ranges or any(found is None for found in ranges):
        raise UsageError(
            f"what {machine.name} costs is not known",
            hint="state it: --usd-per-hour LOW-HIGH for a rented one, --purchase-usd N --watts N for one you own",
        )
    known = [found[0] for found in ranges if found is not None]
    return Rented(
        Range(
            low=sum((one.low for one in known), Decimal(0)), high=sum((one.high for one in known), Decimal(0))
        )
    )


def _sensitivity(priced: PricedTraffic, held: _HostedModel) -> tuple[tuple[str, Advice], ...]:
    """What the advice would be with one assumption changed."""
    traffic, bill = priced.traffic, priced.bill
    rows: list[tuple[str, Advice]] = []
    for label, factor in (("half the traffic", Decimal("0.5")), ("twice the traffic", Decimal(2)),
                          ("ten times the traffic", Decimal(10))):  # fmt: skip
        changed = msgspec.structs.replace(traffic, requests_per_month=traffic.requests_per_month * factor)
        rows.append((label, decision.advice(_scaled(bill, factor), held.cost(changed))))
    for label, times in (("the machine half as fast", 0.5), ("the machine twice as fast", 2.0)):
        other = held._replace(speed=faster(held.speed, times))
        rows.append((label, decision.advice(bill, other.cost(traffic))))
    rows.append(("API prices halved", decision.advice(_scaled(bill, Decimal("0.5")), held.cost(traffic))))
    two = held.cost(traffic, least_machines=2, utilisation=TARGET_UTILISATION)
    assert two.usd_per_machine_month == machine_month(held.price)
    rows.append(("a second machine for safety", decision.advice(bill, two)))
    return tuple(rows)


def _scaled(bill: Bill, factor: Decimal) -> Bill:
    month = Range(low=bill.usd_per_month.low * factor, high=bill.usd_per_month.high * factor)
    return msgspec.structs.replace(bill, usd_per_month=month)


def faster(speed: Speed, factor: float) -> Speed:
    """The speed multiplied by `factor`."""

    def times(pair: tuple[float, float]) -> tuple[float, float]:
        return pair[0] * factor, pair[1] * factor

    return msgspec.structs.replace(
        speed,
        prefill_tokens_per_second=times(speed.prefill_tokens_per_second),
        decode_tokens_per_second=times(speed.decode_tokens_per_second),
        decode_all_tokens_per_second=times(speed.decode_all_tokens_per_second),
    )


def _hosted(name: str, traffic: Traffic) -> tuple[tuple[str, Decimal], ...]:
    model = model_catalog.find(name)
    if model is None:
        return ()
    found = prices.hosted_prices(
        (model.id, *model.aliases),
        prompt_tokens=int(traffic.prompt_tokens),
        completion_tokens=int(traffic.completion_tokens),
    )
    return tuple((who, price * traffic.requests_per_month) for who, price in found)
