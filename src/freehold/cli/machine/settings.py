"""`freehold settings`: the table of settings with the values in force."""

from __future__ import annotations

import os

import click

from freehold.cli.options import hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.settings import SETTINGS, load
from freehold.visible import without_password


@click.command("settings")
@click.argument("table", required=False)
@click.option(
    "--keys", is_flag=True, help="Explain the keys of freehold.toml instead, of one TABLE or of all."
)
@json_option("freehold.cli.printed:SettingLine[]", keys="freehold.types.config.explained:ExplainedKey[]")
def command(table: str | None, keys: bool, as_json: bool) -> None:
    """List the settings of this machine and where each value comes from; or what freehold.toml may say.

    \b
    Example:
      FREEHOLD_PORT=9000 freehold settings
      freehold settings --keys candidates
    """
    if keys:
        _explain(table, as_json)
        return
    if table is not None:
        raise click.UsageError(f"{table}: a table goes with --keys")
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


def _explain(table: str | None, as_json: bool) -> None:
    from freehold.types.config.explained import explained, tables

    if table is not None and table not in tables():
        raise click.UsageError(f"freehold.toml has no table {table}: it has {', '.join(tables())}")
    found = list(explained(table))
    if as_json:
        print_json(found, "keys")
        return
    before = None
    for one in found:
        if one.table != before:
            echo(click.style(f"{'' if before is None else chr(10)}[{one.table}]", bold=True))
        before = one.table
        said = f" = {one.default}" if one.default is not None else ""
        echo(f"  {one.key}{said}")
        words = f"{' or '.join(one.words)}. " if one.words else ""
        if words or one.meaning:
            echo(hanging(f"{words}{one.meaning}".strip(), "      "))


def _shown(name: str, value: object) -> str | None:
    """As `_as_written`; of an address with a password in it, the password is left out."""
    written = _as_written(value)
    return without_password(written) if name.endswith("_url") and written else written


def _as_written(value: object) -> str | None:
    """A value as one would write it into the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)
