"""A mixture for a terminal of 80 columns."""

from __future__ import annotations

import click

from freehold.cli.options import hanging
from freehold.cli.output import echo
from freehold.report.pictures import mixture_figures
from freehold.report.words import points
from freehold.types.mixture import Mixture

_COLORS = {"promote": "green", "hold": "yellow", "reject": "red"}


def show_mixture(mixture: Mixture) -> None:
    """What came out, and the figures it rests on."""
    outcome = mixture.outcome
    if outcome is None:
        title = click.style("NO MIXTURE" if mixture.rule is None else "NOT LOOKED AT", bold=True)
    else:
        word = "PROMOTE WITH DEFERRAL" if mixture.is_proven else outcome.upper()
        title = click.style(word, fg=_COLORS[outcome], bold=True)
    echo(f"{title}  {mixture.label or mixture.candidate} with {mixture.upper or mixture.incumbent}")
    echo(hanging(mixture.sentence, "  "))
    if mixture.way_out:
        echo(hanging(mixture.way_out, "  way out: "))
    for name, value in mixture_figures(mixture):
        echo(hanging(value, f"  {name:<24} "))
    comparison = mixture.comparison
    if comparison is not None:
        harmed = [part for part in comparison.slices if part.harmed]
        for part in harmed:
            echo(hanging(f"{part.name}: {points(part.difference)} points, n = {part.n:,}", "  harmed slice "))
    for note in mixture.notes:
        echo(hanging(note, "  · "))
    if mixture.outcome == "promote":
        echo("  next: freehold rollout start")
