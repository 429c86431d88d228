"""`freehold tasks`: which tasks are in a log."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.log_task import LogTask, LogTasks

_SHOWN = 12
_MOST_SKELETON = 3
_SURE = 0.9


@click.command("tasks")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@config_option
@json_option("freehold.types.log_task:LogTasks")
def command(
    files: tuple[Path, ...],
    config_path: Path | None,
    as_json: bool,
) -> None:
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
    from freehold.cli.progress import progress
    from freehold.workflows.journey.log_tasks import tasks_captured, tasks_of_files
    from freehold.workflows.project import open_project

    project = open_project(config_path, looks=True)
    with progress() as bar:
        if files:
            found = tasks_of_files(files, data=project.config.data, progress=bar)
        else:
            found = tasks_captured(project, progress=bar)
    if as_json:
        print_json(found)
        return
    _show(found)


def _show(found: LogTasks) -> None:
    plural = "" if len(found.tasks) == 1 else "s"
    over = "" if found.days is None else f" over {found.days:,.1f} days"
    echo(click.style(f"{len(found.tasks)} task{plural} in {found.requests:,} requests{over}", bold=True))
    if found.rejected:
        echo(f"{found.rejected:,} records could not be read; freehold import --dry-run FILE says why")
    for reason, count in found.passed_over.items():
        echo(f"{count:,} records passed over: {reason}")
    if found.why_no_month:
        echo(hanging(f"no figures a month: {found.why_no_month}", ""))
    for number, task in enumerate(found.tasks[:_SHOWN], 1):
        echo("")
        _show_task(number, task)
    if len(found.tasks) > _SHOWN:
        echo(f"\nand {len(found.tasks) - _SHOWN} more: --json has all")
    echo("\nScore: mean of narrow, frequent, checkable and costly. {…} is a slot.")
    echo("Next: freehold init FILE --task NAME, or --all")


def _show_task(number: int, task: LogTask) -> None:
    echo(click.style(f"{number}. {task.name}", bold=True) + f"  {task.kind}, score {task.score.total:.0f}")
    for line in _skeleton(task.skeleton or "no constant prompt: people's own words"):
        echo(f"   {line}")
    for name, said in _rows(task):
        echo(hanging(said, f"   {name:<9}"))


def _rows(task: LogTask) -> list[tuple[str, str]]:
    rows = [("traffic", _traffic(task)), ("model", _model(task))]
    if task.tools or task.form != "text":
        offered = f"tools {', '.join(task.tools)}" if task.tools else ""
        form = f"answer as {task.form}" if task.form != "text" else ""
        rows.append(("asks for", "; ".join(filter(None, (offered, form)))))
    spoken = [f"{code} {share:.0%}" for code, share in task.languages.items() if share >= 1 - _SURE][:4]
    rows.append(("language", ", ".join(spoken) or "many"))
    rows.append(("check", f"{task.scorer}: {task.scorer_why}" if task.scorer else task.scorer_why))
    rows.append(
        ("method", f"{task.method}: {task.method_why}" if task.method else f"none: {task.method_why}")
    )
    score = task.score
    rows.append(
        ("score", f"narrow {score.narrow:.2f}, frequent {score.frequent:.2f}, "
                  f"checkable {score.checkable:.2f}, costly {score.costly:.2f}")
    )  # fmt: skip
    return rows


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
    width = max(40, min(shutil.get_terminal_size((100, 24)).columns, 120) - 4)
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, width)]
    return (
        lines
        if len(lines) <= _MOST_SKELETON
        else [*lines[: _MOST_SKELETON - 1], lines[_MOST_SKELETON - 1][: width - 2] + " …"]
    )
