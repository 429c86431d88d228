"""`freehold adapters` and `freehold encoders`: list, export and remove what was trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from freehold.cli.options import agree, config_option, hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.types.encoder import EncoderModel
from freehold.types.training import TrainingResult
from freehold.visible import gib, mib

if TYPE_CHECKING:
    from freehold.workflows.weights.trained import Shelf


@click.group("adapters")
def adapters() -> None:
    """List, export and remove trained adapters.

    \b
    Example:
      freehold adapters list
      freehold adapters list support
      freehold adapters export support --as gguf
    """


@click.group("encoders")
def encoders() -> None:
    """List, export and remove trained encoders.

    \b
    Example:
      freehold encoders list
      freehold encoders export support
      freehold serve support
    """


out_option = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="Folder (default: exports/…)."
)


@adapters.command("export")
@click.argument("adapter")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["peft", "merged", "gguf-adapter", "gguf", "ollama", "vllm"]),
    required=True,
    help="What to write.",
)
@click.option("--quant", "quantization", help="For gguf (default Q8_0) and ollama: Q8_0, F16, Q4_K_M …")
@out_option
@config_option
@json_option("freehold.workflows.train.export:Export")
def export_adapter(
    adapter: str,
    kind: str,
    quantization: str | None,
    out: Path | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Write an adapter for another tool, with a model card: lineage, data, duties, figures.

    peft: the adapter. merged: whole safetensors. gguf-adapter, gguf: the same for llama.cpp. ollama: a Modelfile with
    the base and the adapter, or with the merged model when --quant names one. vllm: whole safetensors and a vllm.yaml.

    \b
    Example:
      freehold adapters export support --as merged
      freehold adapters export support --as gguf --quant Q4_K_M
      freehold adapters export support --as ollama --out support-ollama
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.train.export import export
    from freehold.workflows.train.export_kinds import KINDS

    project = open_project(config_path)
    found = _shelf("adapter").find(project, adapter)
    with progress() as bar:
        kind = next(one for one in KINDS if one == kind)
        made = export(project, found, kind, quantization=quantization, out=out, progress=bar)
    _tell_export(made, made.notes, as_json=as_json)


@encoders.command("export")
@click.argument("encoder")
@out_option
@config_option
@json_option("freehold.workflows.train.encoder_export:EncoderExport")
def export_encoder(encoder: str, out: Path | None, config_path: Path | None, as_json: bool) -> None:
    """Write an encoder for any program: ONNX, a program that answers, and a model card.

    The program needs onnxruntime, tokenizers, numpy, msgspec and safetensors, and neither PyTorch nor an installed
    freehold. freehold serve takes the folder, too, and SentenceTransformer(folder) opens it to be tuned on.

    \b
    Example:
      freehold encoders export support
      freehold encoders export support --out support-encoder
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.train.encoder_export import export_encoder as export

    project = open_project(config_path)
    record = _shelf("encoder").find(project, encoder)
    with progress() as bar:
        made = export(project, record, out=out, progress=bar)
    _tell_export(made, made.notes, as_json=as_json)


