"""`freehold encoders`: list, show, export and remove trained encoders."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import agree, config_option, json_option, print_json
from freehold.cli.output import echo
from freehold.types.encoder import EncoderModel
from freehold.types.units import gib, mib


@click.group("encoders")
def command() -> None:
    """List, show, export and remove trained encoders.

    \b
    Example:
      freehold encoders list
      freehold encoders export support
      freehold serve support
    """


@command.command("list")
@config_option
@json_option("freehold.types.encoder:EncoderModel[]")
def list_command(config_path: Path | None, as_json: bool) -> None:
    """List the project's encoders.

    \b
    Example:
      freehold encoders list --json
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.weights.encoders import list_encoders

    encoders = list_encoders(open_project(config_path))
    if as_json:
        print_json(encoders)
        return
    if not encoders:
        echo('no encoders yet; freehold migrate trains one: method = "encoder"', err=True)
    for encoder in encoders:
        echo(
            f"{encoder.id[:12]}  {encoder.name}  {encoder.stage}  {encoder.base_model}  {_right(encoder)}  "
            f"{encoder.train_samples:,} samples"
        )


@command.command("show")
@click.argument("encoder")
@config_option
@json_option("freehold.types.encoder:EncoderModel")
def show(encoder: str, config_path: Path | None, as_json: bool) -> None:
    """Show an encoder's record: what it answers, from what it was made, and how it went.

    \b
    Example:
      freehold encoders show support
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.weights.encoders import find_encoder

    record = find_encoder(open_project(config_path), encoder)
    if as_json:
        print_json(record)
        return
    manifest = record.manifest
    echo(f"{record.name} {record.id}")
    echo(f"  base       {record.base_model} ({record.base_sha256[:12]})")
    echo(f"  dataset    {record.dataset_id[:12]}")
    for field in manifest.fields:
        amount = "copied from the message" if field.kind in ("copied", "found") else (
            f"{'any' if field.kind == 'several' else 'one'} of {len(field.labels):,} labels"
        )  # fmt: skip
        echo(f"  answers    {field.name + ': ' if field.name else ''}{amount}")
    echo(f"  reads      {manifest.max_tokens:,} tokens of a message, {manifest.runs_on}")
    echo(f"  trained    {record.stage}, {record.train_samples:,} samples in {record.train_seconds:,.0f} s")
    error = record.calibration_error
    echo(f"  validation {_right(record)}" + ("" if error is None else f", calibration error {error:.3f}"))
    if record.peak_memory_bytes is not None:
        echo(f"  memory     {gib(record.peak_memory_bytes, 2)} at the peak")
    echo(f"  {record.path}")


@command.command("export")
@click.argument("encoder")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder (default: exports/…).")
@config_option
@json_option("freehold.workflows.train.encoder_export:EncoderExport")
def export(encoder: str, out: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Write an encoder for any program: ONNX, an example of a few lines, and a model card.

    The example needs onnxruntime, tokenizers and numpy, and neither PyTorch nor freehold. freehold serve takes the
    folder, too.

    \b
    Example:
      freehold encoders export support
      freehold encoders export support --out support-encoder
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.train.encoder_export import export_encoder
    from freehold.workflows.weights.encoders import find_encoder

    project = open_project(config_path)
    record = find_encoder(project, encoder)
    with progress() as bar:
        made = export_encoder(project, record, out=out, progress=bar)
    if as_json:
        print_json(made)
        return
    echo(f"{made.path}  ({mib(made.bytes, 1)}, {len(made.files)} files and a card)")
    echo(f"  {made.usage}")


@command.command("rm")
@click.argument("encoder")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option("freehold.types.removal:Removed")
def remove(encoder: str, yes: bool, config_path: Path | None, as_json: bool) -> None:
    """Remove an encoder and its run.

    \b
    Example:
      freehold encoders rm 1a2b3c4d --yes
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.weights.encoders import find_encoder, remove_encoder

    record = find_encoder(open_project(config_path), encoder)
    if not yes:
        agree(f"remove {record.name} ({record.path})?")
    freed = remove_encoder(record)
    if as_json:
        from freehold.types.removal import Removed

        print_json(Removed(name=record.name, freed_bytes=freed))
        return
    echo(f"freed {mib(freed, 1)}")


def _right(encoder: EncoderModel) -> str:
    if not encoder.validation_asked:
        return "not validated"
    share = encoder.validation_right / encoder.validation_asked
    return f"{share:.1%} of {encoder.validation_asked:,} right"
