"""`freehold rescue`: a fine-tuned GPT stops on a date."""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from freehold.cli.amounts import budget
from freehold.cli.options import address, agree, json_option, print_json, variable_name
from freehold.cli.output import echo
from freehold.errors import UsageError


def _above_0(_ctx: click.Context, _param: click.Parameter, amount: Decimal | None) -> Decimal | None:
    if amount == 0:
        raise click.BadParameter("nothing can be asked for 0 dollars")
    return amount


@click.command("rescue")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--model", help="The fine-tuned model: ft:gpt-4o-mini-2024-07-18:acme::abc123.")
@click.option(
    "--api-key-env",
    callback=variable_name,
    help="Environment variable with the API key. Without it no API is asked.",
)
@click.option(
    "--base-url",
    callback=address,
    default="https://api.openai.com/v1",
    show_default=True,
    help="The API's address.",
)
@click.option("--list", "only_list", is_flag=True, help="Only list fine-tuned models and their dates.")
@click.option(
    "--held-out",
    type=click.Path(path_type=Path),
    help="A file the fine-tune has not seen, kept for the proof.",
)
@click.option(
    "--budget-usd",
    metavar="USD",
    type=budget,
    callback=_above_0,
    help="Spend at most this much; fewer samples are asked then.",
)
@click.option("--yes", is_flag=True, help="Do not ask before paid requests are sent.")
@click.option(
    "--prepare", is_flag=True, help="Stop before anything is asked or trained; look at freehold.toml."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("freehold-rescue"),
    show_default=True,
    help="Folder the project is made in.",
)
@json_option(
    "freehold.cli.printed:Migrated",
    list="freehold.workflows.incumbent.fine_tunes:FineTune[]",
    prepared="freehold.workflows.journey.rescue:Rescue",
)
def command(only_list: bool, yes: bool, prepare: bool, as_json: bool, **asked: Any) -> None:
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
    from freehold.cli.progress import progress
    from freehold.workflows.journey import rescue as workflow
    from freehold.workflows.journey.rescue import RescueRequest

    if only_list:
        _list(asked["base_url"], asked["api_key_env"], as_json=as_json)
        return
    request = RescueRequest(**asked)
    with progress() as bar:
        project, ready = workflow.begin(request, progress=bar)
    _tell(ready)
    if prepare:
        if as_json:
            print_json(ready, "prepared")
        else:
            echo(f"ready: {ready.config_path}; run the same command without --prepare", err=True)
        return
    if ready.preflight.failed:
        from freehold.workflows.prove.preflight import PreflightError

        raise PreflightError(ready.preflight)  # before anything is paid for
    # --budget-usd is consent as long as the price is known to be under it, which `begin` has checked.
    agreed = yes or (
        request.budget_usd is not None and ready.asking is not None and ready.asking.cost_usd is not None
    )
    if ready.asking is not None and not agreed:
        if not sys.stdin.isatty():
            raise UsageError("paid requests need your consent", hint="give --yes, or --budget-usd USD")
        agree("Send these requests?")
    from freehold.cli.journey.migrate import run

    with progress() as bar:
        workflow.freeze_answers(project, ready, budget_usd=request.budget_usd, progress=bar)
    migration = run(project, fresh=False, serve=False, as_json=as_json, journey=workflow.finish)
    sys.exit(migration.exit_code)


def _list(base_url: str, api_key_env: str | None, *, as_json: bool) -> None:
    from freehold.workflows.incumbent.fine_tunes import Account
    from freehold.workflows.journey.rescue import describe

    if api_key_env is None:
        raise UsageError(
            "an account is needed to list its fine-tuned models", hint="--api-key-env OPENAI_API_KEY"
        )
    found = Account(base_url, api_key_env).fine_tunes()
    if as_json:
        print_json(found, "list")
        return
    for one in found:
        echo(describe(one))
        if one.source:
            echo(click.style(f"    {one.source}", dim=True))
    if not found:
        echo("the account lists no fine-tuned model", err=True)


def _tell(ready: Any) -> None:
    """What is about to happen, before it does."""
    from freehold.workflows.journey.rescue import dollars

    def say(text: str) -> None:
        echo(text, err=True)

    say(f"\n{click.style(ready.model, bold=True)}")
    if ready.shutdown is not None:
        left = f"in {ready.days_left} days" if ready.days_left >= 0 else f"{-ready.days_left} days ago"
        say(f"  stops      {ready.shutdown}, {left}")
    else:
        say("  stops      no date is known here, which does not mean there is none")
    counts = ready.samples
    say(
        f"  samples    {counts['train']:,} to learn from, {counts['validation']:,} to watch, "
        f"{counts['held_out']:,} held out for the proof; scored by {ready.scorer}"
    )
    say(f"  candidates {', '.join(ready.candidates)}")
    asking = ready.asking
    if asking is None:
        say(f"  freezing   nothing: {ready.why_not_asked}")
    else:
        cost = (
            "at a price that is not known here"
            if asking.cost_usd is None
            else f"about {dollars(asking.cost_usd)}"
        )
        say(
            f"  freezing   {asking.requests:,} requests, about {asking.prompt_tokens:,} tokens in and "
            f"{asking.completion_tokens:,} out, {cost}"
        )
    doubted = ready.preflight.doubted
    if doubted:
        from freehold.cli.options import show_findings

        say("")
        show_findings(doubted, err=True)
    say("")
