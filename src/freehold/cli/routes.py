"""`freehold routes`: who answers for which model's name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.operation import Reply, arg, group, opened, operation, opt
from freehold.cli.options import caller, now, stated
from freehold.cli.output import Aside, Block, TableRows
from freehold.types.removal import Removed

if TYPE_CHECKING:
    from freehold.types.route import Route
    from freehold.workflows.project import Project
    from freehold.workflows.shift.routes import RouteLine

STATES = ("incumbent", "shadow", "canary", "promoted", "rolled_back")


@group("routes")
def routes() -> None:
    """Who answers for which model's name. A change is live in every worker within a second.

    \b
    Example:
      freehold routes list
      freehold routes set support --model gpt-4o --incumbent incumbent --candidate local/base:app
      freehold routes set support --limit requests_per_minute=600 --why "noisy neighbour"
    """


@operation("list", "freehold.workflows.shift.routes:RouteLine[]", within=routes)
def list_command(*, project: Project = opened(looks=True)) -> Reply:
    """All routes of this project's store.

    \b
    Example:
      freehold routes list
    """
    from freehold.workflows.project_store import opened_store
    from freehold.workflows.shift import routes as work

    with opened_store(project, reads=True) as (store, _):
        lines = work.listed(store)
    return Reply(lines, _routes_view)


def _routes_view(lines: Sequence[RouteLine]) -> Iterator[Block]:
    if lines:
        header = ("route", "asked for", "state", "incumbent", "candidate", "changed (UTC)")
        yield TableRows([header, *(_row(line) for line in lines)])
    else:
        yield Aside("no routes: models are reached by their own names")


@operation("set", "freehold.types.route:Route", within=routes)
def set_command(
    name: str = arg(),
    *,
    model: str | None = opt("Model name clients ask for; * is any that no other route names."),
    incumbent: str | None = opt("Who answers until the candidate is promoted.", metavar="ENDPOINT[/MODEL]"),
    candidate: str | None = opt("Who takes over; - for none.", metavar="ENDPOINT[/MODEL]"),
    state: str | None = opt("Who answers now.", choices=STATES),
    limits: tuple[str, ...] = opt(
        "requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month.",
        "--limit",
        metavar="NAME=VALUE",
    ),
    why: str = opt("Kept in the route's history.", default=""),
    project: Project = opened(looks=True),
) -> Reply:
    """Change a route, or make it. What is not named stays.

    An empty value takes a limit away (`--limit concurrency=`). Headers, keys and shares are set in [[routes]]
    of freehold.toml.

    \b
    Example:
      freehold routes set support --model gpt-4o --incumbent incumbent --candidate local/base:app
      freehold routes set support --state rolled_back --why "complaints"
      freehold routes set support --limit concurrency=8 --limit wait_ms=2000
    """
    from freehold.types.route import Limits
    from freehold.workflows.project_store import opened_store
    from freehold.workflows.shift import routes as work

    with opened_store(project) as (store, _):
        before = next((route for route in store.routes() if route.name == name), None)
        changes: dict[str, Any] = stated({"model": model, "state": state})
        if incumbent is not None:
            changes["incumbent"] = work.parse_target(incumbent)
        if candidate is not None:
            changes["candidate"] = None if candidate == "-" else work.parse_target(candidate)
        if limits:
            changes["limits"] = work.with_pairs(before.limits if before else Limits(), limits, "limit")
        if not changes:
            raise click.UsageError("nothing to change: name an option")
        saved = work.change(store, project.config, name, changes, who=caller(), at=now(), why=why)
    return Reply(saved, _describe)


@operation("remove", "freehold.types.removal:Removed", within=routes)
def remove(
    name: str = arg(),
    *,
    why: str = opt("Kept in the route's history.", default=""),
    project: Project = opened(looks=True),
) -> Reply:
    """Forget a route; its history stays.

    \b
    Example:
      freehold routes remove support --why "moved for good"
    """
    from freehold.workflows.project_store import opened_store
    from freehold.workflows.shift import routes as work

    with opened_store(project) as (store, _):
        work.remove(store, name, who=caller(), at=now(), why=why)
    return Reply(Removed(name=name), lambda _: [Aside(f"removed the route {name}")])


def _state(route: Route) -> str:
    mixture = "" if route.deferral is None else ", with a fallback"
    if route.state == "canary":
        return f"canary {route.canary_share:.2%}{mixture}"
    if route.state == "shadow":
        return f"shadow {route.shadow_share:.0%}{mixture}"
    return route.state + (mixture if route.state == "promoted" else "")


def _row(line: RouteLine) -> tuple[str, ...]:
    from freehold.workflows.shift.routes import format_target

    route, last = line.route, line.changed
    changed = "–" if last is None else f"{last.at:%Y-%m-%d %H:%M} {last.who}"
    return (
        route.name,
        route.model + "".join(f" {part}" for part in _narrowed(route)),
        _state(route),
        format_target(route.incumbent),
        format_target(route.candidate),
        changed,
    )


def _narrowed(route: Route) -> list[str]:
    return [f"{name}={value}" for name, value in route.match_headers.items()] + [
        f"key={key}" for key in route.match_keys
    ]


def _describe(route: Route) -> Iterator[Block]:
    import msgspec

    from freehold.workflows.shift.routes import format_rule, format_target

    yield "route", route.name
    yield "asked for", " ".join([route.model, *_narrowed(route)])
    yield "state", _state(route)
    yield "incumbent", format_target(route.incumbent)
    yield "candidate", format_target(route.candidate)
    yield "sticky by", route.sticky
    yield "deferral", None if route.deferral is None else format_rule(route.deferral)
    yield "in need", ", ".join(format_target(target) for target in route.fallback)
    yield "first byte", None if route.first_byte_ms is None else f"within {route.first_byte_ms:g} ms"
    limits = {name: value for name, value in msgspec.to_builtins(route.limits).items() if value}
    yield "limits", ", ".join(f"{name} {value}" for name, value in limits.items())
    yield "revision", str(route.revision)
