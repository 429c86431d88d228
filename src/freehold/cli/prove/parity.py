"""`freehold parity`: does the served model do what the trained one does?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, hanging, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.gates import ParityReport

_LATER = "more where some differ; give more held-out samples, or a higher limit of tokens"


@click.command("parity")
@click.argument("model", required=False)
@click.option(
    "--adapter",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of an adapter that freehold train made.",
)
@click.option(
    "--samples",
    "count",
    type=click.IntRange(min=1),
    default=120,
    show_default=True,
    help="The most prompts to compare: as many are asked as show where turns end.",
)
@config_option
@json_option("freehold.types.gates:ParityReport")
def command(
    model: str | None, adapter: Path | None, count: int, config_path: Path | None, as_json: bool
) -> None:
    """Put the same prompts to the trainer's model and the served one.

    Without MODEL, what freehold migrate chose last; MODEL is a model, or a trained encoder by its name, id or folder.
    Of an encoder, answers and their probabilities are compared. Exit code 0: they agree, as far as the prompts could
    decide it. Exit code 1: they do not, and the likely cause is named.

    \b
    Example:
      freehold parity
      freehold parity HuggingFaceTB/SmolLM2-135M-Instruct --adapter .freehold/adapters/support --json
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.prove.parity import project_parity
    from freehold.workflows.prove.parity_judging import ENDS

    project = open_project(config_path)
    with progress() as shown:
        report = project_parity(project, model=model, adapter=adapter, count=count, progress=shown)
    if as_json:
        print_json(report)
    elif report.probability_distance is not None:
        echo(f"model      {report.model}")
        echo(f"messages   {report.prompts_equal} of {report.prompts} are cut into equal tokens")
        echo(f"answers    {report.token_agreement:.1%} of {report.tokens} values agree")
        echo(f"distance   {report.probability_distance:.4f} at most between the probabilities of an answer")
        _show_outcome(report)
    else:
        distance = "not told" if report.distance is None else f"{report.distance:.4f} nats"
        echo(f"model      {report.model}")
        echo(f"prompts    {report.prompts_equal} of {report.prompts} have equal token ids")
        echo(f"greedy     {report.token_agreement:.1%} of {report.tokens} tokens agree")
        echo(f"distance   {distance}")
        if report.base_distance is not None:
            echo(f"           {report.base_distance:.4f} nats from the base without the adapter")
        echo(f"ends       {report.stops_equal} of {report.stops} turns end in the same place")
        if report.undecided:
            echo(
                hanging(f"not decided: {ENDS.fewest} equal ends in a row decide it, {_LATER}", "           ")
            )
        if report.score is not None and report.score.trained_mean is not None:
            score = report.score
            echo(
                f"task score {score.served_mean:.1%} served, {score.trained_mean:.1%} trained, {score.n} prompts"
            )
            if score.ci_low is not None:
                echo(
                    f"           difference {score.difference:+.1%}, {100 * score.level:.3g}% interval "
                    f"{score.ci_low:+.1%} to {score.ci_high:+.1%} ({score.method})"
                )
        _show_outcome(report)
    sys.exit(0 if report.passed else 1)


def _show_outcome(report: ParityReport) -> None:
    echo("PASSED" if report.passed else f"FAILED     {', '.join(report.causes)}")
    for reason in report.reasons:
        echo(hanging(reason, "  "))
