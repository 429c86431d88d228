"""`freehold power`: the sample-size planner."""

from __future__ import annotations

import click

from freehold.cli.options import hanging, json_option, not_with, print_json
from freehold.cli.output import echo


@click.command("power")
@click.option("--margin", type=float, required=True, help="Largest drop you accept; 0.02 is two points.")
@click.option("--discordance", type=float, help="Share of items that exactly one model gets right.")
@click.option("--pilot", type=(int, int), metavar="DISCORDANT PAIRS", help="Counts of a pilot run.")
@click.option("--difference", "true_difference", type=float, help="Assumed true difference.")
@click.option("--sd", type=float, help="Standard deviation of differences, for scores that are not binary.")
@click.option(
    "--cluster-size", type=float, default=1.0, show_default=True, help="Items per conversation or user."
)
@click.option("--icc", type=float, default=0.0, show_default=True, help="Correlation within a cluster.")
@click.option("--n", type=click.IntRange(1), help="Say what this many items can show.")
@json_option("freehold.types.evaluation:PowerPlan")
def command(  # click passes each option
    margin: float,
    discordance: float | None,
    pilot: tuple[int, int] | None,
    true_difference: float | None,
    sd: float | None,
    cluster_size: float,
    icc: float,
    n: int | None,
    as_json: bool,
) -> None:
    """How many items are needed to promote, or what a given number can show.

    \b
    Example:
      freehold power --margin 0.02
      freehold power --margin 0.02 --pilot 12 200 --cluster-size 4 --icc 0.3
      freehold power --margin 0.05 --discordance 0.1 --n 200 --json
    """
    not_with("--sd", sd is not None, "discordance", "pilot")
    from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan

    found = plan(
        PowerTarget(margin),
        PowerAssumptions(
            discordance=discordance,
            pilot=pilot,
            true_difference=true_difference,
            sd=sd,
            cluster_size=cluster_size,
            icc=icc,
        ),
        n=n,
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
