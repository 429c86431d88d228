"""`freehold import`: bring logged traffic in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from freehold.cli.options import config_option, json_option, print_json, stated
from freehold.cli.output import echo
from freehold.datasets import importing
from freehold.datasets.importing import FORMATS
from freehold.errors import InputError
from freehold.types.config import DataConfig

if TYPE_CHECKING:
    from freehold.workflows.data.imports import ImportResult, Preview


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    metavar="NAME",
    help=f"Format: {', '.join(FORMATS)} (default: what [data] says, else told by content).",
)
@click.option("--input", help="Column of the question, for tables.")
@click.option("--label", help="Column of the right answer, for tables.")
@click.option("--incumbent", help="Column of the incumbent's answer, for tables.")
@click.option("--held-out", is_flag=True, help="Keep all of it for evaluation, none for training.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show how records would be read, what a dataset would hold and what it would leave out; store nothing.",
)
@config_option
@json_option(
    "freehold.workflows.data.imports:ImportResult[]", preview="freehold.workflows.data.imports:Preview[]"
)
def command(
    files: tuple[Path, ...],
    held_out: bool,
    dry_run: bool,
    config_path: Path | None,
    as_json: bool,
    **described: Any,
) -> None:
    """Bring logged traffic in as traces. Bad records are kept aside with line and reason, never lost.

    Reads OpenAI fine-tuning files, stored completions, exports of Langfuse, LangSmith, LiteLLM
    and Helicone, OpenTelemetry spans, Hugging Face datasets on disk, CSV, Parquet and JSON lines, compressed or not,
    files or folders. Importing a file again replaces what changed in it; rows that are gone from it are left out.

    \b
    Examples:
      freehold import traffic.jsonl
      freehold import --dry-run langfuse-export.json
      freehold import --held-out --input text --label category test.csv
    """
    from freehold.cli.progress import progress
    from freehold.workflows.data.imports import import_file, preview_file
    from freehold.workflows.project import open_project

    project = open_project(config_path)
    data = msgspec.structs.replace(project.config.data, **stated(described))
    importing.check_fields(files, data, DataConfig(**stated(described)))
    if dry_run:
        previews = [preview_file(project, file, data=data, held_out=held_out) for file in files]
        if as_json:
            print_json(previews, "preview")
            return
        for preview in previews:
            _show_preview(preview)
        return
    results = []
    with progress() as bar:
        for file in files:
            bar.step(f"import {file.name}")
            result = import_file(project, file, data=data, held_out=held_out, progress=bar)
            results.append(result)
    nothing = [result.file for result in results if result.read == 0]
    if as_json:
        print_json(results)
        sys.exit(2 if nothing else 0)
    for result in results:
        _show(result)
    if nothing:
        raise InputError(
            "no record could be used",
            path=nothing[0],
            hint="freehold import --dry-run FILE shows how it is read; --format and --input/--label change that",
        )


def _show(result: ImportResult) -> None:
    changed = f", {result.replaced:,} replaced" if result.replaced else ""
    changed += f", {result.gone:,} gone from the file" if result.gone else ""
    echo(
        f"{result.file}: {result.read:,} records read as {result.format}, {result.new:,} new traces{changed}, "
        f"{result.rejected:,} rejected"
    )
    _show_mapping(result.mapping)
    if result.holds:
        echo("  holds: " + ", ".join(f"{count:,} {name}" for name, count in result.holds.items()))
    for reason, count in result.passed_over.items():
        echo(f"  passed over: {count:,} × {reason}")
    for line in result.first_rejects:
        echo(f"  {line}", err=True)
    if result.rejects_file:
        echo(f"  all rejects: {result.rejects_file}", err=True)


def _show_mapping(mapping: dict[str, str]) -> None:
    width = max(map(len, mapping), default=0)
    for name, source in mapping.items():
        echo(f"  {name:<{width}}  ← {source}")


def _show_preview(preview: Preview) -> None:
    echo(f"{preview.file}: {preview.format}, {preview.container}; nothing stored")
    _show_mapping(preview.mapping)
    for reason, count in preview.left_out.items():
        echo(f"    {count:>8,} left out: {reason}")
    for trace in preview.first:
        echo(f"\n  {trace.source.rpartition('#')[2]:>5}  asked of {trace.model or 'a model not named'}")
        for message in trace.request["messages"]:
            echo(f"         {message['role']}: {_short(message)}")
        if trace.response:
            echo(f"         → {_short(trace.response['choices'][0]['message'])}")
        for name in ("gold", "desirable", "conversation_id", "user"):
            value = getattr(trace, name)
            if value is not None:
                echo(f"         {name}: {' '.join(str(value).split())[:100]}")
    for line in preview.first_rejects:
        echo(f"  reject, {line}", err=True)


def _short(message: dict[str, object]) -> str:
    said = message.get("content")
    if message.get("tool_calls"):
        said = msgspec.json.encode(message["tool_calls"]).decode()
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:99] + "…"
