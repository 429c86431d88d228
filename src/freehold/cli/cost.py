"""`freehold cost`: leave or stay, on cost alone."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from freehold.cli.operation import Reply, arg, opened, operation, opt
from freehold.cli.options import low_high, number
from freehold.cli.output import Block
from freehold.types.cost import Bill, Cost, Range, SelfHost, Traffic

if TYPE_CHECKING:
    from freehold.workflows.project import Project


@operation("cost", "freehold.types.cost:Cost")
def cost(
    model: str | None = arg(),
    *,
    incumbent: str | None = opt("Model paid for today (default: [incumbent] in freehold.toml)."),
    machine: str | None = opt(
        'Machine to hold MODEL on: a file, or words like "H100 SXM" (default: this one).'
    ),
    requests_per_month: Decimal | None = opt("Requests a month, where the traces cannot say.", parse=number),
    prompt_tokens: Decimal | None = opt("Prompt tokens per request (no traces needed then).", parse=number),
    completion_tokens: Decimal | None = opt("Completion tokens per request.", parse=number),
    reasoning_tokens: Decimal | None = opt(
        "Reasoning tokens that MODEL writes before each answer (default: none; 500 if it always reasons).",
        parse=number,
    ),
    usd_per_hour: Range | None = opt("Price of a rented machine, for example 2.5 or 2-3.5.", parse=low_high),
    purchase_usd: Decimal | None = opt(
        "Price of a machine you own; 0: paid for, its power alone.", parse=number
    ),
    watts: float | None = opt("Power an owned machine draws on average."),
    usd_per_kwh: Decimal = opt("Price of power.", default="0.25", parse=number),
    quantization: str | None = opt("Quantization of MODEL, for example Q4_K_M.", "--quant"),
    project: Project = opened(looks=True),
) -> Reply:
    """Weigh the API's bill against holding MODEL: leave, stay, or not decidable, and why.

    Traffic comes from the traces in the store unless it is stated. What is not known is asked for, never
    guessed: the traffic, the incumbent's price, what the machine costs; what is known is told before. Where
    the incumbent is shut down, what its maker names in its place is weighed.

    \b
    Example:
      freehold cost google/gemma-3-27b-it --machine "H100 SXM"
      freehold cost Qwen/Qwen3-8B --incumbent gpt-4o --machine L4 --usd-per-hour 0.6-0.9 \\
          --requests-per-month 2_000_000 --prompt-tokens 800 --completion-tokens 120
    """
    from freehold.workflows.choose.cost import Hosting, MachinePrice
    from freehold.workflows.choose.cost import cost as weighed
    from freehold.workflows.choose.traffic import StatedTraffic

    price = MachinePrice(usd_per_hour, purchase_usd, watts, usd_per_kwh)
    stated = StatedTraffic(requests_per_month, prompt_tokens, completion_tokens)
    hosting = Hosting(model, quantization, machine, price, reasoning_tokens)
    return Reply(weighed(project, hosting, incumbent=incumbent, stated=stated), _view)


def _view(found: Cost) -> Iterator[Block]:
    from freehold.costs.decision import money

    asked, meet = found.traffic, found.break_even_requests_per_month
    yield found.sentence
    yield ""
    yield (
        "traffic",
        f"{asked.requests_per_month:,.0f} requests a month, {asked.prompt_tokens:,.0f} prompt "
        f"({_parts(asked)}) and {asked.completion_tokens:,.0f} completion tokens each",
    )
    for name, bill in (("bill", found.bill), ("replacement", found.replacement)):
        if bill is not None:
            yield name, f"{money(bill.usd_per_month)} a month for {bill.model}{_dated('prices', bill)}"
    low, high = found.self_host.machines
    count = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    held = f"{money(found.self_host.usd_per_month)} a month, {count} × {found.self_host.machine}"
    yield "holding", held + _dated("rent", found.self_host)
    yield "break-even", _requests(meet, found)
    for who, usd in found.hosted_open[:3]:
        yield "hosted open", f"{who}: {money(Range(low=usd, high=usd))} a month for {found.self_host.model}"
    for advice, cases in _by_advice(found):
        yield "would be", f"{advice:<10} with {cases}"
    yield from (f"  · {reason}" for reason in found.reasons)


def _dated(what: str, priced: Bill | SelfHost) -> str:
    """The day of a price that was looked up, and a mark where that is long ago."""
    if priced.prices_of is None:
        return ""
    old = any(note.startswith("old prices") for note in priced.notes)
    return f" ({what} of {priced.prices_of}{', old' if old else ''})"


def _parts(asked: Traffic) -> str:
    written = f", {asked.cache_write_tokens:,.0f} written to the cache" if asked.cache_write_tokens else ""
    sound = f", {asked.audio_tokens:,.0f} of sound" if asked.audio_tokens else ""
    return f"{asked.cached_prompt_tokens:,.0f} cached{written}{sound}"


def _by_advice(found: Cost) -> list[tuple[str, str]]:
    """Advice, and the cases in which it would be given; what it is now goes first."""
    cases: dict[str, list[str]] = {found.advice: []} if found.sensitivity else {}
    for what, advice in found.sensitivity:
        cases.setdefault(advice, []).append(what)
    return [(advice, ", ".join(named)) for advice, named in cases.items() if named]


def _requests(meet: Range, found: Cost) -> str:
    from freehold.costs.decision import about

    if not meet.low.is_finite() and found.bill.usd_per_request.high <= 0:
        return "never: a request costs nothing there"
    if not meet.low.is_finite():
        return "never: this machine serves too few requests for its price"
    if not meet.high.is_finite():
        return f"from {about(meet.low)} requests a month in the best case, never in the worst"
    ends = dict.fromkeys(about(end) for end in (meet.low, meet.high))
    return f"{' to '.join(ends)} requests a month"
