"""`freehold trust`: what a `freehold.toml` may run, read and call, and the question that only a person answers."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import click

from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo, wants_json
from freehold.errors import UntrustedError


@click.command("trust")
@config_option
@json_option("freehold.workflows.project:Reach")
def command(config_path: Path | None, as_json: bool) -> None:
    """Show what freehold.toml has freehold run, read and call, and agree to what of it is new.

    Before that no command does any of it: the folder may be a stranger's. On a terminal commands ask by themselves.
    Where there is none, FREEHOLD_TRUST with the hash that is shown here agrees; a pipe does not.
    Exit code: 0 trusted, 2 not.

    \b
    Examples:
      freehold trust
      freehold trust --json
    """
    from freehold.workflows.project import check_trusted, open_project, reach_of

    project = open_project(config_path, must_exist=True, looks=True)
    assert project.config_path is not None
    found = reach_of(project.config, project.config_path, project.settings)
    if as_json:
        print_json(found)
        sys.exit(2 if found.new else 0)
    if not (found.new and _is_terminal()):  # there it is asked first
        _show(found.all)
        echo(f"FREEHOLD_TRUST={found.hash}" if found.all else "nothing: it needs no trust")
    check_trusted(project.config, project.config_path, project.settings)


def agrees(asked: UntrustedError) -> bool:
    """Whether the person at the terminal agrees, which is kept then; False where there is no terminal."""
    from freehold.workflows.project import agree

    if not _is_terminal():
        return False
    echo(f"{asked.path} is not trusted yet. It", err=True)
    _show(asked.new, err=True)
    if not click.confirm("Trust it?", default=False, err=True):
        return False
    agree(asked.path, asked.all)
    with contextlib.suppress(OSError):
        asked.path.touch()  # a gateway that runs looks at it again
    return True


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty() and not wants_json()


def _show(lines: tuple[str, ...], *, err: bool = False) -> None:
    for line in lines:
        echo(hanging(line, "  "), err=err)
