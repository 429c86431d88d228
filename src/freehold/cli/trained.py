"""`freehold adapters` and `freehold encoders`: list, export and remove what was trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from freehold.cli.operation import BAR, YES, CommandGroup, Reply, arg, group, opened, operation, opt
from freehold.cli.options import agree
from freehold.cli.output import Aside, Block
from freehold.types.encoder import EncoderModel
from freehold.types.serving import Removed
from freehold.types.training import TrainingResult
from freehold.visible import gib, mib

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.workflows.project import Project
    from freehold.workflows.weights.trained import Shelf


@group("adapters")
def adapters() -> None:
    """List, export and remove trained adapters.

    \b
    Example:
      freehold adapters list
      freehold adapters list support
      freehold adapters export support --as gguf
    """


@group("encoders")
def encoders() -> None:
    """List, export and remove trained encoders.

    \b
    Example:
      freehold encoders list
      freehold encoders export support
      freehold serve support
    """


@operation("export", "freehold.workflows.train.export:Export", within=adapters)
def export_adapter(
    adapter: str = arg(),
    *,
    kind: str = opt(
        "What to write.", "--as", choices=["peft", "merged", "gguf-adapter", "gguf", "ollama", "vllm"]
    ),
    quantization: str | None = opt("For gguf (default Q8_0) and ollama: Q8_0, F16, Q4_K_M …", "--quant"),
    out: Path | None = opt("Folder (default: exports/…).", file_okay=False),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Write an adapter for another tool, with a model card: lineage, data, duties, figures.

    peft: the adapter. merged: whole safetensors. gguf-adapter, gguf: the same for llama.cpp. ollama: a Modelfile with
    the base and the adapter, or with the merged model when --quant names one. vllm: whole safetensors and a vllm.yaml.

    \b
    Example:
      freehold adapters export support --as merged
      freehold adapters export support --as gguf --quant Q4_K_M
      freehold adapters export support --as ollama --out support-ollama
    """
    from freehold.workflows.train.export import export
    from freehold.workflows.train.export_kinds import KINDS

    found = _shelf("adapter").find(project, adapter)
    kind = next(one for one in KINDS if one == kind)
    made = export(project, found, kind, quantization=quantization, out=out, progress=bar)
    return Reply(made, _export_view)


