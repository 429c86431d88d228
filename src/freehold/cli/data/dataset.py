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
      freehold dataset card
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


@command.command("card")
@click.argument("dataset", required=False)
@config_option
@json_option("freehold.types.dataset:DataCard")
def card(dataset: str | None, config_path: Path | None, as_json: bool) -> None:
    """Print a dataset's card (default: the latest's): what is in it, where from, under whose terms.

    \b
    Example:
      freehold dataset card > CARD.md
    """
    from freehold.errors import UsageError
    from freehold.workflows.data import curate
    from freehold.workflows.project import open_project

    found = _find(open_project(config_path), dataset)
    read = curate.read_card(found)
    if read is None:
        raise UsageError(
            f"dataset {found.id} has no card",
            hint="freehold dataset build writes one",
        )
    _print_card(read, as_json)


@command.command("list")
@config_option
@json_option("freehold.types.dataset:Dataset[]")
def list_datasets(config_path: Path | None, as_json: bool) -> None:
    """List the project's datasets, oldest first.

    \b
    Example:
      freehold dataset list --json
    """
    from freehold.workflows.data import dataset as workflow
    from freehold.workflows.project import open_project

    datasets = workflow.all_datasets(open_project(config_path))
    if as_json:
        print_json(datasets)
        return
    if not datasets:
        echo("no datasets yet; freehold dataset build makes one", err=True)
    for dataset in datasets:
        _show(dataset)


@command.command("show")
@click.argument("dataset", required=False)
@config_option
@json_option("freehold.types.dataset:Dataset")
def show(dataset: str | None, config_path: Path | None, as_json: bool) -> None:
    """Show a dataset (default: the latest): splits, hashes, recipe, what was left out.

    \b
    Example:
      freehold dataset show 1a2b3c4d
      freehold dataset show --json
    """
    from freehold.workflows.project import open_project

    found = _find(open_project(config_path), dataset)
    if as_json:
        print_json(found)
        return
    _show(found)
    for part in found.splits:
        echo(f"  {part.name:<10} sha256 {part.sha256}")
    for name, value in found.recipe.items():
        if value is not None:
            echo(f"  recipe     {name} = {value}")
    for source in found.made_from:
        echo(f"  made from  {source}")


@command.command("request")
@click.argument("sample", required=False)
@click.option("--text", help="Ask this instead of a sample.")
@config_option
@json_option("freehold.workflows.tell.request:ShownRequest")
def request(
    sample: str | None,
    text: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Print what the chosen model is sent for a sample (default: the first held-out one): its examples and prompt.

    The application sends its own request; this is what becomes of it on the way.

    \b
    Example:
      freehold dataset request
      freehold dataset request --text "where is my parcel?" --json
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.tell import request as workflow

    shown = workflow.request(open_project(config_path), sample, text=text)
    if as_json:
        print_json(shown)
        return
    for message in shown.body["messages"]:
        content = message["content"]
        lines = (content if isinstance(content, str) else str(content)).splitlines() or [""]
        for place, line in enumerate(lines):
            echo(f"{message['role'] if place == 0 else '':<10} {line}")
    if shown.unprepared is not None:
        echo(f"it goes to {shown.model} as it came: {shown.unprepared}", err=True)
    elif shown.preparation is None:
        echo(f"{shown.model} is asked as the application asks", err=True)
    else:
        echo(
            f"{shown.model} is sent this, {shown.examples} examples included (preparation {shown.preparation[:8]})",
            err=True,
        )


def _find(project: object, dataset: str | None) -> Dataset:
    from freehold.store import open_store
    from freehold.workflows.data.dataset import find_dataset
    from freehold.workflows.project import Project

    assert isinstance(project, Project)
    with open_store(project.reading_url) as store:
        return find_dataset(store, dataset)


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
