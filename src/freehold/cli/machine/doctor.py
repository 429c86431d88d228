"""`freehold doctor`: is everything in order, and what to do where it is not."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.visible import one_line

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}
EXIT_CODES = {"ok": 0, "warn": 1, "fail": 2}


@click.command("doctor")
@config_option
@json_option
def command(config_path: Path | None, as_json: bool) -> None:
    """Look at the machine, the project, its store and its keys; say what is wrong and how to mend it.

    Changes nothing, and works without a project, with a broken freehold.toml and on a locked or damaged store.
    Exit code: 0 all is well, 1 something to see to, 2 something is broken.

    \b
    Example:
      freehold doctor
      freehold doctor --json
    """
    from freehold.workflows.doctor.checks import examine
    from freehold.workflows.doctor.patient import look

    findings = examine(look(config_path))
    if as_json:
        print_json(findings)
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            head = f"{finding.level:<4}  {finding.check:<{width}}  "
            text = hanging(one_line(finding.what), head)
            echo(click.style(text[:4], fg=COLORS[finding.level]) + text[4:])
            if finding.fix and finding.level != "ok":
                echo(hanging(one_line(finding.fix), " " * len(head) + "→ "))
    sys.exit(max(EXIT_CODES[finding.level] for finding in findings))
