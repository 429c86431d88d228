"""`freehold train`: teach a small open model the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from freehold.cli.options import config_option, json_option, print_json


@click.command("train")
@click.option("--base", help="Model to train on (default: the first of candidates.models).")
@click.option("--dataset", help="Dataset: id, name or folder (default: the latest).")
@click.option("--name", help="Name of the adapter (default: app.name).")
@click.option("--epochs", type=float, help="Passes over the train split.")
@click.option("-r", "--rank", "r", type=click.IntRange(min=1), help="Rank of the adapter.")
@click.option("--learning-rate", type=float, help="Peak learning rate.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Samples per optimizer step.")
@click.option("--max-minutes", type=float, help="Shorten the schedule to end in this time.")
@click.option("--seed", type=int, help="Seed of initial weights and sample order.")
@config_option
@json_option
def command(
    base: str | None,
    dataset: str | None,
    name: str | None,
    config_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train an adapter on a dataset: LoRA, loss on the assistant's tokens only, in a child process.

    Options override `[train]` of freehold.toml. A run that was interrupted goes on from its checkpoint when
    the same command is given again; a run that is done is not done again.

    \b
    Example:
      freehold train
      freehold train --base HuggingFaceTB/SmolLM2-135M-Instruct --epochs 3 --max-minutes 10
    """
    import msgspec

    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.train import train_project

    project = open_project(config_path)
    given = {key: value for key, value in options.items() if value is not None}
    config = msgspec.structs.replace(project.config.train, **given)
    with progress() as bar:
        bar.step("train")
        adapter = train_project(project, config=config, base=base, dataset=dataset, name=name, progress=bar)
    if as_json:
        print_json(adapter)
        return
    click.echo(f"{adapter.name} {adapter.id}")
    click.echo(f"  base       {adapter.base_model}")
    speed = adapter.train_tokens / adapter.train_seconds if adapter.train_seconds else 0.0
    click.echo(
        f"  trained    {adapter.steps:,} steps, {adapter.train_tokens:,} tokens in "
        f"{adapter.train_seconds:,.0f} s ({speed:,.0f} tokens/s)"
    )
    click.echo(f"  loss       {adapter.final_loss:.4f}")
    if adapter.peak_memory_bytes is not None:
        click.echo(f"  memory     {adapter.peak_memory_bytes / 2**30:.2f} GiB at the peak")
    click.echo(f"  {adapter.path}")
