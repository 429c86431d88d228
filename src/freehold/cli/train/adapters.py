"""`freehold adapters`: list, show, export and remove what was trained."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import agree, config_option, hanging, json_option, print_json
from freehold.cli.output import echo
from freehold.types.training import TrainingResult
from freehold.types.units import gib, mib


@click.group("adapters")
def command() -> None:
    """List, show, export and remove trained adapters.

    \b
    Example:
      freehold adapters list
      freehold adapters show support
      freehold adapters export support --as gguf
    """


@command.command("list")
@config_option
@json_option("freehold.types.training:TrainingResult[]")
def list_command(config_path: Path | None, as_json: bool) -> None:
    """List the project's adapters.

    \b
    Example:
      freehold adapters list --json
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.train import adapters as workflow

    adapters = workflow.list_adapters(open_project(config_path))
    if as_json:
        print_json(adapters)
        return
    if not adapters:
        echo("no adapters yet; freehold train makes one", err=True)
    for adapter in adapters:
        echo(
            f"{adapter.id[:12]}  {adapter.name}  {adapter.config.method}  {adapter.base_model}  "
            f"loss {adapter.final_loss:.4f}  {adapter.steps:,} steps"
        )


@command.command("show")
@click.argument("adapter")
@config_option
@json_option("freehold.types.training:TrainingResult")
def show(adapter: str, config_path: Path | None, as_json: bool) -> None:
    """Show an adapter's manifest: from what, how, and how it went.

    \b
    Example:
      freehold adapters show support
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.train import adapters as workflow

    found = workflow.find_adapter(open_project(config_path), adapter)
    if as_json:
        print_json(found)
    else:
        print_adapter(found)


@command.command("export")
@click.argument("adapter")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["peft", "merged", "gguf-adapter", "gguf", "ollama", "vllm"]),
    required=True,
    help="What to write.",
)
@click.option("--quant", "quantization", help="For gguf (default Q8_0) and ollama: Q8_0, F16, Q4_K_M …")
@click.option("--base", help="The base's weights, where they are not found by their name: file:PATH.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder (default: exports/…).")
@config_option
@json_option("freehold.workflows.train.export:Export")
def export(  # click passes each option
    adapter: str,
    kind: str,
    quantization: str | None,
    base: str | None,
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
    from freehold.workflows.train import adapters as workflow
    from freehold.workflows.train.export import export as run
    from freehold.workflows.train.export_kinds import KINDS, ExportOptions
    from freehold.workflows.weights.pull import ensure_weights

    project = open_project(config_path)
    found = workflow.find_adapter(project, adapter)
    with progress() as bar:
        made = run(
            project,
            found,
            ExportOptions(
                kind=next(one for one in KINDS if one == kind),
                quantization=quantization,
            ),
            out=out,
            base=None if base is None else ensure_weights(base, project.settings, progress=bar),
            progress=bar,
        )
    if as_json:
        print_json(made)
        return
    echo(f"{made.path}  ({mib(made.bytes, 1)}, {len(made.files)} files and a card)")
    echo(f"  {made.usage}")
    for note in made.notes:
        echo(hanging(note, "note: "), err=True)


@command.command("rm")
@click.argument("adapter")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option("freehold.types.removal:Removed")
def remove(adapter: str, yes: bool, config_path: Path | None, as_json: bool) -> None:
    """Remove an adapter and its run.

    \b
    Example:
      freehold adapters rm 1a2b3c4d --yes
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.train import adapters as workflow

    found = workflow.find_adapter(open_project(config_path), adapter)
    if not yes:
        agree(f"remove {found.name} ({found.path})?")
    freed = workflow.remove(found)
    if as_json:
        from freehold.types.removal import Removed

        print_json(Removed(name=found.name, freed_bytes=freed))
        return
    echo(f"freed {mib(freed, 1)}")


def print_adapter(adapter: TrainingResult) -> None:
    """An adapter for people."""
    echo(f"{adapter.name} {adapter.id}")
    echo(f"  base       {adapter.base_model} ({adapter.base_sha256[:12]})")
    echo(f"  dataset    {adapter.dataset_id[:12]}")
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
    if adapter.peak_memory_bytes is not None:
        echo(f"  memory     {gib(adapter.peak_memory_bytes, 2)} at the peak")
    echo(f"  {adapter.path}")


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
