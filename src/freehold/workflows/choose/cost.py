"""`freehold cost`: the incumbent's bill, what holding a model costs, where they meet, and a plain sentence."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from freehold import __version__, files
from freehold.catalog import models as model_catalog
from freehold.catalog import rentals
from freehold.costs import decision, prices, traffic
from freehold.costs import self_host as holding
from freehold.costs.prices import TokenPrice
from freehold.costs.self_host import TARGET_UTILISATION, Owned, Rented, machine_month
from freehold.errors import UsageError
from freehold.hardware.speed import estimate
from freehold.store import open_store
from freehold.types.cost import Advice, Bill, Cost, Range, SelfHost, Traffic
from freehold.types.machine import Machine, Speed, Workload
from freehold.types.record import content_id
from freehold.types.trace import Trace
from freehold.workflows.fit.fit import fit_sized
from freehold.workflows.fit.machine import engine_build, find_machine
from freehold.workflows.fit.sizes import Sized, size_model
from freehold.workflows.fit.speeds import measured
from freehold.workflows.project import Project

PRICED_TRACES = 20_000
"""Traces priced one by one; of more, this many evenly spread ones are."""


class StatedTraffic(NamedTuple):
    """Numbers given on the command line; None is unknown. Without token counts the traces are used."""

    requests_per_month: Decimal | None = None
    prompt_tokens: Decimal | None = None
    completion_tokens: Decimal | None = None
    cached_prompt_tokens: Decimal = Decimal(0)
    peak_factor: float | None = None
    reasoning_tokens: Decimal = Decimal(0)
    batch_share: float = 0.0


class MachinePrice(NamedTuple):
    """What a machine costs; all None: rental prices of the catalog are looked up."""

    usd_per_hour: Range | None = None
    purchase_usd: Decimal | None = None
    watts: float | None = None
    usd_per_kwh: Decimal = Decimal("0.25")
    life_years: Decimal = Decimal(4)


NOTHING_STATED = StatedTraffic()
LOOKED_UP = MachinePrice()


def cost(
    project: Project,
    *,
    incumbent: str | None = None,
    model: str | None = None,
    machine: str | None = None,
    stated: StatedTraffic = NOTHING_STATED,
    machine_price: MachinePrice = LOOKED_UP,
    flat: TokenPrice | None = None,
    quantization: str | None = None,
    concurrency: int = 8,
    speed: Speed | None = None,
) -> Cost:
    """Weigh the incumbent's bill against holding `model` on `machine` (default: this one).

    Traffic is taken from the project's traces unless it is stated. Raises `UsageError` for what is not known
    and may not be guessed: no traffic, no price of the incumbent, no price or speed of the machine.
    """
    paid = incumbent or (project.config.incumbent.model if project.config.incumbent else None)
    if paid is None:
        raise UsageError(
            "which model is paid for today?", hint="--incumbent gpt-4o, or [incumbent] in freehold.toml"
        )
    wanted = model or project.config.candidates.models[0]
    asked, bill, sources = bill_of(project, paid, stated, flat)
    box = find_machine(machine, project.settings, measure=machine is None)
    sized = size_model(wanted, settings=project.settings, quantization=quantization)
    tokens = int(asked.prompt_tokens + asked.completion_tokens) + 1
    runs = speed or (measured(project, sized.name, sized.quantization) if machine is None else None)
    if runs is None:
        _require_fit(sized, Workload(context_tokens=tokens, concurrency=concurrency), box, project)
    runs = runs or estimate(
        sized.shape,
        sized.bytes,
        Workload(context_tokens=tokens, concurrency=concurrency),
        box,
        build=engine_build(project.settings),
    )
    if runs is None:
        raise UsageError(
            f"how fast {box.name} is, is not known",
            hint="give its bandwidth in a machine file, or measure: freehold bench-model",
        )
    price = machine_price_of(box, machine_price)
    held = holding.self_host(sized.name, box.name, asked, runs, price)
    made = decision.decide(
        asked,
        bill,
        held,
        sensitivity=_sensitivity(bill, held, sized.name, box.name, asked, runs, price),
        hosted_open=_hosted(sized.name, asked),
        made_from=sources,
        version=__version__,
    )
    return msgspec.structs.replace(made, id=content_id(made))


def _require_fit(sized: Sized, workload: Workload, box: Machine, project: Project) -> None:
    """Raise `UsageError` when the model cannot run on the machine, or not such requests: there is nothing to price."""
    if workload.context_tokens > sized.shape.context_tokens:
        raise UsageError(
            f"{sized.name} was made for {sized.shape.context_tokens:,} tokens of context, a request of this traffic "
            f"takes {workload.context_tokens:,}",
            hint="weigh a model with a longer context: freehold assess",
        )
    found = fit_sized(sized, workload=workload, machine=box, settings=project.settings)
    if not found.fits:
        raise UsageError(
            f"{sized.name} {sized.quantization} does not fit on {box.name} with {workload.concurrency} at once: "
            f"{found.reasons[0]}",
            hint="; ".join(found.ways_out[:2])
            or "another machine, a smaller model, or fewer at once: --concurrency 1",
        )


def bill_of(
    project: Project, paid: str, stated: StatedTraffic, flat: TokenPrice | None
) -> tuple[Traffic, Bill, tuple[str, ...]]:
    """The traffic, what `paid` costs for it, and what that was made from.

    Raises `UsageError` for no traffic and no known price, `MissingExtraError` without the price list.
    """
    asked, per_request, basis, sources = _traffic(project, paid, stated, flat)
    month = per_request * asked.requests_per_month
    bill = Bill(
        model=paid,
        usd_per_request=Range(low=per_request, high=per_request),
        usd_per_month=Range(low=month, high=month),
        basis=basis,
    )
    return asked, bill, sources


def write_page(found: Cost, path: Path) -> None:
    """Write the page with the picture. Raises `StorageError` when it cannot be written."""
    from freehold.report.cost_page import render_cost

    with files.writing(str(path), hint="name a file in a folder that exists"):
        path.write_text(render_cost(found), encoding="utf-8")


def _traffic(
    project: Project, paid: str, stated: StatedTraffic, flat: TokenPrice | None
) -> tuple[Traffic, Decimal, str, tuple[str, ...]]:
    """Traffic, dollars per request, how the price came about, and what it was made from."""
    if stated.prompt_tokens is not None or stated.completion_tokens is not None:
        if None in (stated.prompt_tokens, stated.completion_tokens, stated.requests_per_month):
            raise UsageError(
                "traffic is stated in part",
                hint="state all: --requests-per-month, --prompt-tokens, --completion-tokens",
            )
        asked = traffic.stated(
            requests_per_month=stated.requests_per_month or Decimal(0),
            prompt_tokens=stated.prompt_tokens or Decimal(0),
            completion_tokens=stated.completion_tokens or Decimal(0),
            cached_prompt_tokens=stated.cached_prompt_tokens,
            reasoning_tokens=stated.reasoning_tokens,
            batch_share=stated.batch_share,
            peak_factor=traffic.DEFAULT_PEAK if stated.peak_factor is None else stated.peak_factor,
        )
        price = prices.request_price(
            paid,
            prompt_tokens=int(asked.prompt_tokens),
            completion_tokens=int(asked.completion_tokens),
            cached_prompt_tokens=int(asked.cached_prompt_tokens),
            flat=flat,
        )
        return asked, prices.with_batches(price, asked.batch_share), _price_basis(flat), ()
    with open_store(project.store_url) as store:
        found = [trace for trace in store.traces() if trace.parent_id is None]
    asked = traffic.from_requests(map(_request, found), requests_per_month=stated.requests_per_month)
    if not 0 <= stated.batch_share <= 1:
        raise UsageError(f"a share of {stated.batch_share} in batches makes no sense, expected 0 to 1")
    asked = msgspec.structs.replace(asked, batch_share=stated.batch_share)
    if stated.peak_factor is not None:
        traffic.check_peak(stated.peak_factor)
        asked = msgspec.structs.replace(asked, peak_factor=stated.peak_factor)
    step = max(1, -(-len(found) // PRICED_TRACES))
    priced = list(islice(found, 0, None, step))
    total = Decimal(0)
    for trace in priced:
        request = _request(trace)
        prompt, completion, _ = request.tokens()
        total += prices.request_price(
            paid,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cached_prompt_tokens=min(request.cached_prompt_tokens, prompt),
            flat=flat,
        )
    basis = f"{_price_basis(flat)}, {len(priced):,} of {len(found):,} traces priced one by one"
    basis += _others(found, paid)
    each = prices.with_batches(total / len(priced), asked.batch_share)
    return asked, each, basis, (f"traces:{content_id([trace.id for trace in found])}",)


def _others(traces: list[Trace], paid: str) -> str:
    """What to know when the traces were not all of the model paid for: a snapshot and its alias count as one."""
    wanted = _without_snapshot(paid)
    counts = Counter(
        trace.model for trace in traces if trace.model and _without_snapshot(trace.model) != wanted
    )
    if not counts:
        return ""
    named = ", ".join(f"{model} {count:,}" for model, count in counts.most_common(3))
    return f"; {counts.total():,} of them were of other models ({named}) and are priced as {paid}"


def _without_snapshot(model: str) -> str:
    """``openai/gpt-4o-2024-08-06`` → ``gpt-4o``; ``gpt-4o-mini`` stays itself."""
    return re.sub(r"-(?:\d{4}-\d\d-\d\d|\d{8}|\d{4}|latest)$", "", model.rpartition("/")[2].lower())


def _price_basis(flat: TokenPrice | None) -> str:
    if flat is not None:
        return "prices as stated"
    from importlib.metadata import version

    return f"prices of genai-prices {version('genai-prices')}"


def _request(trace: Trace) -> traffic.LoggedRequest:
    usage = trace.usage
    return traffic.LoggedRequest(
        at=trace.at,
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        cached_prompt_tokens=(usage.cached_prompt_tokens if usage else None) or 0,
        prompt_characters=_characters(trace.request.get("messages")),
        completion_characters=_characters((trace.response or {}).get("choices")),
        reasoning_tokens=_reasoning(trace),
    )


def _reasoning(trace: Trace) -> int:
    """Tokens of hidden reasoning, as OpenAI's usage has them (chat and responses)."""
    usage = (trace.response or {}).get("usage")
    for name in ("completion_tokens_details", "output_tokens_details"):
        details = usage.get(name) if isinstance(usage, dict) else None
        found = details.get("reasoning_tokens") if isinstance(details, dict) else None
        if isinstance(found, int) and found > 0:
            most = trace.usage.completion_tokens if trace.usage else None
            return min(found, most) if most is not None else found
    return 0


