"""`freehold rollout rehearse` and `simulate`: what a fault would come to, before a rollout."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from freehold.cli.options import config_option, json_option, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.workflows.shift.rollout.rehearse import Fault
    from freehold.workflows.shift.rollout.simulate import Simulation


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
    from freehold.workflows.shift.rollout.rehearse import RehearsalSettings, rehearse
    from freehold.workflows.shift.rollout.rehearsed import settings_of

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


@click.command("simulate")
@click.option(
    "--drop", "drops", type=float, multiple=True, help="Share of answers that turn wrong. [0.05, 0.1, 0.2]"
)
@click.option(
    "--errors",
    "errors",
    type=float,
    multiple=True,
    help="Share of requests that fail besides. [0.05, 0.2]",
)
@click.option("--slower", "slower", type=float, multiple=True, help="Factor on the time of answers. [2]")
@click.option("--share", type=float, help="Canary share (default: the last of [rollout] canary).")
@click.option(
    "--users", type=click.IntRange(min=50), help="Users to play (default: the log's, at least 2,000)."
)
@click.option("--runs", type=click.IntRange(min=50), default=400, show_default=True, help="Repetitions.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides all draws.")
@click.option("--route", "route_name", help="Only this route's traces.")
@config_option
@json_option("freehold.workflows.shift.rollout.simulate:Simulation")
def simulate(  # click passes each option
    drops: tuple[float, ...],
    errors: tuple[float, ...],
    slower: tuple[float, ...],
    share: float | None,
    users: int | None,
    runs: int,
    seed: int,
    route_name: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Replay the captured log against assumed degradations: when would rollback fire, and how often wrongly?

    \b
    Example:
      freehold rollout simulate
      freehold rollout simulate --drop 0.03 --errors 0.01 --share 0.1 --runs 1000
    """
    from freehold.cli.progress import progress
    from freehold.workflows.data.traces import check_names
    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store
    from freehold.workflows.shift.rollout import simulate as simulation

    project = open_project(config_path)
    config = project.config.rollout
    with opened_store(project) as (store, _), progress() as shown:
        check_names(store, route=route_name)
        shown.step("read the log")
        log = simulation.users_of(store, route=route_name, since=None, most_requests=config.requests_per_user)
        shown.step("play it", note=f"{len(log):,} users")
        made = simulation.simulate(
            log,
            simulation.SimulatedRollout(
                margin=project.config.task.margin,
                shadow_share=config.shadow,
                canary_share=share if share is not None else config.canary[-1],
                max_p95_ms=config.max_p95_ms,
            ),
            simulation.Degradations(
                drops=drops or (0.05, 0.1, 0.2),
                more_errors=errors or (0.05, 0.2),
                slower=slower or (2.0,),
            ),
            users=users or max(2000, len(log)),
            runs=runs,
            seed=seed,
            report=lambda done, of: shown.update(done, of, unit="assumptions"),
        )
    if as_json:
        print_json(made)
        return
    _tell_simulation(made)


def _tell_simulation(made: Simulation) -> None:
    echo(
        f"{made.log_users:,} users with {made.log_requests:,} requests in the log ({made.error_rate:.2%} failed), "
        f"{made.users:,} played, {made.runs:,} runs, seed {made.seed}; margin {made.margin}, "
        f"{made.shadow_share:.0%} mirrored, canary at {made.canary_share:.0%}"
    )
    echo(
        f"{'test':<9}{'assumed':<34}{'acts':>7}{'95 %':>16}{'users: half':>13}{'90 %':>8}{'requests':>10}{'hours':>8}"
    )
    for row in made.rows:
        between = f"{row.acted_low:.1%}–{row.acted_high:.1%}"
        cells = [
            "–" if value is None else f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
            for value in (row.users_median, row.users_90, row.requests_median, row.hours_median)
        ]
        echo(
            f"{row.what:<9}{row.assumed:<34}{row.acted:>7.1%}{between:>16}{cells[0]:>13}{cells[1]:>8}{cells[2]:>10}"
            f"{cells[3]:>8}" + ("" if row.harmful else "  (would be a false alarm)")
        )
    echo(
        f"nothing wrong: any test acts in {made.false_alarms:.1%} of runs (at most {made.false_alarms_high:.1%} "
        f"by these runs; 5 % is promised)"
    )
