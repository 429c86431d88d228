"""`freehold power`: the sample-size planner."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, hanging, json_option, not_with, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.training import TrainingNeed


@click.command("power")
@click.option(
    "--margin",
    type=float,
    help="Largest drop you accept; 0.02 is two points (with --curve: that of the task).",
)
@click.option("--alpha", type=float, default=0.025, show_default=True, help="One-sided error probability.")
@click.option("--power", type=float, default=0.8, show_default=True, help="Wanted chance to promote.")
@click.option("--discordance", type=float, help="Share of items that exactly one model gets right.")
@click.option("--pilot", type=(int, int), metavar="DISCORDANT PAIRS", help="Counts of a pilot run.")
@click.option("--difference", "true_difference", type=float, help="Assumed true difference.")
@click.option("--incumbent-rate", type=click.FloatRange(0, 1), help="The incumbent's accuracy.")
@click.option("--sd", type=float, help="Standard deviation of differences, for scores that are not binary.")
@click.option(
    "--cluster-size", type=float, default=1.0, show_default=True, help="Items per conversation or user."
)
@click.option("--icc", type=float, default=0.0, show_default=True, help="Correlation within a cluster.")
@click.option("--n", type=click.IntRange(1), help="Say what this many items can show.")
@click.option(
    "--self-noise", type=click.FloatRange(0, 1), help="Share on which the incumbent contradicts itself."
)
@click.option(
    "--curve",
    is_flag=True,
    help="Say how many training samples it takes to pass, by the project's last learning curve.",
)
@config_option
@json_option("freehold.types.evaluation:PowerPlan", curve="freehold.types.training:TrainingNeed")
def command(  # click passes each option
    margin: float | None,
    alpha: float,
    power: float,
    discordance: float | None,
    pilot: tuple[int, int] | None,
    true_difference: float | None,
    incumbent_rate: float | None,
    sd: float | None,
    cluster_size: float,
    icc: float,
    n: int | None,
    self_noise: float | None,
    curve: bool,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """How many items are needed to promote, or what a given number can show.

    \b
    Example:
      freehold power --margin 0.02
      freehold power --margin 0.02 --pilot 12 200 --cluster-size 4 --icc 0.3
      freehold power --margin 0.05 --discordance 0.1 --n 200 --json
      freehold power --curve
    """
    not_with("--curve", curve, "pilot", "true_difference", "sd", "cluster_size", "icc", "self_noise")
    not_with("--sd", sd is not None, "discordance", "pilot", "incumbent_rate")
    if curve:
        _tell_need(config_path, (margin, alpha, power), (n, incumbent_rate, discordance), as_json=as_json)
        return
    from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan

    if margin is None:
        raise click.UsageError("Missing option '--margin'.")

    found = plan(
        PowerTarget(margin, alpha, power),
        PowerAssumptions(
            discordance=discordance,
            pilot=pilot,
            true_difference=true_difference,
            incumbent_rate=incumbent_rate,
            sd=sd,
            cluster_size=cluster_size,
            icc=icc,
        ),
        n=n,
        self_noise=self_noise,
    )
    if as_json:
        print_json(found)
        return
    echo(hanging(found.sentence, "") + "\n")
    echo(f"margin {found.margin:g}, one-sided alpha {found.alpha:g}, power {found.power:.0%}")
    echo("  discordance  true difference    items needed" + (f"   power at {n}" if n else ""))
    for row in found.rows:
        psi = "not binary" if row.discordance is None else f"{row.discordance:.3f}"
        line = f"  {psi:>11}  {row.true_difference:>+15.4f}  {row.n:>14,}"
        echo(line + (f"  {row.power_at_n:>12.1%}" if row.power_at_n is not None else ""))
    if found.zero_loss_n is not None:
        echo(f"  with not one item on which the two differ: {found.zero_loss_n:,}")
    for note in found.notes:
        echo(hanging(note, "  · "))


def _tell_need(
    config_path: Path | None,
    target: tuple[float | None, float, float],
    known: tuple[int | None, float | None, float | None],
    *,
    as_json: bool,
) -> None:
    """`target` is margin, alpha and power; `known` held-out items, the incumbent's rate and the discordance. None: the
    project's own."""
    from freehold.stats.power import PLANNED_DISCORDANCE
    from freehold.workflows.project import open_project
    from freehold.workflows.prove.power import PowerTarget
    from freehold.workflows.prove.task import task_of
    from freehold.workflows.prove.training_need import NeedAssumptions, project_need

    project = open_project(config_path)
    margin, alpha, power = target
    task = task_of(project, margin=margin, alpha=alpha)
    held_out, rate, discordance = known
    found = project_need(
        project,
        PowerTarget(task.margin, task.alpha, power),
        task,
        NeedAssumptions(held_out, rate, PLANNED_DISCORDANCE if discordance is None else discordance),
    )
    if as_json:
        print_json(found, "curve")
    else:
        show_need(found)


def show_need(found: TrainingNeed) -> None:
    """What it takes to pass, and how many training samples bring it."""
    echo(
        f"{found.base_model}: {found.reached:.1%} of validation samples right after {found.trained:,} training samples"
    )
    echo(
        hanging(
            f"It passes from {found.accuracy:.1%} on: {found.held_out:,} held-out items then promote it with a "
            f"probability of {found.power:.0%} (incumbent {found.incumbent_rate:.1%}, margin {found.margin:g}, the two "
            f"differ on {found.discordance:.0%} of items).",
            "  ",
        )
    )
    if not found.fits:
        said = (
            "The points do not lie on a learning curve by more than chance explains, so nothing is foretold."
        )
    else:
        low = _samples(found.low, found.farthest)
        interval = (
            f"95% interval from {low}"
            if found.low is None
            else f"95% interval {low} to {_samples(found.high, found.farthest)}"
        )
        said = (
            f"Not reached within {found.farthest:,} training samples, as far as the curve is followed; {interval}."
            if found.samples is None
            else f"About {_samples(found.samples, found.farthest)} training samples reach that; {interval}."
        )
    echo(hanging(said, "  "))


def _samples(count: int | None, farthest: int) -> str:
    """A number of samples in two significant digits: a curve says no more."""
    return f"beyond {farthest:,}" if count is None else f"{int(float(f'{count:.1e}')):,}"
