"""`freehold rollout rehearse`: what a fault would come to, before a rollout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.workflows.shift.rollout.rehearse import Fault


@click.command("rehearse")
@click.option(
    "--drop",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Share of requests the bad candidate fails.",
)
@click.option(
    "--fault",
    type=click.Choice(["quality", "errors", "slow"]),
    default="quality",
    show_default=True,
    help="What is bad about it: answers (seen by mirroring), errors or slowness (seen in a canary).",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0.1, max=1000),
    metavar="N",
    help="Requests a second. [your log's, or 20]",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Canary share. [the last of [rollout] canary]",
)
@click.option(
    "--quick",
    is_flag=True,
    help="Only whether the parts work: all mirrored, half a canary, one request a user.",
)
@click.option(
    "--most",
    "most_requests",
    type=click.IntRange(min=1),
    help="Requests after which it is given up. [ten minutes' worth; quick: 2,000]",
)
@config_option
@json_option("freehold.workflows.shift.rollout.rehearse:RehearsalResult")
def rehearse(
    drop: float,
    fault: Fault,
    rate: float | None,
    share: float | None,
    quick: bool,
    most_requests: int | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """A candidate that is bad on purpose: does rollback fire, and when?

    A real gateway, two engines of the shipped fake and a real rollout with this project's own settings, in a folder
    that is thrown away. Nothing of this project is touched, and it takes as long as the real thing would: wrong answers
    are found after `window_minutes` at the earliest. Exit code 0: rolled back, and the candidate got no request later
    than a second after.

    \b
    Example:
      freehold rollout rehearse --quick
      freehold rollout rehearse --drop 0.1 --rate 40
      freehold rollout rehearse --fault errors --drop 0.2 --share 0.1
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.rollout.rehearse import RehearsalSettings, rehearse, settings_of

    project = open_project(config_path)
    settings = RehearsalSettings() if quick else settings_of(project, rate=rate, share=share)
    most = most_requests or (2000 if settings.rate is None else max(100, round(600 * settings.rate)))
    with progress() as shown:
        made = rehearse(
            margin=project.config.task.margin,
            drop=drop,
            fault=fault,
            settings=settings,
            most_requests=most,
            progress=shown,
        )
    if as_json:
        print_json(made)
    elif made.rolled_back:
        echo(f"rolled back after {made.requests} requests, {made.seconds:.1f} s: {made.why}")
        echo(f"requests the candidate got later than a second after that: {made.late_requests}")
    else:
        echo(f"not rolled back within {made.requests} requests")
    sys.exit(0 if made.passed else 3)
