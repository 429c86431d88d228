"""Trajectories as text for people: the outcome, how sessions ended, and how long they stay as recorded."""

from __future__ import annotations

from freehold.cli.options import hanging
from freehold.cli.output import echo
from freehold.cli.prove.comparison_text import show_comparison
from freehold.types.trajectory import TrajectoryEvaluation

_MOST_TURNS = 12
_BAR = 30


def show_trajectories(made: TrajectoryEvaluation) -> None:
    """Print an evaluation of whole sessions."""
    show_comparison(made.comparison)
    echo("")
    for note in made.notes:
        echo(hanging(note, "  · "))
    ended = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(made.ended.items()))
    echo(
        f"\n  sessions              {made.sessions:,} with {made.turns:,} decisions, success by {made.success}"
    )
    echo(f"  ended                 {ended}")
    if made.sandbox is not None:
        echo(f"  sandbox               {made.sandbox}, for your function")
    if made.survival:
        echo("\n  decisions as recorded, among sessions that were so until then")
        echo("    turn      n  as recorded   survived  if independent")
        for one in made.survival[:_MOST_TURNS]:
            bar = "█" * round(_BAR * one.survived)
            echo(
                f"    {one.turn:>4} {one.at_risk:>6,}  {one.accuracy:>11.1%}  {one.survived:>9.1%}  "
                f"{one.if_independent:>14.1%}  {bar}".rstrip()
            )
        if len(made.survival) > _MOST_TURNS:
            echo(f"    … and {len(made.survival) - _MOST_TURNS} more turns (--json has them)")
    if made.results_file:
        echo(f"\n  every session as it was played: {made.results_file}")
