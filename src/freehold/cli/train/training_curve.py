"""A learning curve as a table, and what it foretells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from freehold.cli.options import hanging, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.config import FinetuneConfig
    from freehold.types.training import TrainingCurve
    from freehold.workflows.project import Project


def tell_curve(
    project: Project,
    named: tuple[str | None, str | None],
    config: FinetuneConfig,
    *,
    as_json: bool,
) -> None:
    """Make the curve and print it. `named` are base and dataset, None where the project's own are meant."""
    from freehold.cli.progress import progress
    from freehold.workflows.train.curve import training_curve
    from freehold.workflows.train.train import training_inputs

    base, dataset = named
    with progress() as bar:
        inputs = training_inputs(project, base=base, dataset=dataset, name=None, progress=bar)
        found = training_curve(project, inputs, config=config, progress=bar)
    if as_json:
        print_json(found, "curve")
    else:
        show_curve(found)


def show_curve(found: TrainingCurve) -> None:
    """The points, the forecast, and what it is worth."""
    echo("  training samples   right of validation samples")
    for one in found.runs:
        echo(f"  {one.samples:>16,}   {one.right / one.asked:6.1%} of {one.asked:,}")
    if not found.fits:
        echo(
            hanging(
                "The points do not lie on a learning curve by more than chance explains, so nothing is foretold. A run "
                "may have ended early; look at its loss.",
                "  ",
            )
        )
        return
    echo(
        f"  {found.twice_samples:>16,}   {found.twice_accuracy:6.1%} foretold, "
        f"95% interval [{found.twice_low:.1%}, {found.twice_high:.1%}]"
    )
    gain = found.twice_accuracy - found.runs[-1].right / found.runs[-1].asked
    echo(
        hanging(
            f"Twice the training samples: about {100 * max(gain, 0.0):.1f} points more. "
            "How many held-out items a proof needs is another question (freehold power).",
            "  ",
        )
    )
