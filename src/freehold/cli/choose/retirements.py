"""`freehold retirements`: shutdown dates with days left."""

from __future__ import annotations

import shutil
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.workflows.incumbent.retirements import RetirementNotice


PLATFORMS = (
    "openai", "anthropic", "google", "mistral", "cohere", "groq", "xai", "deepseek", "azure", "vertex", "bedrock",
)  # fmt: skip


@click.command("retirements")
@click.argument("models", nargs=-1)
@click.option(
    "--platform",
    type=click.Choice(PLATFORMS),
    metavar="PLATFORM",  # the choices in one word are wider than a terminal
    help=f"The same id may end on another day elsewhere: {', '.join(PLATFORMS)}.",
)
@click.option(
    "--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Count days from this date (default: today)."
)
@click.option(
    "--ask/--no-ask",
    default=None,
    help="Ask the incumbent's own /v1/models for its dates (default: when its key is in the environment).",
)
@click.option(
    "--fail-within",
    type=click.IntRange(min=0),
    help="Exit with 1 when a shutdown was, or is within this many days (for CI).",
)
@config_option
@json_option("freehold.workflows.incumbent.retirements:RetirementNotice[]")
def command(
    models: tuple[str, ...],
    platform: str | None,
    as_of: datetime | None,
    ask: bool | None,
    fail_within: int | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """When are proprietary models shut down? Fine-tunes and aliases are looked up by what they stand on.

    Without MODELS: the incumbent of freehold.toml, or all shutdowns still to come. Each date has its source and
    the day it was read; stale ones say so. Where the incumbent's key is in the environment its own /v1/models is asked,
    and its dates take precedence over the catalog's.

    \b
    Example:
      freehold retirements gpt-4o ft:gpt-4o-2024-08-06:acme::x
      freehold retirements --fail-within 60
      freehold retirements --ask --json
    """
    from typing import get_args

    from freehold.catalog.retirements import Platform
    from freehold.errors import UpstreamError
    from freehold.workflows.incumbent import retirements as workflow
    from freehold.workflows.project import open_project

    project = open_project(config_path)
    chosen: Platform | None = next((one for one in get_args(Platform) if one == platform), None)
    day: date | None = as_of.date() if as_of else None
    asked = None
    if ask or (ask is None and workflow.can_ask(project)):
        try:
            asked = workflow.ask(project)
        except UpstreamError as error:
            if ask:
                raise
            echo(f"{error.message}: dates are those of the catalog", err=True)
    if not models and project.config.incumbent is not None:
        models = (project.config.incumbent.model,)
    found = workflow.notices(models, as_of=day, platform=chosen, asked=asked)
    if as_json:
        print_json(found)
    else:
        for notice in found:
            _line(notice)
        for model in models:
            if not workflow.notices((model,), as_of=day, platform=chosen, asked=asked):
                echo(_unknown(model, workflow.elsewhere(model, as_of=day)), err=True)
        if not found and not models:
            echo("none", err=True)
    if fail_within is not None and any(notice.fails(fail_within) for notice in found):
        raise SystemExit(1)


def _unknown(model: str, others: list[RetirementNotice]) -> str:
    if not others:
        return hanging(
            "no shutdown date is known here, which does not mean there is none", f"{model}: ", "    "
        )
    dates = ", ".join(f"{one.shutdown} on {one.platform}" for one in others)
    return hanging(
        f"no shutdown date is known there; elsewhere the same model ends {dates}", f"{model}: ", "    "
    )


def _line(notice: RetirementNotice) -> None:
    left, color = "no day", "red" if notice.status == "gone" else "yellow"
    if notice.days_left is not None:
        left = f"in {notice.days_left} days" if notice.days_left >= 0 else f"{-notice.days_left} days ago"
        color = "red" if notice.days_left < 30 else ("yellow" if notice.days_left < 120 else "")
    name = notice.model if notice.asked_as is None else f"{notice.asked_as} ({notice.model})"
    what = {"gone": ", retired", "deprecated": ", deprecated"}.get(notice.status, "")
    then = f" → {notice.replacement}" if notice.replacement else ""
    day = str(notice.shutdown or "").ljust(10)
    text = hanging(f"{notice.platform:<10} {name}{what}{then}", f"{day}  {left:<14} ", " " * 27)
    echo(text[:12] + click.style(text[12:26], fg=color or None) + text[26:])
    for said in _details(notice):
        echo(click.style(hanging(_breakable(said, 12), " " * 12), dim=True))


def _breakable(text: str, indent: int) -> str:
    """The text with an address that is longer than a line of the terminal broken after one of its slashes."""
    width = shutil.get_terminal_size((100_000, 24)).columns - 1 - indent
    return " ".join(
        word
        if len(word) <= width
        else f"{word[: word.rfind('/', 0, width) + 1]} {word[word.rfind('/', 0, width) + 1 :]}"
        for word in text.split(" ")
    )


def _details(notice: RetirementNotice) -> list[str]:
    found = [f"fine-tunes {notice.fine_tunes}"] if notice.fine_tunes else []
    if not notice.counts:
        found.append(
            f"only on {notice.platform}; the id alone means its maker's own API, which --fail-within judges"
        )
    stale = "  STALE: read it again before relying on it" if notice.stale else ""
    as_of = f", as of {notice.as_of}" if notice.as_of is not None and notice.as_of != notice.checked else ""
    return [*found, f"{notice.source}{as_of}, read {notice.checked}{stale}"]
