"""`freehold init`: a first freehold.toml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.data import mapping_view
from freehold.cli.operation import BAR, Reply, arg, operation, opt
from freehold.cli.options import stated
from freehold.cli.output import Block, hanging
from freehold.datasets.importing import FORMATS
from freehold.errors import UsageError
from freehold.types.config import DataConfig

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.workflows.journey.init import Draft
    from freehold.workflows.journey.init_tasks import TaskDrafts


@operation(
    "init",
    "freehold.workflows.journey.init:Draft",
    task="freehold.workflows.journey.init_tasks:TaskDraft",
    tasks="freehold.workflows.journey.init_tasks:TaskDrafts",
)
def init(
    files: tuple[Path, ...] = arg(),
    *,
    held_out: tuple[Path, ...] = opt(
        "A file kept for the proof, never trained on (may be given several times)."
    ),
    incumbent: str | None = opt("The model you pay for today (default: the one the files name most often)."),
    kind: str | None = opt(
        f"Format of the files: {', '.join(FORMATS)}.", "--format", choices=FORMATS, metavar="NAME"
    ),
    asked: str | None = opt("Column of the question, for tables.", "--input"),
    label: str | None = opt("Column of the right answer, for tables."),
    task: str | None = opt("Only the requests of this task, as freehold tasks names it.", metavar="NAME"),
    every: bool = opt("One project for each task, in a folder of its name.", "--all"),
    folder: Path = opt("Folder to write into.", "--dir", Path()),
    bar: Progress = BAR,
) -> Reply:
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
    from freehold.workflows.journey.init_tasks import draft_all, draft_task
    from freehold.workflows.project import open_project

    data = DataConfig(**stated({"format": kind, "input": asked, "label": label}))
    wanted = DraftRequest(folder, files, held_out, incumbent=incumbent, data=data)
    if task is None and not every:
        return Reply(draft(wanted), _draft_view)
    if task is not None and every:
        raise UsageError("--task and --all exclude each other", hint="name one task, or take all")
    source = None if files else open_project(None, must_exist=True)
    if task is not None:
        one = draft_task(wanted, task, captured=source, progress=bar)
        return Reply(one, lambda one: _draft_view(one.draft), which="task")
    return Reply(draft_all(wanted, captured=source, progress=bar), _drafts_view, which="tasks")


def _drafts_view(made: TaskDrafts) -> Iterator[Block]:
    width = max(len(written.task) for written in made.drafts)
    for written in made.drafts:
        scorer = written.draft.scorer or "no scorer"
        yield f"{written.task:<{width}}  {written.requests:>9,} requests  {scorer}"
        yield f"  {written.draft.path}"
    for name, why in made.left_out.items():
        yield hanging(why, f"{name:<{width}}  left out: ")
    plural = "" if len(made.drafts) == 1 else "s"
    yield click.style(f"\nwritten: {len(made.drafts)} project{plural}", bold=True)


def _draft_view(drafted: Draft) -> Iterator[Block]:
    for seen in drafted.seen:
        count = f"{seen.records:,} records" + ("" if seen.whole else " looked at, there are more")
        yield f"{seen.file}: {seen.format}, {count}, {seen.rejected:,} rejected"
        if seen.first_reject:
            yield f"  first reject, {seen.first_reject}"
        yield from mapping_view(seen.mapping)
    if drafted.seen:
        yield f"  model   {drafted.incumbent or 'not named in the files'}"
        yield f"  scorer  {drafted.scorer}: {drafted.scorer_why}" if drafted.scorer else "  scorer  not known"
    yield click.style(f"\nwritten: {drafted.path}", bold=True)
    if drafted.rented is not None:
        yield drafted.rented
    yield "Still up to you:"
    yield from (f"  · {line}" for line in drafted.open)
    if drafted.least is not None:
        yield f"Then: bring at least {drafted.least:,} records; with fewer freehold migrate can prove nothing"
    else:
        yield "Then: freehold migrate" if drafted.seen else "Then: freehold up"
