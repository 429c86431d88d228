"""`freehold import-config`: LiteLLM's configuration as a freehold.toml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import hanging, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.workflows.journey.converting.convert import ConvertedConfig


@click.command("import-config")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--incumbent", metavar="NAME", help="The model to leave, where the file names several.")
@json_option("freehold.workflows.journey.converting.convert:ConvertedConfig")
def command(file: Path, incumbent: str | None, as_json: bool) -> None:
    """Convert the configuration of LiteLLM's proxy to a freehold.toml.

    It is printed; what has no counterpart and what was assumed is listed on stderr. No key is copied: the file gets
    names of environment variables.

    \b
    Examples:
      freehold import-config config.yaml
      freehold import-config config.yaml --incumbent gpt-4o > freehold.toml
    """
    from freehold.workflows.journey.converting.convert import convert

    made = convert(file, incumbent)
    if as_json:
        print_json(made)
        return
    echo(made.toml, nl=False, whole=True)
    _tell(made)


def _tell(made: ConvertedConfig) -> None:
    """What was done with the file, on stderr: what is shown on stdout is the new file."""
    echo(f"{made.file}: LiteLLM", err=True)
    _list("assumed", [*made.assumed])
    _list("without a counterpart", [f"{one.source}: {one.why}" for one in made.unmapped])
    _list(
        "environment variables to set",
        [
            one.name + (f" (its value stands at {one.source})" if one.source else "")
            for one in made.environment
        ],
    )


def _list(title: str, lines: list[str]) -> None:
    if lines:
        echo(f"{title}:", err=True)
        for line in lines:
            echo(hanging(line, "  · "), err=True)
