"""`freehold down`: stop what runs in the background."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo


@click.command("down")
@config_option
@json_option("freehold.workflows.shift.background:Background")
def command(config_path: Path | None, as_json: bool) -> None:
    """Stop the gateway and engine that migrate or demo left running.

    \b
    Example:
      freehold down
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.shift import background

    stopped = background.stop(open_project(config_path, looks=True))
    if as_json:
        print_json(stopped)
        return
    echo(f"stopped {stopped.url}", err=True)
