"""`freehold train`: teach a small open model the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from freehold.cli.adapters import print_adapter
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
@click.option("--patience", type=click.IntRange(min=1), help="Stop after so many epochs without progress.")
@click.option("--method", type=click.Choice(["lora", "qlora"]), help="LoRA, or LoRA on a 4-bit base.")
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
    print_adapter(adapter)
