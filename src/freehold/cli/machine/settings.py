"""`freehold settings`: the table of settings with the values in force."""

from __future__ import annotations

import os

import click

from freehold.cli.options import hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.settings import SETTINGS, load
from freehold.visible import without_password


@click.command("settings")
@json_option("freehold.cli.printed:SettingLine[]")
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
            "value": _shown(setting.name, getattr(values, setting.name)),
            "from": "environment" if os.environ.get(setting.variable) else "default",
            "help": setting.help,
        }
        for setting in SETTINGS
    ]
    if as_json:
        print_json(rows)
        return
    for setting, row in zip(SETTINGS, rows, strict=True):
        echo(f"{row['variable']}={row['value'] or ''}  ({row['from']})")
        echo(hanging(setting.help, "    "))


def _shown(name: str, value: object) -> str | None:
    """As `_as_written`; of an address with a password in it, the password is left out."""
    written = _as_written(value)
    return without_password(written) if name.endswith("_url") and written else written


def _as_written(value: object) -> str | None:
    """A value as one would write it into the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
