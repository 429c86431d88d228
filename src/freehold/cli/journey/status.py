"""`freehold status`: where am I, and what next?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, hanging, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.journey import JourneyState

WORDS = {"done": "done", "now": "NOW", "later": "-", "stale": "STALE", "failed": "FAILED"}
COLOURS = {"done": "green", "now": "cyan", "stale": "yellow", "failed": "red"}


@click.command("status")
@config_option
@json_option("freehold.types.journey:JourneyState")
def command(config_path: Path | None, as_json: bool) -> None:
    """Where the project is on its way, and what to do next, with the command that does it.

    Looks at freehold.toml, the store and the gateway of this machine, and changes nothing. Works in an empty folder.
    The report and the console tell the same next step.
    Exit code: 0, or 2 where freehold.toml or the store cannot be read.

    \b
    Examples:
      freehold status
      freehold status --config /srv/app/freehold.toml
      freehold status --json | jq -r .next.command
    """
    from freehold.workflows.tell.project_facts import journey_of

    state = journey_of(config_path, at=now())
    if as_json:
        print_json(state)
    else:
        show_state(state)
    if state.stage == "broken":
        sys.exit(2)


def show_state(state: JourneyState) -> None:
    """Print a state for people."""
    for line in state.incidents:
        echo(click.style(hanging(line, "ALARM  "), fg="red", bold=True))
    name = click.style(state.app, bold=True)
    leaves = "" if state.incumbent is None else f", which leaves {state.incumbent}"
    echo(f"{name}{leaves}")
    echo(hanging(state.sentence, "where  "))
    if state.rented is not None and state.rented not in state.warnings:
        echo(hanging(state.rented, "money  "))
    for line in state.warnings:
        if not any(one.startswith(line) for one in state.incidents):
            echo(hanging(line, "note   "))
    echo(hanging(state.next.sentence, "next   "))
    echo(f"       {click.style(state.next.command, bold=True)}")
    if state.next.why:
        echo(hanging(f"because {state.next.why}", "       "))
    if state.steps:
        echo()
    width = max((len(step.title) for step in state.steps), default=0)
    for step in state.steps:
        word = click.style(WORDS[step.state].ljust(6), fg=COLOURS.get(step.state))
        when = "" if step.at is None else f", {step.at:%Y-%m-%d}"
        echo(hanging(f"{step.detail}{when}", f"  {word}  {step.title.ljust(width)}  "))
    for one in state.evidence:
        age = "age not known" if one.days is None else f"{one.days} days old"
        holds = "holds" if one.max_age_days is None else f"holds for {one.max_age_days:g}"
        said = "; ".join(one.stale) or holds
        echo(hanging(said, f"  {one.gate}: {age}, "))
    if state.next.others:
        echo("\nor")
    for other in state.next.others:
        echo(hanging(other.sentence, "  "))
        echo(f"    {other.command}")
