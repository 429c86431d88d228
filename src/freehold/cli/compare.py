"""`freehold compare`: a verdict from bare pairs of scores; `freehold power`: the sample-size planner."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from freehold.cli.evaluate import comparison_view
from freehold.cli.operation import MARKDOWN, Reply, operation, opt
from freehold.cli.options import not_with, write_markdown
from freehold.cli.output import Block, TableRows
from freehold.types.evaluation import PairedResult
from freehold.types.verdict import EXIT_CODES

if TYPE_CHECKING:
    from freehold.types.evaluation import PowerPlan

LEADING = (
    "difference", "ci_low", "ci_high", "level", "method", "p_noninferiority", "a_only", "b_only",
    "smallest_detectable", "needed_n", "verdict", "reasons",
)  # fmt: skip
"""What every caller reads, in this order; the rest of the record follows."""


@operation("compare", "freehold.cli.printed:ComparedPairs")
def compare(
    *,
    pairs: Path = opt(
        'JSON lines (- for stdin) {"id", "a", "b", "cluster"?}: a the incumbent, b the candidate, null unscored.',
        metavar="FILE",
    ),
    margin: float = opt("Largest drop you accept; 0.02 is two points."),
    slices: tuple[str, ...] = opt("A declared field to slice by.", "--slice", metavar="FIELD"),
    bounds: tuple[float, float] = opt("Range of scores.", "--range", (0.0, 1.0)),
    looks: int = opt(
        "How often these items were evaluated for this route, this time included.", default=1, ge=1
    ),
    markdown: Path | None = MARKDOWN,
) -> Reply:
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

    rule = DecisionRule(margin=margin, lo=bounds[0], hi=bounds[1])
    result = compare_file(pairs, rule, slices=slices, context=ScoreContext(looks=looks))
    shares = bounds == (0.0, 1.0)
    write_markdown(markdown, comparison_markdown(result, shares=shares))
    view = partial(comparison_view, result, shares=shares)
    return Reply(as_document(result), lambda _: view(), EXIT_CODES[result.verdict])


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


@operation("power", "freehold.types.evaluation:PowerPlan")
def power(
    *,
    margin: float = opt("Largest drop you accept; 0.02 is two points."),
    discordance: float | None = opt("Share of items that exactly one model gets right."),
    pilot: tuple[int, int] | None = opt("Counts of a pilot run.", metavar="DISCORDANT PAIRS"),
    true_difference: float | None = opt("Assumed true difference.", "--difference"),
    sd: float | None = opt("Standard deviation of differences, for scores that are not binary."),
    cluster_size: float = opt("Items per conversation or user.", default=1.0),
    icc: float = opt("Correlation within a cluster.", default=0.0),
    n: int | None = opt("Say what this many items can show.", ge=1),
) -> Reply:
    """How many items are needed to promote, or what a given number can show.

    \b
    Example:
      freehold power --margin 0.02
      freehold power --margin 0.02 --pilot 12 200 --cluster-size 4 --icc 0.3
      freehold power --margin 0.05 --discordance 0.1 --n 200 --json
    """
    not_with("--sd", sd is not None, "discordance", "pilot")
    from freehold.workflows.prove.power import PowerAssumptions, PowerTarget, plan

    assumed = PowerAssumptions(
        discordance=discordance,
        pilot=pilot,
        true_difference=true_difference,
        sd=sd,
        cluster_size=cluster_size,
        icc=icc,
    )
    return Reply(plan(PowerTarget(margin), assumed, n=n), partial(_power_view, n=n))


def _power_view(found: PowerPlan, n: int | None) -> Iterator[Block]:
    yield found.sentence + "\n"
    yield f"margin {found.margin:g}, one-sided alpha {found.alpha:g}, power {found.power:.0%}"
    table = TableRows(
        [("discordance", "true difference", "items needed", *((f"power at {n}",) if n else ()))]
    )
    for row in found.rows:
        psi = "not binary" if row.discordance is None else f"{row.discordance:.3f}"
        power_at_n = () if row.power_at_n is None else (f"{row.power_at_n:.1%}",)
        table.append((psi, f"{row.true_difference:+.4f}", f"{row.n:,}", *power_at_n))
    yield table
    if found.zero_loss_n is not None:
        yield f"  with not one item on which the two differ: {found.zero_loss_n:,}"
    yield from (f"  · {note}" for note in found.notes)
