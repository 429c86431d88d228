"""`freehold rollout`: traffic to the candidate in steps, and back in one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from freehold.cli.options import caller, config_option, hanging, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.rollout import Gate, Rollout
    from freehold.workflows.shift.rollout.rehearse import Fault
    from freehold.workflows.shift.rollout.rollout import Status

F = TypeVar("F", bound=Callable[..., Any])


def route_option(command: F) -> F:
    return click.option("--route", "route_name", help="Route to act on (default: the project's).")(command)


def without_option(command: F) -> F:
    from freehold.types.rollout import Gate

    return click.option(
        "--without",
        multiple=True,
        type=click.Choice(get_args(Gate)),
        help="Even if this is missing; the history says so. May be repeated.",
    )(command)


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
@json_option("freehold.types.rollout:Rollout")
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
    _tell_without_user(config_path, name)
    sys.exit(seen.exit_code)


@command.command("advance")
@without_option
@why_option
@route_option
@config_option
@json_option("freehold.workflows.shift.rollout.rollout:Status")
def advance(
    without: tuple[Gate, ...],
    why: str,
    route_name: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """The next larger canary share, if the tests allow it; on from where it was paused.

    \b
    Example:
      freehold rollout advance
    """
    from freehold.workflows.shift.rollout import rollout

    with _store(config_path, route_name) as (store, name):
        _show(
            rollout.advance(store, name, who=caller(), at=now(), without=without, why=why),
            as_json,
        )


@command.command("promote")
@without_option
@why_option
@route_option
@config_option
@json_option("freehold.workflows.shift.rollout.rollout:Status")
def promote(
    without: tuple[Gate, ...],
    why: str,
    route_name: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """All traffic to the candidate, if the tests allow it.

    \b
    Example:
      freehold rollout promote
    """
    from freehold.workflows.shift.rollout import rollout

    with _store(config_path, route_name) as (store, name):
        _show(
            rollout.promote(store, name, who=caller(), at=now(), without=without, why=why),
            as_json,
        )


@command.command("pause")
@why_option
@route_option
@config_option
@json_option("freehold.types.rollout:Rollout")
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
        echo(f"route {name}: {_words(route.state)} ({why or 'asked for'})")


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
@config_option
@json_option("freehold.workflows.shift.rollout.rehearse:RehearsalResult")
def rehearse(drop: float, fault: Fault, config_path: Path | None, as_json: bool) -> None:
    """A candidate that is bad on purpose: does rollback fire?

    A real gateway, two engines of the shipped fake and a real rollout by this project's margin, in a folder that is
    thrown away. Nothing of this project is touched. Exit code 0: rolled back, and the candidate got no request later
    than a second after.

    \b
    Example:
      freehold rollout rehearse
      freehold rollout rehearse --fault errors --drop 0.1
    """
    from freehold.cli.progress import progress
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.rollout.rehearse import rehearse

    margin = open_project(config_path).config.task.margin
    with progress() as shown:
        made = rehearse(margin=margin, drop=drop, fault=fault, progress=shown)
    if as_json:
        print_json(made)
    elif made.rolled_back:
        echo(f"rolled back after {made.requests} requests, {made.seconds:.1f} s: {made.why}")
        echo(f"requests the candidate got later than a second after that: {made.late_requests}")
    else:
        echo(f"not rolled back within {made.requests} requests")
    sys.exit(0 if made.passed else 3)


def _store(config_path: Path | None, route_name: str | None) -> Any:
    from freehold.workflows.project import open_project
    from freehold.workflows.shift.rollout.project import opened

    return opened(open_project(config_path, looks=True), route_name)


def _tell(rollout: Rollout, as_json: bool) -> None:
    if as_json:
        print_json(rollout)
    else:
        echo(f"route {rollout.route}: {_place(rollout)}")


def _place(rollout: Rollout) -> str:
    if rollout.state == "canary":
        return f"canary at {rollout.stages[rollout.stage]:.2%}"
    return _words(rollout.state) + (f" ({rollout.why})" if rollout.why else "")


def _words(state: str) -> str:
    return state.replace("_", " ")


def _tell_without_user(config_path: Path | None, route_name: str) -> None:
    """Say on stderr that requests of a running gateway named no user, where the route is sticky by it."""
    from freehold.gateway.telemetry.meters import totals_of
    from freehold.workflows.project import open_project

    counted = totals_of(
        open_project(config_path, looks=True).state / "spool", "freehold_requests_without_user"
    )
    if count := int(counted.get((route_name,), 0)):
        echo(
            f"{count:,} requests named no user, by which this route is sticky: each stays on its conversation's arm",
            err=True,
        )


def _show(seen: Status, as_json: bool) -> None:
    if as_json:
        print_json(seen)
        return
    _tell(seen.rollout, as_json=False)
    if seen.rule is not None:
        from freehold.workflows.shift.routes import format_rule

        echo(hanging(format_rule(seen.rule), "  mixture: "))
    for one in seen.troubles:
        echo(hanging(f"since {one.since:%Y-%m-%d %H:%M} UTC on {one.gateway}: {one.why}", "TROUBLE "))
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
