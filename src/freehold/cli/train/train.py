"""`freehold train`: teach a small open model the task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from freehold.cli.options import config_option, json_option, print_json, stated
from freehold.cli.output import echo
from freehold.cli.train.adapters import print_adapter
from freehold.types.leak import LeakReport


@click.command("train")
@click.option("--base", help="Model to train on (default: the first candidate that is trained so).")
@click.option("--dataset", help="Dataset: id, name or folder (default: the latest).")
@click.option("--epochs", type=float, help="Passes over the train split.")
@click.option("--max-minutes", type=float, help="Shorten the schedule to end in this time.")
@click.option(
    "--method",
    type=click.Choice(["lora", "qlora", "full"]),
    help="An adapter (lora, on a 4-bit base qlora), or all weights (full).",
)
@click.option(
    "--curve",
    is_flag=True,
    help="Train on an eighth, a quarter, half and all samples, and foretell what twice of them would bring.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say what the run would take: memory, time, steps. Trains nothing."
)
@click.option(
    "--preview",
    "preview_count",
    type=click.IntRange(1, 100),
    help="Show this many samples as tokens, with what is learned in colour. Trains nothing.",
)
@click.option(
    "--leak-test",
    is_flag=True,
    help="Train a copy with planted strings instead, and try to get them out again. Leaves no adapter.",
)
@config_option
@json_option(
    "freehold.types.training:TrainingResult",
    preview="freehold.types.planning.training_plan:TrainingPreview",
    plan="freehold.types.planning.training_plan:TrainingPlan",
    look="freehold.cli.printed:PreviewAndPlan",
    curve="freehold.types.training:TrainingCurve",
    leaks="freehold.types.leak:LeakReport",
)
def command(  # click passes each option
    base: str | None,
    dataset: str | None,
    curve: bool,
    dry_run: bool,
    preview_count: int | None,
    leak_test: bool,
    config_path: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train an adapter on a dataset, loss on the assistant's tokens only, in a child process.

    Options override `[train]` of freehold.toml, and what the candidate of that model says there. A run that was
    interrupted goes on from its checkpoint when the same command is given again; a run that is done is not done again.

    \b
    Example:
      freehold train --preview 3
      freehold train --dry-run
      freehold train
      freehold train --base HuggingFaceTB/SmolLM2-135M-Instruct --epochs 3 --max-minutes 10
      freehold train --curve
      freehold train --leak-test
    """
    import msgspec

    from freehold.cli.progress import progress
    from freehold.cli.train.training_curve import tell_curve
    from freehold.workflows.project import open_project
    from freehold.workflows.train.train import options_for, train_project, training_inputs

    project = open_project(config_path)
    config = msgspec.structs.replace(options_for(project.config, base), **stated(options))
    if dry_run or preview_count is not None:
        from freehold.cli.train.training_plan import tell

        with progress() as bar:
            what = training_inputs(project, base=base, dataset=dataset, name=None, progress=bar)
        tell(project, what, config, preview_count=preview_count, dry_run=dry_run, as_json=as_json)
        return
    if leak_test:
        from freehold.workflows.prove.leak import leak_test as test

        with progress() as bar:
            what = training_inputs(project, base=base, dataset=dataset, name=None, progress=bar)
            report = test(project, what, config=config, progress=bar)
        print_leaks(report, as_json=as_json)
        return
    if curve:
        tell_curve(project, (base, dataset), config, as_json=as_json)
        return
    with progress() as bar:
        what = training_inputs(project, base=base, dataset=dataset, name=None, progress=bar)
        bar.step("train")
        adapter = train_project(project, what, config=config, progress=bar)
    if as_json:
        print_json(adapter)
    else:
        print_adapter(adapter)


def print_leaks(report: LeakReport, *, as_json: bool) -> None:
    """What came out of a model with planted strings, a line a kind."""
    if as_json:
        print_json(report, "leaks")
        return
    for rate in report.rates:
        echo(rate.text)
    for note in report.notes:
        echo(f"note: {note}", err=True)