def _characters(value: Any) -> int:
    """Characters of all text inside messages or choices."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return sum(map(_characters, value))
    if isinstance(value, dict):
        return sum(
            _characters(value.get(key)) for key in ("content", "text", "message", "tool_calls", "arguments")
        )
    return 0


def machine_price_of(box: Machine, stated: MachinePrice) -> Rented | Owned:
    """What a machine costs: as stated, else rental prices of the catalog. Raises `UsageError` when not known."""
    if stated.usd_per_hour is not None:
        return Rented(stated.usd_per_hour)
    if stated.purchase_usd is not None:
        watts = stated.watts
        if watts is None:
            drawn = [device.watts for device in box.accelerators]
            if not drawn or any(one is None for one in drawn):
                raise UsageError(f"how much power {box.name} draws is not known", hint="state it: --watts N")
            watts = (
                float(sum(one for one in drawn if one is not None)) * 1.5
            )  # the rest of the machine, cooling
        bought = Range(low=stated.purchase_usd, high=stated.purchase_usd)
        return Owned(bought, watts, stated.usd_per_kwh, stated.life_years)
    ranges = [rentals.usd_per_hour(device.name) for device in box.accelerators]
    if not ranges or any(found is None for found in ranges):
        raise UsageError(
            f"what {box.name} costs is not known",
            hint="state it: --usd-per-hour LOW-HIGH for a rented one, --purchase-usd N --watts N for one you own",
        )
    known = [found[0] for found in ranges if found is not None]
    return Rented(
        Range(
            low=sum((one.low for one in known), Decimal(0)), high=sum((one.high for one in known), Decimal(0))
        )
    )


def _sensitivity(
    bill: Bill, held: SelfHost, model: str, box: str, asked: Traffic, runs: Speed, price: Rented | Owned
) -> tuple[tuple[str, Advice], ...]:
    """What the advice would be with one assumption changed."""
    found: list[tuple[str, Advice]] = []
    for label, factor in (("half the traffic", Decimal("0.5")), ("twice the traffic", Decimal(2)),
                          ("ten times the traffic", Decimal(10))):  # fmt: skip
        changed = msgspec.structs.replace(asked, requests_per_month=asked.requests_per_month * factor)
        scaled = Range(low=bill.usd_per_month.low * factor, high=bill.usd_per_month.high * factor)
        other = holding.self_host(model, box, changed, runs, price)
        found.append((label, decision.advice(msgspec.structs.replace(bill, usd_per_month=scaled), other)))
    halved = Range(low=bill.usd_per_month.low / 2, high=bill.usd_per_month.high / 2)
    for label, times in (("the machine half as fast", 0.5), ("the machine twice as fast", 2.0)):
        other = holding.self_host(model, box, asked, faster(runs, times), price)
        found.append((label, decision.advice(bill, other)))
    found.append(
        ("API prices halved", decision.advice(msgspec.structs.replace(bill, usd_per_month=halved), held))
    )
    month = machine_month(price)
    two = holding.self_host(model, box, asked, runs, price, least_machines=2, utilisation=TARGET_UTILISATION)
    assert two.usd_per_machine_month == month
    found.append(("a second machine for safety", decision.advice(bill, two)))
    return tuple(found)


def faster(speed: Speed, factor: float) -> Speed:
    """The same speed, so many times over."""

    def times(pair: tuple[float, float]) -> tuple[float, float]:
        return pair[0] * factor, pair[1] * factor

    return msgspec.structs.replace(
        speed,
        prefill_tokens_per_second=times(speed.prefill_tokens_per_second),
        decode_tokens_per_second=times(speed.decode_tokens_per_second),
        decode_all_tokens_per_second=times(speed.decode_all_tokens_per_second),
    )


def _hosted(name: str, asked: Traffic) -> tuple[tuple[str, Decimal], ...]:
    model = model_catalog.find(name)
    if model is None:
        return ()
    found = prices.hosted_prices(
        (model.id, *model.aliases),
        prompt_tokens=int(asked.prompt_tokens),
        completion_tokens=int(asked.completion_tokens),
    )
    return tuple((who, price * asked.requests_per_month) for who, price in found)
