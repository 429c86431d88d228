"""`freehold settings`: the table of settings with the values in force."""

from __future__ import annotations

import os

import click

from freehold.cli.options import hanging, json_option, print_json
from freehold.settings import SETTINGS, load


@click.command("settings")
@json_option
def command(as_json: bool) -> None:
    """List the settings of this machine and where each value comes from.

    \b
    Example:
      FREEHOLD_PORT=9000 freehold settings
    """
    values = load()
    rows = [
        {
            "variable": setting.variable,
            "value": _as_written(getattr(values, setting.name)),
            "from": "environment" if os.environ.get(setting.variable) else "default",
            "help": setting.help,
        }
        for setting in SETTINGS
    ]
    if as_json:
        print_json(rows)
        return
    for setting, row in zip(SETTINGS, rows, strict=True):
        click.echo(f"{row['variable']}={row['value'] or ''}  ({row['from']})")
        click.echo(hanging(setting.help, "    "))


def _as_written(value: object) -> str | None:
    """A value as one would write it into the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
