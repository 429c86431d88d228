"""`freehold dataset`: build and list datasets."""

from __future__ import annotations

from pathlib import Path

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.types.dataset import Dataset


@click.group("dataset")
def command() -> None:
    """Turn traces into immutable datasets, split by group without leaks.

    \b
    Example:
      freehold dataset build
      freehold dataset list
    """


@command.command("build")
@click.option(
    "--from", "source_prefix", help="Only traces whose source starts with this (import:FILE, gateway)."
)
@config_option
@json_option
def build(source_prefix: str | None, config_path: Path | None, as_json: bool) -> None:
    """Build a dataset from the traces in the store. The same traces give the same dataset.

    \b
    Example:
      freehold dataset build --from import:traffic.jsonl
    """
    from freehold.workflows import dataset as workflow
    from freehold.workflows.project import open_project

    made = workflow.build(open_project(config_path), source_prefix=source_prefix)
    if as_json:
        print_json(made)
    else:
        _show(made)


@command.command("list")
@config_option
@json_option
def list_datasets(config_path: Path | None, as_json: bool) -> None:
    """List the project's datasets, oldest first.

    \b
    Example:
      freehold dataset list --json
    """
    from freehold.workflows import dataset as workflow
    from freehold.workflows.project import open_project

    datasets = workflow.all_datasets(open_project(config_path))
    if as_json:
        print_json(datasets)
        return
    if not datasets:
        click.echo("no datasets yet; freehold dataset build makes one", err=True)
    for dataset in datasets:
        _show(dataset)


def _show(dataset: Dataset) -> None:
    click.echo(f"{dataset.name} {dataset.id}")
    for split in dataset.splits:
        click.echo(f"  {split.name:<10} {split.samples:>7,} samples in {split.groups:,} groups")
    for reason, count in dataset.dropped.items():
        click.echo(f"  left out   {count:>7,} {reason}")
    click.echo(
        f"  targets    {dataset.targets_from.get('gold', 0):>7,} gold, "
        f"{dataset.targets_from.get('incumbent', 0):,} from the incumbent"
    )
    click.echo(f"  {dataset.path}")
