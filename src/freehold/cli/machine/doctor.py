"""`freehold doctor`: what is wrong here, and the way out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.findings import COLOURS, show_findings
from freehold.cli.options import config_option, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.workflows.doctor.examine import Diagnosis


@click.command("doctor")
@config_option
@json_option("freehold.workflows.doctor.examine:Diagnosis")
def command(config_path: Path | None, as_json: bool) -> None:
    """Look for what is wrong here, or soon will be; each finding has a way out.

    Looks at the machine, disks, clock, versions and engines; at the project's configuration, keys, port and facts;
    at its store, who may read its files, and what ended processes left. Changes nothing, and works without a
    project, with a broken freehold.toml, and on a store that is locked or damaged.
    Exit code, for monitors: 0 all is well, 1 something to do before long, 2 something is wrong now.

    \b
    Examples:
      freehold doctor
      freehold doctor --config /srv/app/freehold.toml --json
    """
    from freehold.workflows.doctor.examine import diagnose, site_of

    diagnosis = diagnose(site_of(config_path, now=now()))
    if as_json:
        print_json(diagnosis)
    else:
        _show(diagnosis)
    sys.exit(diagnosis.exit_code)


def _show(diagnosis: Diagnosis) -> None:
    counts = dict.fromkeys(COLOURS, 0)
    for part, findings in diagnosis.parts.items():
        echo(click.style(part, bold=True))
        for one in findings:
            counts[one.outcome] += 1
        show_findings(findings)
    line = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    echo(f"\n{line}")
