"""`freehold import`: bring logged traffic in; `freehold tasks`: which tasks are in a log; `freehold dataset`: build,
check and show datasets."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from freehold.cli.operation import BAR, Reply, arg, group, opened, operation, opt
from freehold.cli.output import Aside, Block, columns
from freehold.datasets import importing
from freehold.errors import InputError
from freehold.types.config import DataConfig

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.types.application import LogTask, LogTasks
    from freehold.types.dataset import DataCard, Dataset
    from freehold.workflows.data.imports import ImportResult, Preview
    from freehold.workflows.project import Project

SOURCE = opt("Only traces whose source starts with this (import:FILE, gateway).", "--from")
_SHOWN_TASKS = 12
_MOST_SKELETON = 3
_SURE = 0.9


@operation(
    "import",
    "freehold.workflows.data.imports:ImportResult[]",
    preview="freehold.workflows.data.imports:Preview[]",
)
def import_(
    files: tuple[Path, ...] = arg(required=True),
    *,
    held_out: bool = opt("Keep all of it for evaluation, none for training."),
    dry_run: bool = opt(
        "Show how records would be read, what a dataset would hold and what it would leave out; store nothing."
    ),
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Bring logged traffic in as traces. Bad records are kept aside with line and reason, never lost.

    Reads OpenAI fine-tuning files, stored completions, exports of Langfuse, LangSmith, LiteLLM
    and Helicone, OpenTelemetry spans, Hugging Face datasets on disk, CSV, Parquet and JSON lines, compressed or not,
    files or folders. Importing a file again replaces what changed in it; rows that are gone from it are left out.

    \b
    Examples:
      freehold import traffic.jsonl
      freehold import --dry-run langfuse-export.json
      freehold import --held-out --set data.input=text --set data.label=category test.csv
    """
    from freehold.workflows.data.imports import import_file, preview_file

    data = project.config.data
    # What is said for this run stands in the files; the file's answers of the incumbent may be missing as yet.
    named = data if project.changes else DataConfig(input=data.input, label=data.label)
    importing.check_fields(files, data, named)
    if dry_run:
        previews = [preview_file(project, file, data=data, held_out=held_out) for file in files]
        return Reply(previews, _previews, which="preview")
    results = []
    for file in files:
        bar.step(f"import {file.name}")
        results.append(import_file(project, file, data=data, held_out=held_out, progress=bar))
    nothing = [result.file for result in results if result.read == 0]

    def view(results: list[ImportResult]) -> Iterator[Block]:
        for result in results:
            yield from _imported(result)
        if nothing:
            raise InputError(
                "no record could be used",
                path=nothing[0],
                hint="freehold import --dry-run FILE shows how it is read; [data] format, input and label change that",
            )

    return Reply(results, view, 2 if nothing else 0)


def _imported(result: ImportResult) -> Iterator[Block]:
    changed = f", {result.replaced:,} replaced" if result.replaced else ""
    changed += f", {result.gone:,} gone from the file" if result.gone else ""
    yield (
        f"{result.file}: {result.read:,} records read as {result.format}, {result.new:,} new traces{changed}, "
        f"{result.rejected:,} rejected"
    )
    yield from mapping_view(result.mapping)
    if result.holds:
        yield "  holds: " + ", ".join(f"{count:,} {name}" for name, count in result.holds.items())
    for reason, count in result.passed_over.items():
        yield f"  passed over: {count:,} × {reason}"
    for line in result.first_rejects:
        yield Aside(f"  {line}")
    if result.rejects_file:
        yield Aside(f"  all rejects: {result.rejects_file}")


def mapping_view(mapping: dict[str, str]) -> Iterator[Block]:
    """Which field of a log became what."""
    width = max(map(len, mapping), default=0)
    yield from (f"  {name:<{width}}  ← {source}" for name, source in mapping.items())


def _previews(previews: list[Preview]) -> Iterator[Block]:
    for preview in previews:
        yield from _preview(preview)


