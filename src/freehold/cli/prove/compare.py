"""`freehold compare`: a verdict from bare pairs of scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from freehold.cli.options import hanging, json_option, markdown_option, print_json, write_markdown
from freehold.cli.output import echo
from freehold.types.evaluation import PairedResult
from freehold.types.verdict import EXIT_CODES

WIDTH = 60
LEADING = (
    "difference", "ci_low", "ci_high", "level", "method", "p_noninferiority", "a_only", "b_only",
    "smallest_detectable", "needed_n", "verdict", "reasons",
)  # fmt: skip
"""What every caller reads, in this order; the rest of the record follows."""


@click.command("compare")
@click.option(
    "--pairs",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FILE",
    help='JSON lines (- for stdin) {"id", "a", "b", "cluster"?}: a the incumbent, b the candidate, null unscored.',
)
@click.option("--margin", type=float, required=True, help="Largest drop you accept; 0.02 is two points.")
@click.option("--slice", "slices", multiple=True, metavar="FIELD", help="A declared field to slice by.")
@click.option(
    "--range", "bounds", type=(float, float), default=(0.0, 1.0), show_default=True, help="Range of scores."
)
@click.option(
    "--looks",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How often these items were evaluated for this route, this time included.",
)
@markdown_option
@json_option("freehold.cli.printed:ComparedPairs")
def command(  # click passes each option
    pairs: Path,
    margin: float,
    slices: tuple[str, ...],
    bounds: tuple[float, float],
    looks: int,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Is the candidate good enough? A verdict from bare pairs of scores, with no model at all.

    Exit code 0 promote, 1 reject, 3 hold, 2 usage.

    \b
    Example:
      freehold compare --pairs scores.jsonl --margin 0.02
      freehold compare --pairs scores.jsonl --margin 0.02 --slice language --json
      freehold compare --pairs scores.jsonl --margin 0.02 --markdown verdict.md
    """
    from freehold.report.markdown import comparison_markdown
    from freehold.stats.compare import ScoreContext
    from freehold.stats.rules import DecisionRule
    from freehold.workflows.prove.compare import compare_file

    result = compare_file(
        pairs,
        DecisionRule(margin=margin, lo=bounds[0], hi=bounds[1]),
        slices=slices,
        context=ScoreContext(looks=looks),
    )
    write_markdown(markdown, comparison_markdown(result))
    if as_json:
        print_json(as_document(result))
    else:
        show(result)
    raise SystemExit(EXIT_CODES[result.verdict])


def as_document(result: PairedResult) -> dict[str, Any]:
    """The result with the number of unscored pairs up front and their sides beside it."""
    fields = msgspec.structs.asdict(result)
    first = {"n": result.n, "unscored": sum(result.unscored.values())}
    return {
        **first,
        **{name: fields[name] for name in LEADING},
        **fields,
        **first,
        "unscored_by_side": result.unscored,
    }


def show(result: PairedResult) -> None:
    """Verdict, interval against the margin, counts, slices, notes."""
    colour = {"promote": "green", "reject": "red", "hold": "yellow"}[result.verdict]
    head = click.style(result.verdict, fg=colour, bold=True)
    echo(f"{head}  {', '.join(result.reasons)}")
    if result.difference is not None:
        line = f"  candidate - incumbent  {result.difference:+.4f}"
        if result.ci_low is not None and result.ci_high is not None:
            line += f"   {100 * result.level:.3g}% [{result.ci_low:+.4f}, {result.ci_high:+.4f}]"
        echo(f"{line}   margin {result.margin:g}")
    if result.ci_low is not None and result.ci_high is not None and result.difference is not None:
        picture, ruler = interval_picture(result.ci_low, result.difference, result.ci_high, result.margin)
        echo(f"  {picture}\n  {click.style(ruler, dim=True)}")
    counts = f"  {result.n} pairs"
    if result.n_groups is not None:
        counts += f" in {result.n_groups} clusters"
    if result.a_only is not None:
        counts += f", only incumbent right {result.a_only}, only candidate right {result.b_only}"
    unscored = sum(result.unscored.values())
    echo(counts + (f", {unscored} unscored" if unscored else ""))
    echo(f"  method: {result.method}")
    if result.smallest_detectable is not None:
        echo(f"  smallest margin this n could prove: {result.smallest_detectable:.4f}")
    for part in result.slices:
        flag = click.style("harmed", fg="red") if part.harmed else part.note or ""
        limits = f"[{part.ci_low:+.3f}, {part.ci_high:+.3f}]"
        echo(f"  {part.name:<28} {part.n:>7}  {part.difference:+.3f}  {limits}  {flag}")
    for note in result.notes:
        echo(hanging(note, "  · "))


def interval_picture(low: float, middle: float, high: float, margin: float) -> tuple[str, str]:
    """The interval drawn over a ruler that marks minus the margin (┊) and zero (0)."""
    left, right = min(low, -margin), max(high, 0.0)
    pad = (right - left) * 0.05 or 1.0
    left, right = left - pad, right + pad

    def column(value: float) -> int:
        return round((value - left) / (right - left) * (WIDTH - 1))

    bar = [" "] * WIDTH
    for position in range(column(low), column(high) + 1):
        bar[position] = "─"
    bar[column(low)], bar[column(high)] = "├", "┤"
    bar[column(middle)] = "●"
    ruler = ["·"] * WIDTH
    ruler[column(-margin)], ruler[column(0.0)] = "┊", "0"
    return "".join(bar).rstrip(), "".join(ruler)
