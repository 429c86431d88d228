"""`freehold doctor`: what is wrong here, and the way out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, hanging, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.workflows.doctor.examine import Diagnosis

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command("doctor")
@click.option("--problems", is_flag=True, help="Show only what is not ok.")
@config_option
@json_option
def command(config_path: Path | None, problems: bool, as_json: bool) -> None:
    """Look for what is wrong here, or soon will be; each finding has a way out.

    Looks at the machine, disks, clock, versions and engines; at the project's configuration, keys, port and facts;
    at its store, who may read its files, and what ended processes left. Changes nothing, and works without a
    project, with a broken freehold.toml, and on a store that is locked or damaged.
    Exit code, for monitors: 0 all is well, 1 something to do before long, 2 something is wrong now.

    \b
    Examples:
      freehold doctor
      freehold doctor --problems
      freehold doctor --config /srv/app/freehold.toml --json
    """
    from freehold.workflows.doctor.examine import diagnose, site_of

    diagnosis = diagnose(site_of(config_path, now=now()))
    if as_json:
        print_json(diagnosis)
    else:
        _show(diagnosis, only_problems=problems)
    sys.exit(diagnosis.exit_code)


def _show(diagnosis: Diagnosis, *, only_problems: bool) -> None:
    counts = dict.fromkeys(_COLOURS, 0)
    for part, findings in diagnosis.parts.items():
        shown = [one for one in findings if one.outcome != "ok" or not only_problems]
        if shown:
            echo(click.style(part, bold=True))
        for one in findings:
            counts[one.outcome] += 1
        for one in shown:
            mark = click.style(f"{one.outcome:<4}", fg=_COLOURS[one.outcome], bold=one.outcome != "ok")
            text = hanging(_plain(one.text), f"  xxxx  {one.check:<14} ")
            echo(text.replace("xxxx", mark, 1))
            if one.fix:
                echo(click.style(hanging(_plain(one.fix), f"{'':<23}→ "), fg="cyan"))
    line = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    echo(f"\n{line}")


def _plain(text: str) -> str:
    """Text that cannot steer the terminal: names of files, keys and models are what others made them."""
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
