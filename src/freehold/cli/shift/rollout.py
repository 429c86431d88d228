"""`freehold rollout`: traffic to the candidate in steps, and back in one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from freehold.cli.options import caller, config_option, hanging, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.serving.rollout import Rollout
    from freehold.workflows.shift.rollout.rehearse import Fault
    from freehold.workflows.shift.rollout.rollout import Status
    from freehold.workflows.shift.rollout.simulate import Simulation

F = TypeVar("F", bound=Callable[..., Any])


def route_option(command: F) -> F:
    return click.option("--route", "route_name", help="Route to act on (default: the project's).")(command)


def why_option(command: F) -> F:
    return click.option("--why", default="", help="Kept in the route's history.")(command)


@click.group("rollout")
def command() -> None:
    """Move traffic from the incumbent to the candidate in steps, and back in one.

    Mirrored first, then canary shares, then all. A step forward is refused while the tests do not allow it;
    an alarm sends all traffic back to the incumbent. A running gateway follows within a second.

    \b
    Example:
      freehold rollout start
      freehold rollout status --follow 10
      freehold rollout advance
      freehold rollout rollback --why "complaints"
    """


@command.command("start")
@click.option("--candidate", "candidate_model", help="Model name of the candidate (default: what is served).")
@click.option("--model", help="Model name clients ask for (default: the incumbent's).")
@click.option(
    "--loose-schemas",
    is_flag=True,
    help="Begin although the engine skips parts of the traffic's JSON schemas; broken answers go to the incumbent.",
)
@route_option
@config_option
@json_option("freehold.types.serving.rollout:Rollout")
def start(
    candidate_model: str | None,
    model: str | None,
    loose_schemas: bool,
    route_name: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Begin to mirror traffic to the candidate.

    \b
    Example:
      freehold rollout start --candidate base:app
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.rollout.project import start_project

    project = open_project(config_path)
    made = start_project(
        project,
        route_name=route_name,
        model=model,
        candidate_model=candidate_model,
        who=caller(),
        at=now(),
        loose_schemas=loose_schemas,
    )
    _tell(made, as_json)


@command.command("status")
@click.option("--follow", type=click.FloatRange(min=0.1), metavar="SECONDS", help="Look again this often.")
@route_option
@config_option
@json_option("freehold.workflows.shift.rollout.rollout:Status")
def status(follow: float | None, route_name: str | None, config_path: Path | None, as_json: bool) -> None:
    """What the tests say; rolls back when one of them says so.

    Exit code 0: the next step is allowed, 3: not yet, 1: rolled back.

    \b
    Example:
      freehold rollout status --follow 10
    """
    from freehold.workflows.shift.rollout import rollout

    with _store(config_path, route_name) as (store, name):
        if follow is None:
            seen = rollout.step(store, name)
            _show(seen, as_json)
        else:
            seen = rollout.follow(store, name, every_s=follow, shown=lambda one: _show(one, as_json))
    sys.exit(seen.exit_code)


@command.command("advance")
@click.option("--force", is_flag=True, help="Even if the tests do not allow it; the history says so.")
@why_option
@route_option
@config_option
@json_option("freehold.workflows.shift.rollout.rollout:Status")
def advance(force: bool, why: str, route_name: str | None, config_path: Path | None, as_json: bool) -> None:
    """The next larger canary share, if the tests allow it; on from where it was paused.

    \b
    Example:
      freehold rollout advance
    """
    from freehold.workflows.shift.rollout import rollout

    with _store(config_path, route_name) as (store, name):
        _show(rollout.advance(store, name, who=caller(), at=now(), force=force, why=why), as_json)


@command.command("promote")
@click.option("--force", is_flag=True, help="Even if the tests do not allow it; the history says so.")
@why_option
@route_option
@config_option
@json_option("freehold.workflows.shift.rollout.rollout:Status")
def promote(force: bool, why: str, route_name: str | None, config_path: Path | None, as_json: bool) -> None:
    """All traffic to the candidate, if the tests allow it.

    \b
    Example:
      freehold rollout promote
    """
    from freehold.workflows.shift.rollout import rollout

    with _store(config_path, route_name) as (store, name):
        _show(rollout.promote(store, name, who=caller(), at=now(), force=force, why=why), as_json)


@command.command("pause")
@why_option
@route_option
@config_option
@json_option("freehold.types.serving.rollout:Rollout")
def pause(why: str, route_name: str | None, config_path: Path | None, as_json: bool) -> None:
    """All traffic to the incumbent for now; advance goes on from there.

    \b
    Example:
      freehold rollout pause
    """
    from freehold.workflows.shift.rollout import rollout

    with _store(config_path, route_name) as (store, name):
        _tell(rollout.pause(store, name, who=caller(), at=now(), why=why), as_json)


@command.command("rollback")
@why_option
@route_option
@config_option
@json_option("freehold.types.route:Route")
def rollback(why: str, route_name: str | None, config_path: Path | None, as_json: bool) -> None:
    """All traffic to the incumbent, now, from any state, with or without a rollout.

    \b
    Example:
      freehold rollout rollback --why "complaints from support"
    """
    from freehold.workflows.shift.rollout import rollout

    with _store(config_path, route_name) as (store, name):
        rollout.rollback_route(store, name, who=caller(), at=now(), why=why)
        route = next(route for route in store.routes() if route.name == name)
    if as_json:
        print_json(route)
    else:
        echo(f"route {name}: {route.state} ({why or 'asked for'})")


@command.command("rehearse")
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
    "--most", "most_requests", default=2000, show_default=True, help="Requests after which it is given up."
)
@config_option
@json_option("freehold.workflows.shift.rollout.rehearse:RehearsalResult")
def rehearse(drop: float, fault: Fault, most_requests: int, config_path: Path | None, as_json: bool) -> None:
    """A candidate that is bad on purpose: does rollback fire, and when?

    A real gateway, two engines of the shipped fake and a real rollout, in a folder that is thrown away. Nothing of
    this project is touched. Exit code 0: rolled back, and the candidate got no request later than a second after.

    \b
    Example:
      freehold rollout rehearse --drop 0.1
      freehold rollout rehearse --fault errors --drop 0.3
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.rollout.rehearse import rehearse

    margin = open_project(config_path).config.task.margin
    with progress() as shown:
        made = rehearse(margin=margin, drop=drop, fault=fault, most_requests=most_requests, progress=shown)
    if as_json:
        print_json(made)
    elif made.rolled_back:
        echo(f"rolled back after {made.requests} requests, {made.seconds:.1f} s: {made.why}")
        echo(f"requests the candidate got later than a second after that: {made.late_requests}")
    else:
        echo(f"not rolled back within {made.requests} requests")
    sys.exit(0 if made.passed else 3)


