"""This machine: `freehold doctor`, `freehold settings`, and `freehold trust`, what a `freehold.toml` may run, read and
call, with the question that only a person answers."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.operation import CONFIG, Reply, arg, opened, operation, opt
from freehold.cli.options import now
from freehold.cli.output import COLOURS, Block, echo, findings_view, show, wants_json
from freehold.errors import UntrustedError
from freehold.settings import SETTINGS, load
from freehold.visible import without_password

if TYPE_CHECKING:
    from freehold.types.config_file import ExplainedKey
    from freehold.workflows.doctor.examine import Diagnosis
    from freehold.workflows.project import Project


@operation("doctor", "freehold.workflows.doctor.examine:Diagnosis")
def doctor(*, config_path: Path | None = CONFIG) -> Reply:
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
    return Reply(diagnosis, _diagnosis_view, diagnosis.exit_code)


def _diagnosis_view(diagnosis: Diagnosis) -> Iterator[Block]:
    for part, findings in diagnosis.parts.items():
        yield click.style(part, bold=True)
        yield from findings_view(findings)
    counts = Counter(one.outcome for findings in diagnosis.parts.values() for one in findings)
    yield "\n" + ", ".join(f"{counts[name]} {name}" for name in COLOURS if counts[name])


@operation("settings", "freehold.cli.printed:SettingLine[]", keys="freehold.types.config_file:ExplainedKey[]")
def settings(
    table: str | None = arg(),
    *,
    keys: bool = opt("Explain the keys of freehold.toml instead, of one TABLE or of all."),
) -> Reply:
    """List the settings of this machine and where each value comes from; or what freehold.toml may say.

    \b
    Example:
      FREEHOLD_PORT=9000 freehold settings
      freehold settings --keys candidates
    """
    if keys:
        from freehold.types.config_file import explained, tables

        if table is not None and table not in tables():
            raise click.UsageError(f"freehold.toml has no table {table}: it has {', '.join(tables())}")
        return Reply(list(explained(table)), _keys_view, which="keys")
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
    return Reply(rows, _settings_view)


def _settings_view(rows: Sequence[dict[str, Any]]) -> Iterator[Block]:
    for row in rows:
        yield f"{row['variable']}={row['value'] or ''}  ({row['from']})"
        yield f"    {row['help']}"


def _keys_view(found: Sequence[ExplainedKey]) -> Iterator[Block]:
    before = None
    for one in found:
        if one.table != before:
            yield click.style(f"{'' if before is None else chr(10)}[{one.table}]", bold=True)
        before = one.table
        yield f"  {one.key}" + (f" = {one.default}" if one.default is not None else "")
        words = f"{' or '.join(one.words)}. " if one.words else ""
        if words or one.meaning:
            yield f"      {words}{one.meaning}".rstrip()


def _shown(name: str, value: object) -> str | None:
    """As `_as_written`; of an address with a password in it, the password is left out."""
    written = _as_written(value)
    return without_password(written) if name.endswith("_url") and written else written


def _as_written(value: object) -> str | None:
    """A value as one would write it into the environment."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


@operation("trust", "freehold.workflows.project:Reach")
def trust(*, project: Project = opened(must_exist=True, looks=True), as_json: bool) -> Reply | None:
    """Show what freehold.toml has freehold run, read and call, and agree to what of it is new.

    Before that no command does any of it: the folder may be a stranger's. On a terminal commands ask by themselves.
    Where there is none, FREEHOLD_TRUST with the hash that is shown here agrees; a pipe does not.
    Exit code: 0 trusted, 2 not.

    \b
    Examples:
      freehold trust
      freehold trust --json
    """
    from freehold.workflows.project import check_trusted, reach_of

    assert project.config_path is not None
    found = reach_of(project.config, project.config_path, project.settings)
    if as_json:
        return Reply(found, lambda _: (), 2 if found.new else 0)
    if not (found.new and _is_terminal()):  # there it is asked first
        show(f"  {line}" for line in found.all)
        echo(f"FREEHOLD_TRUST={found.hash}" if found.all else "nothing: it needs no trust")
    check_trusted(project.config, project.config_path, project.settings)
    return None


def agrees(asked: UntrustedError) -> bool:
    """Whether the person at the terminal agrees, which is kept then; False where there is no terminal."""
    from freehold.workflows.project import agree

    if not _is_terminal():
        return False
    echo(f"{asked.path} is not trusted yet. It", err=True)
    for line in asked.new:
        echo(f"  {line}", err=True)
    if not click.confirm("Trust it?", default=False, err=True):
        return False
    agree(asked.path, asked.all)
    with contextlib.suppress(OSError):
        asked.path.touch()  # a gateway that runs looks at it again
    return True


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty() and not wants_json()
