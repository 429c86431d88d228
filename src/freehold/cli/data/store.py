"""`freehold store`: check, back up and restore what freehold remembers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import agree, caller, config_option, json_option, now, print_json, why_option
from freehold.cli.output import echo
from freehold.errors import KeysUnavailableError

if TYPE_CHECKING:
    from freehold.store.backup import Loss
    from freehold.store.check import StoreCheck

EXIT_UNHEALTHY = 1
SHOWN = 20
_file = click.Path(path_type=Path, dir_okay=False)


@click.group("store")
def command() -> None:
    """Check, back up and restore the store: traces, routes, keys and all records of a project.

    \b
    Example:
      freehold store check
      freehold store backup
      freehold store restore .freehold/backups/store-20260301-120000.sqlite
    """


@command.command("check")
@click.argument("file", required=False, type=_file)
@config_option
@json_option("freehold.store.check:StoreCheck")
def check(file: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Say whether the store, or a backup FILE, is what was written. Changes nothing; a gateway may run.

    Exits with 0 when all is well, 1 when something is damaged, 2 when it cannot be checked.

    \b
    Example:
      freehold store check
      freehold store check --json week.sqlite
    """
    from freehold.cli.progress import progress
    from freehold.store import check as checks
    from freehold.workflows.data.store_care import url_of
    from freehold.workflows.project import open_project

    project = open_project(config_path, looks=True)
    with progress() as shown:
        shown.step("check the store")
        found = checks.check(url_of(project, file), tell=lambda n, of: shown.update(n, of, unit="rows"))
    if as_json:
        print_json(found)
    else:
        _describe(found)
    sys.exit(0 if found.healthy else EXIT_UNHEALTHY)


@command.command("backup")
@click.argument("file", required=False, type=_file)
@config_option
@json_option("freehold.store.backup:Backup")
def backup(file: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Write a copy of the store to FILE (default: a new file in .freehold/backups) and check it.

    A gateway may run. The copy is a SQLite file, of PostgreSQL as well, readable by its owner only.

    \b
    Example:
      freehold store backup
      freehold store backup /mnt/safe/week.sqlite
    """
    from freehold.cli.progress import progress
    from freehold.workflows.data.store_care import make_backup
    from freehold.workflows.project import open_project

    project = open_project(config_path, looks=True)
    with progress() as shown:
        made = make_backup(project, file, who=caller(), at=now(), progress=shown)
    if as_json:
        print_json(made)
    else:
        echo(f"{made.file}: {made.size_bytes / (1 << 20):,.1f} MiB, {_counts(made.check.rows)}")
        if not made.check.healthy:
            _describe(made.check)
    sys.exit(0 if made.check.healthy else EXIT_UNHEALTHY)


@command.command("restore")
@click.argument("file", type=_file)
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@config_option
@json_option("freehold.store.backup:Restored")
def restore(file: Path, yes: bool, config_path: Path | None, as_json: bool) -> None:
    """Put the backup FILE in the store's place. Says first what will be lost; keeps the replaced store.

    Refuses while a gateway or another command has the store open.

    \b
    Example:
      freehold store restore .freehold/backups/store-20260301-120000.sqlite
    """
    from freehold.cli.progress import progress
    from freehold.store.backup import loss
    from freehold.workflows.data.store_care import put_back
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.keys import opened_keys

    project = open_project(config_path, looks=True)
    echo(_loss(loss(project.store_url, file)), err=True)
    if not yes:
        agree(f"put {file} in the store's place?")
    with progress() as shown:
        made = put_back(project, file, who=caller(), at=now(), progress=shown)
    try:
        with opened_keys(project):
            pass
    except KeysUnavailableError as error:
        echo(f"no client gets in until you say so: {error.message}", err=True)
        echo("hint: freehold keys accept takes this store with the keys it has", err=True)
    if as_json:
        print_json(made)
        return
    echo(f"{file} is the store now")
    if made.replaced:
        echo(f"the former store is kept: {made.replaced}")


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in rows.items() if count) or "empty"


def _describe(found: StoreCheck) -> None:
    echo(f"{found.store}: schema {found.store_schema or 'none'}, {_counts(found.rows)}")
    for line in found.problems:
        echo(f"  problem: {line}")
    for row in found.damaged[:SHOWN]:
        echo(f"  damaged: {row.table} {row.key}: {row.reason}")
    if found.damaged_rows > SHOWN:
        echo(f"  and {found.damaged_rows - SHOWN:,} more damaged rows (--json lists them)")
    echo("all is well" if found.healthy else "the store is damaged")
    if not found.healthy:
        from freehold.store.damage import CHECK_HINT, way_back

        echo(f"hint: {way_back(found.store) if found.problems else CHECK_HINT}", err=True)


def _loss(lost: Loss) -> str:
    damaged = (
        f"; {lost.damaged_rows:,} rows of it are damaged and will be passed over" if lost.damaged_rows else ""
    )
    until = f"; its newest trace is of {lost.until:%Y-%m-%d %H:%M:%S} UTC" if lost.until else ""
    if lost.unknown:
        return f"what the store holds beyond the backup cannot be told: {lost.unknown}{until}{damaged}"
    if not lost.rows:
        return f"the store holds no row that the backup lacks{until}{damaged}"
    return f"will be lost: {_counts(lost.rows)} that the backup lacks{until}{damaged}"
