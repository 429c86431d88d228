"""`freehold store`: check, back up and restore what freehold remembers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from freehold.cli.operation import BAR, YES, Reply, arg, group, opened, operation
from freehold.cli.options import agree, caller, now
from freehold.cli.output import Aside, Block, echo
from freehold.cli.progress import progress
from freehold.errors import KeysUnavailableError

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.store.backup import Backup, Loss
    from freehold.store.check import StoreCheck
    from freehold.workflows.project import Project

EXIT_UNHEALTHY = 1
SHOWN = 20


@group("store")
def store() -> None:
    """Check, back up and restore the store: traces, routes, keys and all records of a project.

    \b
    Example:
      freehold store check
      freehold store backup
      freehold store restore .freehold/backups/store-20260301-120000.sqlite
    """


@operation("check", "freehold.store.check:StoreCheck", within=store)
def check(
    file: Path | None = arg(dir_okay=False), *, project: Project = opened(looks=True), bar: Progress = BAR
) -> Reply:
    """Say whether the store, or a backup FILE, is what was written. Changes nothing; a gateway may run.

    Exits with 0 when all is well, 1 when something is damaged, 2 when it cannot be checked.

    \b
    Example:
      freehold store check
      freehold store check --json week.sqlite
    """
    from freehold.store import check as checks
    from freehold.workflows.data.store_care import url_of

    bar.step("check the store")
    found = checks.check(url_of(project, file), tell=lambda n, of: bar.update(n, of, unit="rows"))
    return Reply(found, _describe, 0 if found.healthy else EXIT_UNHEALTHY)


@operation("backup", "freehold.store.backup:Backup", within=store)
def backup(
    file: Path | None = arg(dir_okay=False), *, project: Project = opened(looks=True), bar: Progress = BAR
) -> Reply:
    """Write a copy of the store to FILE (default: a new file in .freehold/backups) and check it.

    A gateway may run. The copy is a SQLite file, of PostgreSQL as well, readable by its owner only.

    \b
    Example:
      freehold store backup
      freehold store backup /mnt/safe/week.sqlite
    """
    from freehold.workflows.data.store_care import make_backup

    made = make_backup(project, file, who=caller(), at=now(), progress=bar)
    return Reply(made, _backup_view, 0 if made.check.healthy else EXIT_UNHEALTHY)


def _backup_view(made: Backup) -> Iterator[Block]:
    yield f"{made.file}: {made.size_bytes / (1 << 20):,.1f} MiB, {_counts(made.check.rows)}"
    if not made.check.healthy:
        yield from _describe(made.check)


@operation("restore", "freehold.store.backup:Restored", within=store, why=True)
def restore(
    file: Path = arg(dir_okay=False), *, yes: bool = YES, project: Project = opened(looks=True)
) -> Reply:
    """Put the backup FILE in the store's place. Says first what will be lost; keeps the replaced store.

    Refuses while a gateway or another command has the store open.

    \b
    Example:
      freehold store restore .freehold/backups/store-20260301-120000.sqlite
    """
    from freehold.store.backup import loss
    from freehold.workflows.data.store_care import put_back
    from freehold.workflows.shift.keys import opened_keys

    echo(_loss(loss(project.store_url, file)), err=True)
    if not yes:
        agree(f"put {file} in the store's place?")
    with progress() as bar:
        made = put_back(project, file, who=caller(), at=now(), progress=bar)
    try:
        with opened_keys(project):
            pass
    except KeysUnavailableError as error:
        echo(f"no client gets in until you say so: {error.message}", err=True)
        echo("hint: freehold keys accept takes this store with the keys it has", err=True)
    kept = made.replaced and f"the former store is kept: {made.replaced}"
    return Reply(made, lambda _: filter(None, (f"{file} is the store now", kept)))


def _counts(rows: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in rows.items() if count) or "empty"


def _describe(found: StoreCheck) -> Iterator[Block]:
    yield f"{found.store}: schema {found.store_schema or 'none'}, {_counts(found.rows)}"
    for line in found.problems:
        yield f"  problem: {line}"
    for row in found.damaged[:SHOWN]:
        yield f"  damaged: {row.table} {row.key}: {row.reason}"
    if found.damaged_rows > SHOWN:
        yield f"  and {found.damaged_rows - SHOWN:,} more damaged rows (--json lists them)"
    yield "all is well" if found.healthy else "the store is damaged"
    if not found.healthy:
        from freehold.store.damage import CHECK_HINT, way_back

        yield Aside(f"hint: {way_back(found.store) if found.problems else CHECK_HINT}")


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
