"""`freehold train`: teach a small open model the task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.train.trained import print_adapter


@click.command("train")
@click.option("--base", help="Model to train on (default: the first candidate that is trained so).")
@click.option("--dataset", help="Dataset: id, name or folder (default: the latest).")
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
    preview="freehold.types.training:TrainingPreview",
    plan="freehold.types.training:TrainingPlan",
    curve="freehold.types.training:TrainingCurve",
    leaks="freehold.types.gates:LeakReport",
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
) -> None:
    """Train an adapter on a dataset, loss on the assistant's tokens only, in a child process.

    How is said by `[train]` of freehold.toml, and by what the candidate of that model says there. A run that was
    interrupted goes on from its checkpoint when the same command is given again; a run that is done is not done again.

    \b
    Example:
      freehold train --preview 3
      freehold train --dry-run
      freehold train
      freehold train --base HuggingFaceTB/SmolLM2-135M-Instruct
      freehold train --curve
      freehold train --leak-test
    """
    from freehold.cli.progress import progress
    from freehold.cli.train import shown
    from freehold.workflows.project import open_project
    from freehold.workflows.prove.leak import leak_test as find_leaks
    from freehold.workflows.train.curve import training_curve
    from freehold.workflows.train.plan import plan_run, preview_run
    from freehold.workflows.train.train import options_for, train_project, training_inputs

    if sum([dry_run, preview_count is not None, leak_test, curve]) > 1:
        raise click.UsageError("one at a time: --curve, --dry-run, --preview, --leak-test")
    project = open_project(config_path)
    config = options_for(project.config, base)
    made: Any
    show: Callable[[Any], None]
    with progress() as bar:
        what = training_inputs(project, base=base, dataset=dataset, name=None, progress=bar)
        if preview_count is not None:
            which, show = "preview", shown.show_preview
            made = preview_run(project, what, config=config, count=preview_count)
        elif dry_run:
            which, show = "plan", shown.show_plan
            made = plan_run(project, what, config=config)
        elif leak_test:
            which, show = "leaks", shown.show_leaks
            made = find_leaks(project, what, config=config, progress=bar)
        elif curve:
            which, show = "curve", shown.show_curve
            made = training_curve(project, what, config=config, progress=bar)
        else:
            bar.step("train")
            which, show = "", print_adapter
            made = train_project(project, what, config=config, progress=bar)
    if as_json:
        print_json(made, which)
    else:
        show(made)
