"""`freehold dataset`: build, check and show datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo
from freehold.types.dataset import Dataset

if TYPE_CHECKING:
    from freehold.types.dataset import DataCard

_source = click.option(
    "--from", "source_prefix", help="Only traces whose source starts with this (import:FILE, gateway)."
)


@click.group("dataset")
def command() -> None:
    """Turn traces into immutable datasets: curated, split by group without leaks, each with a data card.

    \b
    Example:
      freehold dataset check
      freehold dataset build
      freehold dataset show
    """


@command.command("build")
@_source
@config_option
@json_option("freehold.types.dataset:Dataset")
def build(source_prefix: str | None, config_path: Path | None, as_json: bool) -> None:
    """Build a dataset from the traces in the store. The same traces give the same dataset.

    Personal data and secrets become placeholders, repeats and near repeats leave, nothing held out is also taught:
    see [curate] in freehold.toml.

    \b
    Example:
      freehold dataset build --from import:traffic.jsonl
    """
    from freehold.cli.progress import progress
    from freehold.workflows.data import curate
    from freehold.workflows.data import dataset as workflow
    from freehold.workflows.project import open_project

    with progress() as bar:
        made = workflow.build(open_project(config_path), source_prefix=source_prefix, progress=bar)
    if as_json:
        print_json(made)
        return
    _show(made)
    _warn(curate.read_card(made))


@command.command("check")
@_source
@config_option
@json_option("freehold.types.dataset:DataCard")
def check(source_prefix: str | None, config_path: Path | None, as_json: bool) -> None:
    """Say what a build would find and do: personal data, repeats, leaks, doubtful labels. Keeps nothing.

    \b
    Example:
      freehold dataset check
      freehold dataset check --json | jq .near_duplicates
    """
    from freehold.cli.progress import progress
    from freehold.workflows.data import dataset as workflow
    from freehold.workflows.project import open_project

    with progress() as bar:
        card = workflow.check(open_project(config_path), source_prefix=source_prefix, progress=bar)
    _print_card(card, as_json)


@command.command("show")
@click.argument("dataset", required=False)
@config_option
@json_option("freehold.types.dataset:DataCard")
def show(dataset: str | None, config_path: Path | None, as_json: bool) -> None:
    """Print a dataset's card (default: the latest's): what is in it, where from, under whose terms.

    \b
    Example:
      freehold dataset show > CARD.md
      freehold dataset show 1a2b3c4d --json
    """
    from freehold.errors import UsageError
    from freehold.store import open_store
    from freehold.workflows.data import curate
    from freehold.workflows.data.dataset import find_dataset
    from freehold.workflows.project import open_project

    with open_store(open_project(config_path).reading_url) as store:
        found = find_dataset(store, dataset)
    read = curate.read_card(found)
    if read is None:
        raise UsageError(f"dataset {found.id} has no card", hint="freehold dataset build writes one")
    _print_card(read, as_json)


def _show(dataset: Dataset) -> None:
    echo(f"{dataset.name} {dataset.id}")
    for split in dataset.splits:
        echo(f"  {split.name:<10} {split.samples:>7,} samples in {split.groups:,} groups")
    for reason, count in dataset.dropped.items():
        echo(f"  left out   {count:>7,} {reason}")
    echo(
        f"  targets    {dataset.targets_from.get('gold', 0):>7,} gold, "
        f"{dataset.targets_from.get('incumbent', 0):,} from the incumbent"
    )
    echo(f"  {dataset.path}")


def _warn(card: DataCard | None) -> None:
    if card is None:
        return
    for kind, found in card.replaced.items():
        echo(
            f"  replaced   {found.found:>7,} {kind} in {found.samples:,} samples, {found.different:,} different"
        )
    for warning in card.warnings:
        echo(f"warning: {warning}", err=True)


def _print_card(card: DataCard, as_json: bool) -> None:
    from freehold.datasets.card import card_markdown

    if as_json:
        print_json(card)
    else:
        echo(card_markdown(card).rstrip("\n"))