def _tell_export(made: Any, notes: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    echo(f"{made.path}  ({mib(made.bytes, 1)}, {len(made.files)} files and a card)")
    echo(f"  {made.usage}")
    for note in notes:
        echo(hanging(note, "note: "), err=True)


def _shelf(noun: Literal["adapter", "encoder"]) -> Shelf[Any]:
    from freehold.workflows.weights.trained import ADAPTERS, ENCODERS

    return ADAPTERS if noun == "adapter" else ENCODERS


def _list_command(
    noun: Literal["adapter", "encoder"], record: str, line: Callable[[Any], str], show: Callable[[Any], None]
) -> click.Command:
    @click.command("list")
    @click.argument("name", required=False)
    @config_option
    @json_option(f"{record}[]")
    def command(name: str | None, config_path: Path | None, as_json: bool) -> None:
        from freehold.workflows.project import open_project

        project, shelf = open_project(config_path, looks=True), _shelf(noun)
        found = shelf.list(project) if name is None else [shelf.find(project, name)]
        if as_json:
            print_json(found)
        elif not found:
            echo(f"no {noun}s yet; {shelf.hint}", err=True)
        for one in () if as_json else found:
            show(one) if name is not None else echo(line(one))

    command.help = (
        f"List the project's {noun}s; with a NAME, say of one from what it was made, how, and how it went.\n\n"
        f"\b\nExample:\n  freehold {noun}s list --json\n  freehold {noun}s list support\n"
    )
    return command


def _remove_command(noun: Literal["adapter", "encoder"]) -> click.Command:
    @click.command("rm")
    @click.argument("name")
    @click.option("--yes", is_flag=True, help="Do not ask.")
    @config_option
    @json_option("freehold.types.serving:Removed")
    def command(name: str, yes: bool, config_path: Path | None, as_json: bool) -> None:
        from freehold.types.serving import Removed
        from freehold.workflows.project import open_project

        shelf = _shelf(noun)
        found = shelf.find(open_project(config_path, looks=True), name)
        if not yes:
            agree(f"remove {found.name} ({found.path})?")
        freed = shelf.remove(found)
        if as_json:
            print_json(Removed(name=found.name, freed_bytes=freed))
        else:
            echo(f"freed {mib(freed, 1)}")

    command.help = f"Remove an {noun} and its run.\n\n\b\nExample:\n  freehold {noun}s rm 1a2b3c4d --yes\n"
    return command


def _adapter_line(adapter: TrainingResult) -> str:
    return (
        f"{adapter.id[:12]}  {adapter.name}  {adapter.config.method}  {adapter.base_model}  "
        f"loss {adapter.final_loss:.4f}  {adapter.steps:,} steps"
    )


def print_adapter(adapter: TrainingResult) -> None:
    """An adapter for people."""
    _heading(adapter)
    config = adapter.config
    echo(
        f"  method     {config.method}, r={config.r}, rate {config.learning_rate:g}, "
        f"{config.epochs:g} epochs of batches of {config.batch_size}, seed {adapter.seed}"
    )
    speed = adapter.train_tokens / adapter.train_seconds if adapter.train_seconds else 0.0
    echo(
        f"  trained    {adapter.steps:,} steps, {adapter.train_tokens:,} tokens in "
        f"{adapter.train_seconds:,.0f} s ({speed:,.0f} tokens/s)"
    )
    echo(f"  loss       {sparkline([loss for _, loss in adapter.curve])} {adapter.final_loss:.4f}")
    _ending(adapter)


def _encoder_line(encoder: EncoderModel) -> str:
    return (
        f"{encoder.id[:12]}  {encoder.name}  {encoder.stage}  {encoder.base_model}  {_right(encoder)}  "
        f"{encoder.train_samples:,} samples"
    )


def _print_encoder(encoder: EncoderModel) -> None:
    manifest = encoder.manifest
    _heading(encoder)
    for field in manifest.fields:
        amount = "copied from the message" if field.kind in ("copied", "found") else (
            f"{'any' if field.kind == 'several' else 'one'} of {len(field.labels):,} labels"
        )  # fmt: skip
        echo(f"  answers    {field.name + ': ' if field.name else ''}{amount}")
    tokens = "" if encoder.stage == "words" else f"{manifest.max_tokens:,} tokens of a message, "
    echo(f"  reads      {tokens}{manifest.runs_on}")
    echo(f"  trained    {encoder.stage}, {encoder.train_samples:,} samples in {encoder.train_seconds:,.0f} s")
    error = encoder.calibration_error
    echo(f"  validation {_right(encoder)}" + ("" if error is None else f", calibration error {error:.3f}"))
    _ending(encoder)


def _heading(made: TrainingResult | EncoderModel) -> None:
    echo(f"{made.name} {made.id}")
    echo(f"  base       {made.base_model} ({made.base_sha256[:12]})")
    echo(f"  dataset    {made.dataset_id[:12]}")


def _ending(made: TrainingResult | EncoderModel) -> None:
    if made.peak_memory_bytes is not None:
        echo(f"  memory     {gib(made.peak_memory_bytes, 2)} at the peak")
    echo(f"  {made.path}")


def _right(encoder: EncoderModel) -> str:
    if not encoder.validation_asked:
        return "not validated"
    share = encoder.validation_right / encoder.validation_asked
    return f"{share:.1%} of {encoder.validation_asked:,} right"


def sparkline(values: list[float], width: int = 40) -> str:
    """A curve in one line of block characters, highest value highest."""
    if not values:
        return ""
    size = max(1, -(-len(values) // width))
    means = [sum(values[at : at + size]) / len(values[at : at + size]) for at in range(0, len(values), size)]
    low, high = min(means), max(means)
    blocks = "▁▂▃▄▅▆▇█"
    return "".join(
        blocks[0 if high == low else round((mean - low) / (high - low) * (len(blocks) - 1))] for mean in means
    )


adapters.add_command(
    _list_command("adapter", "freehold.types.training:TrainingResult", _adapter_line, print_adapter)
)
adapters.add_command(_remove_command("adapter"))
encoders.add_command(
    _list_command("encoder", "freehold.types.encoder:EncoderModel", _encoder_line, _print_encoder)
)
encoders.add_command(_remove_command("encoder"))
