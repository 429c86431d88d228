"""`freehold routes`: who answers for which model's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import caller, config_option, echo_table, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.route import Route
    from freehold.workflows.shift.routes import RouteLine

STATES = ("incumbent", "shadow", "canary", "promoted", "rolled_back")


@click.group("routes")
def command() -> None:
    """Who answers for which model's name. A change is live in every worker within a second.

    \b
    Example:
      freehold routes list
      freehold routes set support --model gpt-4o --incumbent incumbent --candidate local/base:app
      freehold routes set support --limit requests_per_minute=600 --why "noisy neighbour"
    """


@command.command("list")
@config_option
@json_option("freehold.workflows.shift.routes:RouteLine[]")
def list_command(config_path: Path | None, as_json: bool) -> None:
    """All routes of this project's store.

    \b
    Example:
      freehold routes list
    """
    from freehold.workflows.shift import routes

    with _store(config_path, reads=True) as (store, _):
        lines = routes.listed(store)
    if as_json:
        print_json(lines)
        return
    if not lines:
        echo("no routes: models are reached by their own names", err=True)
    if lines:
        header = ("route", "asked for", "state", "incumbent", "candidate", "changed (UTC)")
        echo_table([header, *(_row(line) for line in lines)])


@command.command("set")
@click.argument("name")
@click.option("--model", help="Model name clients ask for; * is any that no other route names.")
@click.option("--incumbent", metavar="ENDPOINT[/MODEL]", help="Who answers until the candidate is promoted.")
@click.option("--candidate", metavar="ENDPOINT[/MODEL]", help="Who takes over; - for none.")
@click.option("--state", type=click.Choice(STATES), help="Who answers now.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month.",
)
@click.option("--why", default="", help="Kept in the route's history.")
@config_option
@json_option("freehold.types.route:Route")
def set_command(
    name: str,
    why: str,
    config_path: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Change a route, or make it. What is not named stays.

    An empty value takes a limit away (`--limit concurrency=`). Headers, keys and shares are set in [[routes]]
    of freehold.toml.

    \b
    Example:
      freehold routes set support --model gpt-4o --incumbent incumbent --candidate local/base:app
      freehold routes set support --state rolled_back --why "complaints"
      freehold routes set support --limit concurrency=8 --limit wait_ms=2000
    """
    from freehold.workflows.shift import routes

    with _store(config_path) as (store, project):
        before = next((route for route in store.routes() if route.name == name), None)
        changes = _changes(before, asked)
        if not changes:
            raise click.UsageError("nothing to change: name an option")
        saved = routes.change(
            store,
            project.config,
            name,
            changes,
            routes.ChangeNote(who=caller(), at=now(), why=why),
        )
    if as_json:
        print_json(saved)
    else:
        _describe(saved)


@command.command("remove")
@click.argument("name")
@click.option("--why", default="", help="Kept in the route's history.")
@config_option
@json_option("freehold.types.serving:Removed")
def remove(name: str, why: str, config_path: Path | None, as_json: bool) -> None:
    """Forget a route; its history stays.

    \b
    Example:
      freehold routes remove support --why "moved for good"
    """
    from freehold.workflows.shift import routes

    with _store(config_path) as (store, _):
        routes.remove(store, name, who=caller(), at=now(), why=why)
    if as_json:
        from freehold.types.serving import Removed

        print_json(Removed(name=name))
        return
    echo(f"removed the route {name}", err=True)


def _changes(before: Route | None, asked: dict[str, Any]) -> dict[str, Any]:
    from freehold.types.route import Limits
    from freehold.workflows.shift.routes import parse_target, with_pairs

    changes: dict[str, Any] = {
        field: asked[field] for field in ("model", "state") if asked[field] is not None
    }
    if asked["incumbent"] is not None:
        changes["incumbent"] = parse_target(asked["incumbent"])
    if asked["candidate"] is not None:
        changes["candidate"] = None if asked["candidate"] == "-" else parse_target(asked["candidate"])
    if asked["limits"]:
        changes["limits"] = with_pairs(before.limits if before else Limits(), asked["limits"], "limit")
    return changes


def _store(config_path: Path | None, *, reads: bool = False) -> Any:
    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store

    return opened_store(open_project(config_path, looks=True), reads=reads)


def _state(route: Route) -> str:
    mixture = "" if route.deferral is None else ", a mixture"
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


def _describe(route: Route) -> None:
    import msgspec

    from freehold.workflows.shift.routes import format_rule, format_target

    lines = [
        ("route", route.name),
        ("asked for", " ".join([route.model, *_narrowed(route)])),
        ("state", _state(route)),
        ("incumbent", format_target(route.incumbent)),
        ("candidate", format_target(route.candidate)),
        ("sticky by", route.sticky),
    ]
    if route.deferral is not None:
        lines.append(("deferral", format_rule(route.deferral)))
    if route.fallback:
        lines.append(("in need", ", ".join(format_target(target) for target in route.fallback)))
    if route.first_byte_ms is not None:
        lines.append(("first byte", f"within {route.first_byte_ms:g} ms"))
    for title, record in (("limits", route.limits), ("cache", route.cache)):
        values = {name: value for name, value in (msgspec.to_builtins(record) or {}).items() if value}
        if values:
            lines.append((title, ", ".join(f"{name} {value}" for name, value in values.items())))
    lines.append(("revision", str(route.revision)))
    for title, text in lines:
        echo(f"{title:<10} {text}")
