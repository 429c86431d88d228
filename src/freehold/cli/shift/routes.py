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
      freehold routes history support
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
    _table([_row(line) for line in lines])


@command.command("show")
@click.argument("name")
@config_option
@json_option("freehold.types.route:Route")
def show(name: str, config_path: Path | None, as_json: bool) -> None:
    """One route, with everything set on it.

    \b
    Example:
      freehold routes show support
    """
    from freehold.workflows.shift import routes

    with _store(config_path, reads=True) as (store, _):
        route = routes.find(store, name)
    if as_json:
        print_json(route)
    else:
        _describe(route)


@command.command("set")
@click.argument("name")
@click.option("--model", help="Model name clients ask for; * is any that no other route names.")
@click.option("--incumbent", metavar="ENDPOINT[/MODEL]", help="Who answers until the candidate is promoted.")
@click.option("--candidate", metavar="ENDPOINT[/MODEL]", help="Who takes over; - for none.")
@click.option("--state", type=click.Choice(STATES), help="Who answers now.")
@click.option(
    "--canary-share", type=click.FloatRange(0, 1), help="Share of users on the candidate in a canary."
)
@click.option("--shadow-share", type=click.FloatRange(0, 1), help="Share of requests mirrored.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=VALUE",
    help="requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month.",
)
@click.option(
    "--cache",
    "cache",
    multiple=True,
    metavar="NAME=VALUE",
    help="Answer exact repeats from memory: seconds, mib, shared, tools; - for not at all.",
)
@click.option("--why", default="", help="Kept in the route's history.")
@click.option("--force", is_flag=True, help="Even what a running rollout decides on.")
@config_option
@json_option("freehold.types.route:Route")
def set_command(
    name: str,
    why: str,
    force: bool,
    config_path: Path | None,
    as_json: bool,
    **asked: Any,
) -> None:
    """Change a route, or make it. What is not named stays.

    An empty value takes a limit away (`--limit concurrency=`). Headers, keys, guards and waits are set in
    [[routes]] of freehold.toml.

    \b
    Example:
      freehold routes set support --model gpt-4o --incumbent incumbent --candidate local/base:app
      freehold routes set support --state rolled_back --why "complaints"
      freehold routes set support --limit concurrency=8 --limit wait_ms=2000
      freehold routes set support --cache seconds=3600
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
            force=force,
        )
    if as_json:
        print_json(saved)
    else:
        _describe(saved)


@command.command("remove")
@click.argument("name")
@click.option("--why", default="", help="Kept in the route's history.")
@click.option("--force", is_flag=True, help="Even while a rollout runs.")
@config_option
@json_option("freehold.types.removal:Removed")
def remove(name: str, why: str, force: bool, config_path: Path | None, as_json: bool) -> None:
    """Forget a route; its history stays.

    \b
    Example:
      freehold routes remove support --why "moved for good"
    """
    from freehold.workflows.shift import routes

    with _store(config_path) as (store, _):
        routes.remove(store, name, who=caller(), at=now(), why=why, force=force)
    if as_json:
        from freehold.types.removal import Removed

        print_json(Removed(name=name))
        return
    echo(f"removed the route {name}", err=True)


@command.command("history")
@click.argument("name")
@config_option
@json_option("freehold.types.route:RouteChange[]")
def history(name: str, config_path: Path | None, as_json: bool) -> None:
    """Who changed a route, when, why, and from which verdict.

    \b
    Example:
      freehold routes history support
    """
    from freehold.workflows.shift import routes

    with _store(config_path) as (store, _):
        changes = routes.history(store, name)
    if as_json:
        print_json(changes)
        return
    rows: list[tuple[str, ...]] = [("rev", "when (UTC)", "who", "state", "why", "verdict")]
    for line in changes:
        state = "removed" if line.route is None else _state(line.route)
        when = line.at.strftime("%Y-%m-%d %H:%M:%S")
        rows.append((str(line.revision), when, line.who, state, line.why or "–", line.verdict_id or "–"))
    _table(rows, header=False)


def _changes(before: Route | None, asked: dict[str, Any]) -> dict[str, Any]:
    from freehold.types.route import CacheTerms, Limits
    from freehold.workflows.shift.routes import parse_target, with_pairs

    changes: dict[str, Any] = {
        field: asked[field]
        for field in ("model", "state", "canary_share", "shadow_share")
        if asked[field] is not None
    }
    if asked["incumbent"] is not None:
        changes["incumbent"] = parse_target(asked["incumbent"])
    if asked["candidate"] is not None:
        changes["candidate"] = None if asked["candidate"] == "-" else parse_target(asked["candidate"])
    if asked["limits"]:
        changes["limits"] = with_pairs(before.limits if before else Limits(), asked["limits"], "limit")
    if asked["cache"] == ("-",):
        changes["cache"] = None
    elif asked["cache"]:
        terms = before.cache if before and before.cache else CacheTerms()
        changes["cache"] = with_pairs(terms, asked["cache"], "cache")
    return changes


def _store(config_path: Path | None, *, reads: bool = False) -> Any:
    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store

    return opened_store(open_project(config_path), reads=reads)


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


def _table(rows: list[tuple[str, ...]], *, header: bool = True) -> None:
    if header and rows:
        rows = [("route", "asked for", "state", "incumbent", "candidate", "changed (UTC)"), *rows]
    if rows:
        echo_table(rows)


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
    told = (("guard", route.guard), ("waits", route.waits), ("limits", route.limits), ("cache", route.cache))
    for title, record in told:
        values = {
            name: value
            for name, value in (msgspec.to_builtins(record) or {}).items()
            if value is not None and (title != "limits" or value != 0.0)
        }
        if values:
            lines.append((title, ", ".join(f"{name} {str(value).lower()}" for name, value in values.items())))
    if route.validate != "here":
        lines.append(("checked by", "the endpoint that answers"))
    lines.append(("revision", str(route.revision)))
    for title, text in lines:
        echo(f"{title:<10} {text}")
