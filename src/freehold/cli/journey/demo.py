"""`freehold demo`: the journey on a shipped example."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import json_option

if TYPE_CHECKING:
    from freehold.workflows.journey.demo import Example


EXAMPLES = ("tickets", "helpdesk")


@click.command("demo")
@click.option(
    "--example",
    type=click.Choice(EXAMPLES),
    default=EXAMPLES[0],
    show_default=True,
    help="tickets: routed by a company's own rules. helpdesk: fields in nine languages, the harder one.",
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder the example is copied to and worked in (default: freehold-demo, or freehold-demo-helpdesk).",
)
@click.option(
    "--serve/--no-serve", default=True, help="Leave the endpoint running at the end (default: yes)."
)
@json_option("freehold.cli.printed:Migrated")
def command(example: Example, folder: Path | None, serve: bool, as_json: bool) -> None:
    """Watch an application leave its rented model: the whole journey on an invented company's post.

    Takes some minutes on two cores: about 2,500 messages, small open models (fetched as Python packages), training
    here, the cheapest that is good enough chosen, proof, one page, an endpoint. Stop it when you like; the same
    command goes on. Exit code 0 when the journey ran to its end, whatever the verdict.

    \b
    Example:
      freehold demo
      freehold demo --example helpdesk --dir /tmp/try
    """
    from freehold.cli.journey.migrate import run
    from freehold.workflows.journey.demo import prepare
    from freehold.workflows.project import open_project

    default = "freehold-demo" if example == EXAMPLES[0] else f"freehold-demo-{example}"
    project = open_project(prepare(folder or Path(default), example), must_exist=True)
    run(project, fresh=False, serve=serve, as_json=as_json)