@command.command("simulate")
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
@click.option("--seed", type=int, default=0, show_default=True, help="Decides all draws.")
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


def _store(config_path: Path | None, route_name: str | None) -> Any:
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.rollout.project import opened

    return opened(open_project(config_path), route_name)


def _tell(rollout: Rollout, as_json: bool) -> None:
    if as_json:
        print_json(rollout)
    else:
        echo(f"route {rollout.route}: {_place(rollout)}")


def _place(rollout: Rollout) -> str:
    if rollout.state == "canary":
        return f"canary at {rollout.stages[rollout.stage]:.2%}"
    return rollout.state + (f" ({rollout.why})" if rollout.why else "")


def _show(seen: Status, as_json: bool) -> None:
    if as_json:
        print_json(seen)
        return
    _tell(seen.rollout, as_json=False)
    if seen.rule is not None:
        from freehold.workflows.shift.routes import format_rule

        echo(hanging(format_rule(seen.rule), "  mixture: "))
    echo(f"{'test':<10}{'users':>8}{'estimate':>10}{'e-value':>12}{'acts at':>9}")
    for state in seen.look.metrics:
        estimate = "–" if state.estimate is None else f"{state.estimate:+.4f}"
        flag = "  ROLL BACK" if state.rollback else ""
        echo(
            f"{state.metric:<10}{state.units:>8,}{estimate:>10}{state.e_value:>12.4g}{state.acts_at:>9.0f}{flag}"
        )
    for line in seen.missing:
        echo(hanging(line, "not yet: "))
    if not seen.missing and seen.rollout.state not in ("promoted", "rolled_back"):
        echo("the next step is allowed")
