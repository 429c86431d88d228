"""`freehold import`: bring logged traffic in."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from freehold.cli.options import config_option, json_option, print_json
from freehold.errors import InputError


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "kind",
    type=click.Choice(["auto", "openai", "pairs", "csv", "jsonl"]),
    help="Format of the files (default: what [data] says, else sniffed).",
)
@click.option("--held-out", is_flag=True, help="Keep all of it for evaluation, none for training.")
@config_option
@json_option
def command(
    files: tuple[Path, ...], kind: str | None, held_out: bool, config_path: Path | None, as_json: bool
) -> None:
    """Bring logged traffic in as traces. Bad records are kept aside with line and reason, never lost.

    Reads OpenAI fine-tuning files, request/response pairs, CSV and JSON lines; importing twice adds nothing.

    \b
    Examples:
      freehold import traffic.jsonl
      freehold import --held-out test.csv
    """
    from freehold.cli.progress import progress
    from freehold.workflows.import_ import import_file
    from freehold.workflows.project import open_project

    project = open_project(config_path)
    data = project.config.data
    if kind is not None:
        data = msgspec.structs.replace(data, format=kind)
    results = []
    with progress() as bar:
        for file in files:
            bar.step(f"import {file.name}")
            results.append(import_file(project, file, data=data, held_out=held_out, progress=bar))
    nothing = [result.file for result in results if result.read == 0]
    if as_json:
        print_json(results)
        sys.exit(2 if nothing else 0)
    for result in results:
        click.echo(
            f"{result.file}: {result.read:,} records read as {result.format}, {result.new:,} new traces, "
            f"{result.rejected:,} rejected"
        )
        for line in result.first_rejects:
            click.echo(f"  {line}", err=True)
        if result.rejects_file:
            click.echo(f"  all rejects: {result.rejects_file}", err=True)
    if nothing:
        raise InputError(
            "no record could be used",
            path=nothing[0],
            hint="name the format with --format, or the columns in [data] input and label",
        )
