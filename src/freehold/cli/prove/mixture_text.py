"""A mixture and its curves for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Iterator

import click

from freehold.cli.options import hanging
from freehold.cli.output import echo
from freehold.report.mixture_parts import best_curve, curve_name, mixture_figures, shown_points
from freehold.types.mixture import Mixture, MixtureCurve, MixturePoint

_COLORS = {"promote": "green", "hold": "yellow", "reject": "red"}
_PLOT = 30
_ROWS = 12


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
            echo(
                hanging(f"{part.name}: {_points(part.difference)} points, n = {part.n:,}", "  harmed slice ")
            )
    for note in mixture.notes:
        echo(hanging(note, "  · "))
    if mixture.is_proven:
        echo("  next: freehold rollout start")


def show_curves(mixture: Mixture, *, every: bool) -> None:
    """The curve of the best signal, or of each."""
    best = best_curve(mixture)
    drawn = [one for one in mixture.curves if one.points] if every else [best] if best is not None else []
    if not drawn:
        echo(hanging(mixture.sentence, ""))
        return
    for curve in drawn:
        for line in curve_lines(curve, mixture.margin):
            echo(line)
        if curve.refused is not None:
            echo(hanging(f"none of its thresholds was chosen: {curve.refused}", "  "))
        echo("")
    echo(hanging(mixture.sentence, ""))


def curve_lines(curve: MixtureCurve, margin: float) -> Iterator[str]:
    """A line a share: difference, band and a random split in points, and a picture of them."""
    points = shown_points(curve, _ROWS)
    low = max(min(-2 * margin, *(p.low for p in points)), -8 * margin)
    high = min(max(margin, *(p.high for p in points)), 8 * margin)
    chosen = None if curve.chosen is None else curve.points[curve.chosen]
    yield f"{curve_name(curve)}: difference to the incumbent in points"
    yield f"    here   diff            band  by lot  {'│ margin, ● mixture, × by lot':<{_PLOT}}"
    for point in points:
        mark = ">" if point is chosen else " "
        yield (
            f"{mark} {point.share:>6.1%} {_points(point.difference):>6} {_points(point.low):>7} to "
            f"{_points(point.high):>5} {_points(point.random):>7}  {_drawn(point, low, high, margin)}"
        )


def _drawn(point: MixturePoint, low: float, high: float, margin: float) -> str:
    cells = [" "] * _PLOT

    def place(value: float) -> int:
        return round((min(max(value, low), high) - low) / (high - low) * (_PLOT - 1))

    for at in range(place(point.low), place(point.high) + 1):
        cells[at] = "─"
    cells[place(-margin)] = "│"
    cells[place(point.random)] = "×"
    cells[place(point.difference)] = "●"
    return "".join(cells).rstrip()


def _points(value: float | None) -> str:
    return "?" if value is None else f"{100 * value:+.1f}".replace("-", "−")
