"""`freehold audit`: who changed what, when, from where and why."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo


@click.command("audit")
@click.option("--action", metavar="NAME", help="Only this kind of change: key, key.revoke, route, …")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@click.option(
    "--check", is_flag=True, help="Is the chain whole? Ends with 1 when something was changed or cut out."
)
@click.option(
    "--head", metavar="NUMBER:HASH", help="With --check: an entry noted elsewhere that must be there."
)
@config_option
@json_option("freehold.types.audit:AuditEntry[]", check="freehold.types.audit:AuditCheck")
def command(
    action: str | None,
    last: int | None,
    check: bool,
    head: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Who changed what, when, from where and why. The record only grows.

    \b
    Example:
      freehold audit --last 20
      freehold audit --action key --json
      freehold audit --check
    """
    from freehold.workflows import project_store
    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store

    if head is not None and not check:
        raise click.UsageError("--head goes with --check")
    with opened_store(open_project(config_path, looks=True)) as (store, _):
        if check:
            found = project_store.audit_check(store, head=head)
            if as_json:
                print_json(found, "check")
            else:
                for fault in found.faults:
                    echo(fault)
                word = "whole" if not found.faults else "NOT WHOLE"
                echo(f"{found.entries} entries, {word}; the last is {found.head}", err=True)
            raise SystemExit(1 if found.faults else 0)
        shown = deque(project_store.audit_entries(store, action=action), maxlen=last)
    if as_json:
        print_json(list(shown))
    else:
        if not shown:
            echo("no change was made here" if action is None else "no such change", err=True)
        for entry in shown:
            why = f"  ({entry.why})" if entry.why else ""
            line = f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.who}  {entry.action} {entry.subject}{why}  {entry.source}"
            echo(line)
