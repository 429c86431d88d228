"""`freehold down`: stop what runs in the background."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import config_option
from freehold.cli.output import echo


@click.command("down")
@config_option
def command(config_path: Path | None) -> None:
    """Stop the gateway and engine that migrate or demo left running.

    \b
    Example:
      freehold down
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.shift import background

    stopped = background.stop(open_project(config_path))
    echo(f"stopped {stopped.url}", err=True)
