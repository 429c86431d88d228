"""`freehold cost`: leave or stay, as far as money goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from freehold.cli.amounts import low_high, number
from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.errors import UsageError
from freehold.types.cost import Bill, Cost, Range, SelfHost, Traffic


@click.command("cost")
@click.argument("model", required=False)
@click.option("--incumbent", help="Model paid for today (default: [incumbent] in freehold.toml).")
@click.option(
    "--machine", help='Machine to hold MODEL on: a file, or words like "H100 SXM" (default: this one).'
)
@click.option("--requests-per-month", type=number, help="Requests a month, where the traces cannot say.")
@click.option("--prompt-tokens", type=number, help="Prompt tokens per request (no traces needed then).")
@click.option("--completion-tokens", type=number, help="Completion tokens per request.")
@click.option("--usd-per-hour", type=low_high, help="Price of a rented machine, for example 2.5 or 2-3.5.")
@click.option("--purchase-usd", type=number, help="Price of a machine you own; 0: paid for, its power alone.")
@click.option("--watts", type=float, help="Power an owned machine draws on average.")
@click.option("--usd-per-kwh", type=number, default="0.25", show_default=True, help="Price of power.")
@click.option("--quant", "quantization", help="Quantization of MODEL, for example Q4_K_M.")
@config_option
@json_option("freehold.types.cost:Cost")
def command(config_path: Path | None, as_json: bool, **asked: Any) -> None:
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
    from freehold.workflows.choose.cost import Hosting, MachinePrice, weigh
    from freehold.workflows.choose.traffic import StatedTraffic, price_traffic
    from freehold.workflows.project import open_project

    project = open_project(config_path, looks=True)
    price = MachinePrice(asked["usd_per_hour"], asked["purchase_usd"], asked["watts"], asked["usd_per_kwh"])
    hosting = Hosting(asked["model"], asked["quantization"], asked["machine"], price)
    stated = StatedTraffic(asked["requests_per_month"], asked["prompt_tokens"], asked["completion_tokens"])
    priced = price_traffic(project, asked["incumbent"], stated)
    try:
        found = weigh(project, priced, hosting)
    except UsageError:
        if not as_json:
            echo(hanging(priced.sentence, ""))
        raise
    if as_json:
        print_json(found)
    else:
        _show(found)


def _show(found: Cost) -> None:
    from freehold.costs.decision import money

    asked, meet = found.traffic, found.break_even_requests_per_month
    echo(hanging(found.sentence, ""))
    echo()
    said = (
        f"{asked.requests_per_month:,.0f} requests a month, {asked.prompt_tokens:,.0f} prompt "
        f"({_parts(asked)}) and {asked.completion_tokens:,.0f} completion tokens each"
    )
    echo(hanging(said, "  traffic      "))
    dated = _dated("prices", found.bill)
    echo(
        hanging(f"{money(found.bill.usd_per_month)} a month for {found.bill.model}{dated}", "  bill         ")
    )
    if found.replacement is not None:
        named = f"{money(found.replacement.usd_per_month)} a month for {found.replacement.model}"
        echo(hanging(named + _dated("prices", found.replacement), "  replacement  "))
    low, high = found.self_host.machines
    count = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    held = f"{money(found.self_host.usd_per_month)} a month, {count} × {found.self_host.machine}"
    dated = _dated("rent", found.self_host)
    echo(hanging(held + dated, "  holding      "))
    echo(f"  break-even   {_requests(meet, found)}")
    for who, usd in found.hosted_open[:3]:
        said = f"{who}: {money(Range(low=usd, high=usd))} a month for {found.self_host.model}"
        echo(hanging(said, "  hosted open  "))
    for at, (advice, cases) in enumerate(_by_advice(found)):
        first = f"  {'' if at else 'would be':<13}{advice:<10} with "
        echo(hanging(cases, first))
    for reason in found.reasons:
        echo(hanging(reason, "  · "))


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
    if not meet.low.is_finite() and found.bill.usd_per_request.high <= 0:
        return "never: a request costs nothing there"
    if not meet.low.is_finite():
        return "never: this machine serves too few requests for its price"
    if not meet.high.is_finite():
        return f"from {meet.low:,.0f} requests a month at best, never at worst"
    ends = dict.fromkeys(f"{end:,.0f}" for end in (meet.low, meet.high))
    return f"{' to '.join(ends)} requests a month"
