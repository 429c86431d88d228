"""`freehold rollout`: traffic to the candidate in steps, and back in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from freehold.cli.operation import Reply, group, opened, operation, opt, tell
from freehold.cli.options import caller, now
from freehold.cli.output import Block, TableRows, echo
from freehold.types.rollout import Gate, Rollout

if TYPE_CHECKING:
    from freehold.store import Store
    from freehold.workflows.project import Project
    from freehold.workflows.shift.rollout.rollout import Status

ROUTE = opt("Route to act on (default: the project's).", "--route")
WITHOUT = opt("Even if this is missing; the history says so. May be repeated.")
WHY = opt("Kept in the route's history.", default="")


@group("rollout")
def rollout() -> None:
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


@operation("start", "freehold.types.rollout:Rollout", within=rollout)
def start(
    *,
    candidate_model: str | None = opt(
        "Model name of the candidate (default: what is served).", "--candidate"
    ),
    model: str | None = opt("Model name clients ask for (default: the incumbent's)."),
    loose_schemas: bool = opt(
        "Begin although the engine skips parts of the traffic's JSON schemas; broken answers go to the incumbent."
    ),
    route_name: str | None = ROUTE,
    project: Project = opened(),
) -> Reply:
    """Begin to mirror traffic to the candidate.

    \b
    Example:
      freehold rollout start --candidate base:app
    """
    from freehold.workflows.shift.rollout.project import start_project

    made = start_project(
        project,
        route_name=route_name,
        model=model,
        candidate_model=candidate_model,
        who=caller(),
        at=now(),
        loose_schemas=loose_schemas,
    )
    return Reply(made, _rollout_view)


@operation("status", "freehold.workflows.shift.rollout.rollout:Status", within=rollout)
def status(
    *,
    follow: float | None = opt("Look again this often.", ge=0.1, metavar="SECONDS"),
    route_name: str | None = ROUTE,
    project: Project = opened(looks=True),
    as_json: bool,
) -> Reply:
    """What the tests say; rolls back when one of them says so.

    Exit code 0: the next step is allowed, 3: not yet, 1: rolled back.

    \b
    Example:
      freehold rollout status --follow 10
    """
    from freehold.workflows.shift.rollout import rollout as work

    with _opened(project, route_name) as (store, name):
        if follow is None:
            seen = work.step(store, name)
        else:
            shown = lambda seen: tell(Reply(seen, _status_view), as_json)  # noqa: E731
            seen = work.follow(store, name, every_s=follow, shown=shown)
    _tell_without_user(project, name)
    return Reply(seen, None if follow else _status_view, seen.exit_code)


@operation("advance", "freehold.workflows.shift.rollout.rollout:Status", within=rollout)
def advance(
    *,
    without: tuple[Gate, ...] = WITHOUT,
    why: str = WHY,
    route_name: str | None = ROUTE,
    project: Project = opened(looks=True),
) -> Reply:
    """The next larger canary share, if the tests allow it; on from where it was paused.

    \b
    Example:
      freehold rollout advance
    """
    from freehold.workflows.shift.rollout import rollout as work

    with _opened(project, route_name) as (store, name):
        return Reply(
            work.advance(store, name, who=caller(), at=now(), without=without, why=why), _status_view
        )


@operation("promote", "freehold.workflows.shift.rollout.rollout:Status", within=rollout)
def promote(
    *,
    without: tuple[Gate, ...] = WITHOUT,
    why: str = WHY,
    route_name: str | None = ROUTE,
    project: Project = opened(looks=True),
) -> Reply:
    """All traffic to the candidate, if the tests allow it.

    \b
    Example:
      freehold rollout promote
    """
    from freehold.workflows.shift.rollout import rollout as work

    with _opened(project, route_name) as (store, name):
        return Reply(
            work.promote(store, name, who=caller(), at=now(), without=without, why=why), _status_view
        )


@operation("pause", "freehold.types.rollout:Rollout", within=rollout)
def pause(*, why: str = WHY, route_name: str | None = ROUTE, project: Project = opened(looks=True)) -> Reply:
    """All traffic to the incumbent for now; advance goes on from there.

    \b
    Example:
      freehold rollout pause
    """
    from freehold.workflows.shift.rollout import rollout as work

    with _opened(project, route_name) as (store, name):
        return Reply(work.pause(store, name, who=caller(), at=now(), why=why), _rollout_view)


@operation("rollback", "freehold.types.route:Route", within=rollout)
def rollback(
    *, why: str = WHY, route_name: str | None = ROUTE, project: Project = opened(looks=True)
) -> Reply:
    """All traffic to the incumbent, now, from any state, with or without a rollout.

    \b
    Example:
      freehold rollout rollback --why "complaints from support"
    """
    from freehold.workflows.shift.rollout import rollout as work

    with _opened(project, route_name) as (store, name):
        work.rollback_route(store, name, who=caller(), at=now(), why=why)
        route = next(route for route in store.routes() if route.name == name)
    return Reply(route, lambda route: [f"route {name}: {_words(route.state)} ({why or 'asked for'})"])


def _opened(project: Project, route_name: str | None) -> AbstractContextManager[tuple[Store, str]]:
    from freehold.workflows.shift.rollout.project import opened

    return opened(project, route_name)


def _rollout_view(rollout: Rollout) -> Iterator[Block]:
    yield f"route {rollout.route}: {_place(rollout)}"


def _place(rollout: Rollout) -> str:
    if rollout.state == "canary":
        return f"canary at {rollout.stages[rollout.stage]:.2%}"
    return _words(rollout.state) + (f" ({rollout.why})" if rollout.why else "")


def _words(state: str) -> str:
    return state.replace("_", " ")


def _tell_without_user(project: Project, route_name: str) -> None:
    """Say on stderr that requests of a running gateway named no user, where the route is sticky by it."""
    from freehold.gateway.telemetry.meters import totals_of

    counted = totals_of(project.state / "spool", "freehold_requests_without_user")
    if count := int(counted.get((route_name,), 0)):
        echo(
            f"{count:,} requests named no user, by which this route is sticky: each stays on its conversation's arm",
            err=True,
        )


def _status_view(seen: Status) -> Iterator[Block]:
    yield from _rollout_view(seen.rollout)
    if seen.rule is not None:
        from freehold.workflows.shift.routes import format_rule

        yield f"  fallback: {format_rule(seen.rule)}"
    for one in seen.troubles:
        yield f"TROUBLE since {one.since:%Y-%m-%d %H:%M} UTC on {one.gateway}: {one.why}"
    table = TableRows([("test", "users", "estimate", "e-value", "acts at", "")])
    for state in seen.look.metrics:
        estimate = "–" if state.estimate is None else f"{state.estimate:+.4f}"
        numbers = f"{state.units:,}", estimate, f"{state.e_value:.4g}", f"{state.acts_at:.0f}"
        table.append((state.metric, *numbers, "ROLL BACK" if state.rollback else ""))
    yield table
    if seen.rollout.agreement.difference:
        yield f"quality: {seen.rollout.agreement.sentence}"
    yield from (f"not yet: {line}" for line in seen.missing)
    if not seen.missing and seen.rollout.state not in ("promoted", "rolled_back"):
        yield "the next step is allowed"