def _preview(preview: Preview) -> Iterator[Block]:
    yield f"{preview.file}: {preview.format}, {preview.container}; nothing stored"
    yield from mapping_view(preview.mapping)
    for reason, count in preview.left_out.items():
        yield f"    {count:>8,} left out: {reason}"
    for trace in preview.first:
        yield f"\n  {trace.source.rpartition('#')[2]:>5}  asked of {trace.model or 'a model not named'}"
        for message in trace.request["messages"]:
            yield f"         {message['role']}: {_short(message)}"
        if trace.response:
            yield f"         → {_short(trace.response['choices'][0]['message'])}"
        for name in ("gold", "desirable", "conversation_id", "user"):
            value = getattr(trace, name)
            if value is not None:
                yield f"         {name}: {' '.join(str(value).split())[:100]}"
    for line in preview.first_rejects:
        yield Aside(f"  reject, {line}")


def _short(message: dict[str, object]) -> str:
    said = message.get("content")
    if message.get("tool_calls"):
        said = msgspec.json.encode(message["tool_calls"]).decode()
    text = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:99] + "…"


@operation("tasks", "freehold.types.application:LogTasks")
def tasks(
    files: tuple[Path, ...] = arg(), *, project: Project = opened(looks=True), bar: Progress = BAR
) -> Reply:
    """Which tasks are in a log (without FILES: in this project's traces), and which one to move first.

    Requests belong together when their prompt has the same constant pieces, whatever changes in between (names, times,
    documents), and when they offer the same tools, ask for the same form of answer and go to the same model. Tasks are
    ranked by how narrow, frequent, checkable and costly they are. Columns of tables are those of [data]. Nothing is
    stored.

    \b
    Examples:
      freehold tasks traffic.jsonl
      freehold tasks --json
      freehold init traffic.jsonl --task NAME
    """
    from freehold.workflows.journey.log_tasks import tasks_captured, tasks_of_files

    if files:
        found = tasks_of_files(files, data=project.config.data, progress=bar)
    else:
        found = tasks_captured(project, progress=bar)
    return Reply(found, _tasks_view)


def _tasks_view(found: LogTasks) -> Iterator[Block]:
    plural = "" if len(found.tasks) == 1 else "s"
    over = "" if found.days is None else f" over {found.days:,.1f} days"
    yield click.style(f"{len(found.tasks)} task{plural} in {found.requests:,} requests{over}", bold=True)
    if found.rejected:
        yield f"{found.rejected:,} records could not be read; freehold import --dry-run FILE says why"
    for reason, count in found.passed_over.items():
        yield f"{count:,} records passed over: {reason}"
    if found.why_no_month:
        yield f"no figures a month: {found.why_no_month}"
    for number, task in enumerate(found.tasks[:_SHOWN_TASKS], 1):
        yield ""
        yield from _task(number, task)
    if len(found.tasks) > _SHOWN_TASKS:
        yield f"\nand {len(found.tasks) - _SHOWN_TASKS} more: --json has all"
    yield "\nScore: mean of narrow, frequent, checkable and costly. {…} is a slot."
    yield "Next: freehold init FILE --task NAME, or --all"


def _task(number: int, task: LogTask) -> Iterator[Block]:
    yield click.style(f"{number}. {task.name}", bold=True) + f"  {task.kind}, score {task.score.total:.0f}"
    yield from (f"   {line}" for line in _skeleton(task.skeleton or "no constant prompt: people's own words"))
    yield "traffic", _traffic(task)
    yield "model", _model(task)
    offered = f"tools {', '.join(task.tools)}" if task.tools else ""
    form = f"answer as {task.form}" if task.form != "text" else ""
    yield "asks for", "; ".join(filter(None, (offered, form)))
    spoken = [f"{code} {share:.0%}" for code, share in task.languages.items() if share >= 1 - _SURE][:4]
    yield "language", ", ".join(spoken) or "many"
    yield "check", f"{task.scorer}: {task.scorer_why}" if task.scorer else task.scorer_why
    yield "method", f"{task.method}: {task.method_why}" if task.method else f"none: {task.method_why}"
    score = task.score
    yield (
        "score",
        f"narrow {score.narrow:.2f}, frequent {score.frequent:.2f}, checkable {score.checkable:.2f}, "
        f"costly {score.costly:.2f}",
    )