@operation("export", "freehold.workflows.train.encoder_export:EncoderExport", within=encoders)
def export_encoder(
    encoder: str = arg(),
    *,
    out: Path | None = opt("Folder (default: exports/…).", file_okay=False),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Write an encoder for any program: ONNX, a program that answers, and a model card.

    The program needs onnxruntime, tokenizers, numpy, msgspec and safetensors, and neither PyTorch nor an installed
    freehold. freehold serve takes the folder, too, and SentenceTransformer(folder) opens it to be tuned on.

    \b
    Example:
      freehold encoders export support
      freehold encoders export support --out support-encoder
    """
    from freehold.workflows.train.encoder_export import export_encoder as export

    record = _shelf("encoder").find(project, encoder)
    made = export(project, record, out=out, progress=bar)
    return Reply(made, _export_view)


def _export_view(made: Any) -> Iterator[Block]:
    yield f"{made.path}  ({mib(made.bytes, 1)}, {len(made.files)} files and a card)"
    yield f"  {made.usage}"
    yield from (Aside(f"note: {note}") for note in made.notes)


def _shelf(noun: Literal["adapter", "encoder"]) -> Shelf[Any]:
    from freehold.workflows.weights.trained import ADAPTERS, ENCODERS

    return ADAPTERS if noun == "adapter" else ENCODERS


def _shelf_commands(
    noun: Literal["adapter", "encoder"],
    within: CommandGroup,
    record: str,
    line: Callable[[Any], str],
    view: Callable[[Any], Iterator[Block]],
) -> None:
    """`list` and `rm`, which adapters and encoders have alike."""

    def list_command(name: str | None = arg(), *, project: Project = opened(looks=True)) -> Reply:
        shelf = _shelf(noun)
        if name is not None:
            found = shelf.find(project, name)
            return Reply([found], lambda _: view(found))
        why_none = Aside(f"no {noun}s yet; {shelf.hint}")
        return Reply(shelf.list(project), lambda found: map(line, found) if found else [why_none])

    def remove_command(name: str = arg(), *, yes: bool = YES, project: Project = opened(looks=True)) -> Reply:
        shelf = _shelf(noun)
        found = shelf.find(project, name)
        if not yes:
            agree(f"remove {found.name} ({found.path})?")
        freed = shelf.remove(found)
        return Reply(Removed(name=found.name, freed_bytes=freed), lambda _: [f"freed {mib(freed, 1)}"])

    list_command.__doc__ = (
        f"List the project's {noun}s; with a NAME, say of one from what it was made, how, and how it went.\n\n"
        f"\b\nExample:\n  freehold {noun}s list --json\n  freehold {noun}s list support\n"
    )
    remove_command.__doc__ = (
        f"Remove an {noun} and its run.\n\n\b\nExample:\n  freehold {noun}s rm 1a2b3c4d --yes\n"
    )
    operation("list", f"{record}[]", within=within)(list_command)
    operation("rm", "freehold.types.serving:Removed", within=within)(remove_command)


def _adapter_line(adapter: TrainingResult) -> str:
    return (
        f"{adapter.id[:12]}  {adapter.name}  {adapter.config.method}  {adapter.base_model}  "
        f"loss {adapter.final_loss:.4f}  {adapter.steps:,} steps"
    )


def adapter_view(adapter: TrainingResult) -> Iterator[Block]:
    """An adapter for people."""
    config = adapter.config
    yield from _heading(adapter)
    yield (
        "method",
        f"{config.method}, r={config.r}, rate {config.learning_rate:g}, {config.epochs:g} epochs of batches of "
        f"{config.batch_size}, seed {adapter.seed}",
    )
    speed = adapter.train_tokens / adapter.train_seconds if adapter.train_seconds else 0.0
    yield (
        "trained",
        f"{adapter.steps:,} steps, {adapter.train_tokens:,} tokens in {adapter.train_seconds:,.0f} s "
        f"({speed:,.0f} tokens/s)",
    )
    yield "loss", f"{sparkline([loss for _, loss in adapter.curve])} {adapter.final_loss:.4f}"
    yield from _ending(adapter)


def _encoder_line(encoder: EncoderModel) -> str:
    return (
        f"{encoder.id[:12]}  {encoder.name}  {encoder.stage}  {encoder.base_model}  {_right(encoder)}  "
        f"{encoder.train_samples:,} samples"
    )


def _encoder_view(encoder: EncoderModel) -> Iterator[Block]:
    manifest = encoder.manifest
    yield from _heading(encoder)
    for field in manifest.fields:
        amount = f"{'any' if field.kind == 'several' else 'one'} of {len(field.labels):,} labels"
        if field.kind in ("copied", "found"):
            amount = "copied from the message"
        yield "answers", f"{field.name + ': ' if field.name else ''}{amount}"
    tokens = "" if encoder.stage == "words" else f"{manifest.max_tokens:,} tokens of a message, "
    yield "reads", f"{tokens}{manifest.runs_on}"
    yield "trained", f"{encoder.stage}, {encoder.train_samples:,} samples in {encoder.train_seconds:,.0f} s"
    error = encoder.calibration_error
    yield "validation", _right(encoder) + ("" if error is None else f", calibration error {error:.3f}")
    yield from _ending(encoder)


def _heading(made: TrainingResult | EncoderModel) -> Iterator[Block]:
    yield f"{made.name} {made.id}"
    yield "base", f"{made.base_model} ({made.base_sha256[:12]})"
    yield "dataset", made.dataset_id[:12]


def _ending(made: TrainingResult | EncoderModel) -> Iterator[Block]:
    if made.peak_memory_bytes is not None:
        yield "memory", f"{gib(made.peak_memory_bytes, 2)} at the peak"
    yield f"  {made.path}"


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


_shelf_commands("adapter", adapters, "freehold.types.training:TrainingResult", _adapter_line, adapter_view)
_shelf_commands("encoder", encoders, "freehold.types.encoder:EncoderModel", _encoder_line, _encoder_view)
