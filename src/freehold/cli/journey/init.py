"""`freehold init`: a first freehold.toml."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import hanging, json_option, print_json, stated
from freehold.cli.output import echo
from freehold.datasets.importing import FORMATS
from freehold.errors import UsageError
from freehold.types.config import DataConfig

if TYPE_CHECKING:
    from freehold.workflows.journey.init import Draft, DraftRequest


@click.command("init")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--held-out",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A file kept for the proof, never trained on (may be given several times).",
)
@click.option("--incumbent", help="The model you pay for today (default: the one the files name most often).")
@click.option("--format", "kind", type=click.Choice(FORMATS), metavar="NAME", help="Format of the files.")
@click.option("--input", "asked", help="Column of the question, for tables.")
@click.option("--label", help="Column of the right answer, for tables.")
@click.option("--task", metavar="NAME", help="Only the requests of this task, as freehold tasks names it.")
@click.option("--all", "every", is_flag=True, help="One project for each task, in a folder of its name.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), default=".", help="Folder to write into.")
@json_option(
    "freehold.workflows.journey.init:Draft",
    task="freehold.workflows.journey.init_tasks:TaskDraft",
    tasks="freehold.workflows.journey.init_tasks:TaskDrafts",
)
def command(
    kind: str | None,
    asked: str | None,
    label: str | None,
    task: str | None,
    every: bool,
    as_json: bool,
    **request: Any,
) -> None:
    """Write a first freehold.toml from what your traffic log tells: format, model, scorer, sizes.

    Nothing is imported, asked or trained. What the files cannot tell is listed at the end. With --task or --all and
    no files, the traces of the project here are taken.

    \b
    Examples:
      freehold init traffic.jsonl
      freehold init train.csv --held-out test.csv --input text --label category
      freehold init --incumbent gpt-4o-2024-08-06
      freehold init traffic.jsonl --all --dir tasks
      freehold init --task NAME --dir tasks/NAME
    """
    from freehold.workflows.journey.init import DraftRequest, draft

    given = stated({"format": kind, "input": asked, "label": label})
    wanted = DraftRequest(data=DataConfig(**given), **request)
    if task is not None or every:
        _init_tasks(wanted, task, every=every, as_json=as_json)
        return
    drafted = draft(wanted)
    if as_json:
        print_json(drafted)
        return
    _show(drafted)


def _init_tasks(wanted: DraftRequest, task: str | None, *, every: bool, as_json: bool) -> None:
    from freehold.cli.progress import progress
    from freehold.workflows.journey.init_tasks import draft_all, draft_task
    from freehold.workflows.project import open_project

    if task is not None and every:
        raise UsageError("--task and --all exclude each other", hint="name one task, or take all")
    source = None if wanted.files else open_project(None, must_exist=True)
    with progress() as bar:
        if task is not None:
            one = draft_task(wanted, task, captured=source, progress=bar)
        else:
            made = draft_all(wanted, captured=source, progress=bar)
    if as_json:
        if task is not None:
            print_json(one, "task")
        else:
            print_json(made, "tasks")
    elif task is not None:
        _show(one.draft)
    else:
        width = max(len(written.task) for written in made.drafts)
        for written in made.drafts:
            scorer = written.draft.scorer or "no scorer"
            echo(f"{written.task:<{width}}  {written.requests:>9,} requests  {scorer}")
            echo(f"  {written.draft.path}")
        for name, why in made.left_out.items():
            echo(hanging(why, f"{name:<{width}}  left out: "))
        plural = "" if len(made.drafts) == 1 else "s"
        echo(click.style(f"\nwritten: {len(made.drafts)} project{plural}", bold=True))


def _show(drafted: Draft) -> None:
    for seen in drafted.seen:
        count = f"{seen.records:,} records" + ("" if seen.whole else " looked at, there are more")
        echo(f"{seen.file}: {seen.format}, {count}, {seen.rejected:,} rejected")
        if seen.first_reject:
            echo(f"  first reject, {seen.first_reject}")
        width = max(map(len, seen.mapping), default=0)
        for people, source in seen.mapping.items():
            echo(f"  {people:<{width}}  ← {source}")
    if drafted.seen:
        echo(f"  model   {drafted.incumbent or 'not named in the files'}")
        echo(f"  scorer  {drafted.scorer}: {drafted.scorer_why}" if drafted.scorer else "  scorer  not known")
    echo(click.style(f"\nwritten: {drafted.path}", bold=True))
    if drafted.rented is not None:
        echo(hanging(drafted.rented, ""))
    echo("Still up to you:")
    for line in drafted.open:
        echo(hanging(line, "  · "))
    echo("Then: freehold migrate" if drafted.seen else "Then: freehold up")
