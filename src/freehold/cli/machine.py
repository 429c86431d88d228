"""The commands under the heading "This machine" of `freehold --help`: doctor, settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import COLOURS, config_option, hanging, json_option, now, print_json, show_findings
from freehold.cli.output import echo
from freehold.settings import SETTINGS, load
from freehold.visible import without_password

if TYPE_CHECKING:
    from freehold.workflows.doctor.examine import Diagnosis


@click.command("doctor")
@config_option
@json_option("freehold.workflows.doctor.examine:Diagnosis")
def doctor(config_path: Path | None, as_json: bool) -> None:
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
        _show_diagnosis(diagnosis)
    sys.exit(diagnosis.exit_code)


def _show_diagnosis(diagnosis: Diagnosis) -> None:
    counts = dict.fromkeys(COLOURS, 0)
    for part, findings in diagnosis.parts.items():
        echo(click.style(part, bold=True))
        for one in findings:
            counts[one.outcome] += 1
        show_findings(findings)
    line = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    echo(f"\n{line}")


@click.command("settings")
@click.argument("table", required=False)
@click.option(
    "--keys", is_flag=True, help="Explain the keys of freehold.toml instead, of one TABLE or of all."
)
@json_option("freehold.cli.printed:SettingLine[]", keys="freehold.types.config_file:ExplainedKey[]")
def settings(table: str | None, keys: bool, as_json: bool) -> None:
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
    from freehold.types.config_file import explained, tables

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
