"""`freehold rescue`: a fine-tuned GPT stops on a date."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.migrate import run
from freehold.cli.operation import Reply, arg, operation, opt
from freehold.cli.options import address, agree, budget, variable_name
from freehold.cli.output import Aside, Block, findings_view, show
from freehold.cli.progress import progress
from freehold.errors import UsageError

if TYPE_CHECKING:
    from freehold.workflows.incumbent.retirements import FineTune
    from freehold.workflows.journey.rescue import Rescue


def _above_0(amount: Decimal) -> Decimal:
    if amount == 0:
        raise click.BadParameter("nothing can be asked for 0 dollars")
    return amount


@operation(
    "rescue",
    "freehold.cli.printed:Migrated",
    list="freehold.workflows.incumbent.retirements:FineTune[]",
    prepared="freehold.workflows.journey.rescue:Rescue",
)
def rescue(
    file: Path | None = arg(),
    *,
    model: str | None = opt("The fine-tuned model: ft:gpt-4o-mini-2024-07-18:acme::abc123."),
    api_key_env: str | None = opt(
        "Environment variable with the API key. Without it no API is asked.", check=variable_name
    ),
    base_url: str = opt("The API's address.", default="https://api.openai.com/v1", check=address),
    only_list: bool = opt("Only list fine-tuned models and their dates.", "--list"),
    held_out: Path | None = opt("A file the fine-tune has not seen, kept for the proof."),
    budget_usd: Decimal | None = opt(
        "Spend at most this much; fewer samples are asked then.", parse=budget, check=_above_0, metavar="USD"
    ),
    yes: bool = opt("Do not ask before paid requests are sent."),
    prepare: bool = opt("Stop before anything is asked or trained; look at freehold.toml."),
    folder: Path = opt("Folder the project is made in.", "--dir", Path("freehold-rescue"), file_okay=False),
) -> Reply:
    """My fine-tuned GPT stops on a date: train a model of my own on the same file, and prove it.

    FILE is the fine-tuning file (OpenAI's JSON lines). With --api-key-env the account's fine-tunes and their dates
    are listed, FILE may be left out (it is fetched), and the fine-tune's answers to held-out samples are frozen to
    compare with; what that costs is said first. A freehold.toml is written, then everything freehold migrate does is
    done. Stopped, the same command goes on. Exit code: 0 promote, 1 reject, 3 hold, 2 when something went wrong.

    \b
    Example:
      freehold rescue --list --api-key-env OPENAI_API_KEY
      freehold rescue training.jsonl
      freehold rescue training.jsonl --model ft:gpt-4o-mini-2024-07-18:acme::abc123 \\
          --api-key-env OPENAI_API_KEY --budget-usd 5
    """
    from freehold.workflows.journey import rescue as workflow
    from freehold.workflows.journey.rescue import RescueRequest

    if only_list:
        from freehold.workflows.incumbent.retirements import Account

        if api_key_env is None:
            raise UsageError(
                "an account is needed to list its fine-tuned models", hint="--api-key-env OPENAI_API_KEY"
            )
        return Reply(Account(base_url, api_key_env).fine_tunes(), _fine_tunes_view, which="list")
    request = RescueRequest(
        folder,
        file,
        model=model,
        api_key_env=api_key_env,
        base_url=base_url,
        held_out=held_out,
        budget_usd=budget_usd,
    )
    with progress() as bar:
        project, ready = workflow.begin(request, progress=bar)
    show(map(Aside, _ready(ready)))
    if prepare:
        said = f"ready: {ready.config_path}; run the same command without --prepare"
        return Reply(ready, lambda _: [Aside(said)], which="prepared")
    if ready.preflight.failed:
        from freehold.workflows.prove.preflight import PreflightError

        raise PreflightError(ready.preflight)  # before anything is paid for
    # --budget-usd is consent as long as the price is known to be under it, which `begin` has checked.
    agreed = yes or (
        budget_usd is not None and ready.asking is not None and ready.asking.cost_usd is not None
    )
    if ready.asking is not None and not agreed:
        if not sys.stdin.isatty():
            raise UsageError("paid requests need your consent", hint="give --yes, or --budget-usd USD")
        agree("Send these requests?")
    with progress() as bar:
        workflow.freeze_answers(project, ready, budget_usd=budget_usd, progress=bar)
        return run(project, bar, serve=False, journey=workflow.finish)


def _fine_tunes_view(found: Sequence[FineTune]) -> Iterator[Block]:
    from freehold.workflows.journey.rescue import describe

    for one in found:
        yield describe(one)
        if one.source:
            yield click.style(f"    {one.source}", dim=True)
    if not found:
        yield Aside("the account lists no fine-tuned model")


def _ready(ready: Rescue) -> Iterator[str]:
    """What is about to happen, before it does."""
    from freehold.costs.decision import usd_text

    yield f"\n{click.style(ready.model, bold=True)}"
    left = "no date is known here, which does not mean there is none"
    if ready.shutdown is not None and ready.days_left is not None:
        days = ready.days_left
        left = f"{ready.shutdown}, " + (f"in {days} days" if days >= 0 else f"{-days} days ago")
    yield f"  stops      {left}"
    counts = ready.samples
    yield (
        f"  samples    {counts['train']:,} to learn from, {counts['validation']:,} to watch, "
        f"{counts['held_out']:,} held out for the proof; scored by {ready.scorer}"
    )
    yield f"  candidates {', '.join(ready.candidates)}"
    asking = ready.asking
    if asking is None:
        yield f"  freezing   nothing: {ready.why_not_asked}"
    else:
        cost = "at a price that is not known here"
        if asking.cost_usd is not None:
            cost = f"about {usd_text(asking.cost_usd)}"
        yield (
            f"  freezing   {asking.requests:,} requests, about {asking.prompt_tokens:,} tokens in and "
            f"{asking.completion_tokens:,} out, {cost}"
        )
    if ready.preflight.doubted:
        yield ""
        yield from findings_view(ready.preflight.doubted)
    yield ""