def _traffic(task: LogTask) -> str:
    parts = [f"{task.requests:,} requests ({task.share:.0%})"]
    if task.requests_per_month is not None:
        parts.append(f"{task.requests_per_month:,.0f} a month")
    if task.usd_per_month is not None:
        parts.append(f"${task.usd_per_month:,.2f} a month")
    about = "about " if task.estimated_tokens else ""
    parts.append(f"{about}{task.prompt_tokens:,.0f} tokens in, {task.completion_tokens:,.0f} out")
    return ", ".join(parts)


def _model(task: LogTask) -> str:
    said = [task.model or "not named in the log"]
    if task.days_left is not None:
        when = f"{task.days_left:,} days left" if task.days_left >= 0 else "in the past"
        said.append(f"shut down on {task.retires} ({when})")
    if task.why_no_price is not None and task.model:
        said.append(task.why_no_price)
    return ", ".join(said)


def _skeleton(text: str) -> list[str]:
    width = max(40, min((columns() if columns() < 100_000 else 100), 120) - 4)
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, width)]
    return (
        lines
        if len(lines) <= _MOST_SKELETON
        else [*lines[: _MOST_SKELETON - 1], lines[_MOST_SKELETON - 1][: width - 2] + " …"]
    )


@group("dataset")
def dataset() -> None:
    """Turn traces into immutable datasets: curated, split by group without leaks, each with a data card.

    \b
    Example:
      freehold dataset check
      freehold dataset build
      freehold dataset show
    """


@operation("build", "freehold.types.dataset:Dataset", within=dataset)
def build(
    *,
    source_prefix: str | None = SOURCE,
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Build a dataset from the traces in the store. The same traces give the same dataset.

    Personal data and secrets become placeholders, repeats and near repeats leave, nothing held out is also taught:
    see [curate] in freehold.toml.

    \b
    Example:
      freehold dataset build --from import:traffic.jsonl
    """
    from freehold.workflows.data import curate
    from freehold.workflows.data import dataset as workflow

    made = workflow.build(project, source_prefix=source_prefix, progress=bar)
    return Reply(made, lambda made: _built(made, curate.read_card(made)))


@operation("check", "freehold.types.dataset:DataCard", within=dataset)
def check(
    *,
    source_prefix: str | None = SOURCE,
    project: Project = opened(),
    bar: Progress = BAR,
) -> Reply:
    """Say what a build would find and do: personal data, repeats, leaks, doubtful labels. Keeps nothing.

    \b
    Example:
      freehold dataset check
      freehold dataset check --json | jq .near_duplicates
    """
    from freehold.workflows.data import dataset as workflow

    card = workflow.check(project, source_prefix=source_prefix, progress=bar)
    return Reply(card, _card_view)


@operation("show", "freehold.types.dataset:DataCard", within=dataset)
def show(dataset: str | None = arg(), *, project: Project = opened()) -> Reply:
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

    with open_store(project.reading_url) as store:
        found = find_dataset(store, dataset)
    read = curate.read_card(found)
    if read is None:
        raise UsageError(f"dataset {found.id} has no card", hint="freehold dataset build writes one")
    return Reply(read, _card_view)


def _built(dataset: Dataset, card: DataCard | None) -> Iterator[Block]:
    yield f"{dataset.name} {dataset.id}"
    for split in dataset.splits:
        yield f"  {split.name:<10} {split.samples:>7,} samples in {split.groups:,} groups"
    for reason, count in dataset.dropped.items():
        yield f"  left out   {count:>7,} {reason}"
    targets = dataset.targets_from
    yield f"  targets    {targets.get('gold', 0):>7,} gold, {targets.get('incumbent', 0):,} from the incumbent"
    yield f"  {dataset.path}"
    for kind, found in card.replaced.items() if card else ():
        what = f"{kind} in {found.samples:,} samples, {found.different:,} different"
        yield f"  replaced   {found.found:>7,} {what}"
    yield from (Aside(f"warning: {warning}") for warning in (card.warnings if card else ()))


def _card_view(card: DataCard) -> Iterator[Block]:
    from freehold.datasets.card import card_markdown

    yield card_markdown(card).rstrip("\n")
