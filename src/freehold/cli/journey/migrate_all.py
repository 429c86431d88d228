"""`freehold migrate --all`: how the projects of a folder ended, on the terminal."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import hanging, print_json
from freehold.cli.output import echo
from freehold.types.migrated import AllMigrated, MigratedProject

_COLOURS = {"promote": "green", "hold": "yellow", "reject": "red", "no candidate": "red", "failed": "red"}


def run_all(folder: Path, *, fresh: bool, as_json: bool) -> AllMigrated:
    """Migrate all projects below `folder` and say how they ended."""
    from freehold.cli.progress import progress
    from freehold.workflows.journey.migrate_all import migrate_all

    try:
        with progress() as bar:
            done = migrate_all(folder, progress=bar, fresh=fresh)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; nothing is lost, the same command goes on from here") from None
    if as_json:
        print_json(done, "all")
    else:
        for project in done.projects:
            _show(project)
        echo(f"\nreport  {done.page}")
    return done


def _show(project: MigratedProject) -> None:
    outcome = click.style(project.outcome, fg=_COLOURS[project.outcome], bold=True)
    scores = ""
    if project.candidate_mean is not None:
        before = "" if project.incumbent_mean is None else f"{project.incumbent_mean:.1%} → "
        scores = f"  {before}{project.candidate_mean:.1%}"
    items = "" if project.items is None else f", n = {project.items}"
    echo(f"{click.style(project.name, bold=True)}  {outcome}{scores}{items}")
    if project.why is not None:
        echo(hanging(project.why, "  "))
    if project.hint is not None:
        echo(hanging(project.hint, "  hint: "))
