"""`freehold keys teams` and `freehold keys team`: keys that share limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import caller, config_option, json_option, now, print_json, why_option
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.route import Limits

LIMITS_HELP = "requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month."


@click.command("teams")
@config_option
@json_option("freehold.gateway.limits.team_changes:TeamLine[]")
def teams(config_path: Path | None, as_json: bool) -> None:
    """All teams: their limits and keys, and what these have spent.

    \b
    Example:
      freehold keys teams
    """
    from freehold.workflows.shift import keys

    with opened_keys(config_path) as (store, _):
        lines = keys.teams_listed(store, at=now())
    if as_json:
        print_json(lines)
        return
    if not lines:
        echo("no teams: freehold keys team set NAME makes one", err=True)
        return
    echo(f"{'team':<16} {'today':>12} {'this month':>12}  limits; keys")
    for line in lines:
        today, month = f"{line.spent_day_usd:.4f} USD", f"{line.spent_month_usd:.4f} USD"
        if not line.limits.caps_spending and not line.spent_month_usd:
            today = month = "not counted"
        held = ", ".join(line.keys) or "no keys"
        echo(f"{line.name:<16} {today:>12} {month:>12}  {shown_limits(line.limits)}; {held}")


@click.group("team")
def team_group() -> None:
    """Keys that share limits: what one of them uses counts against its own limits and its team's.

    \b
    Example:
      freehold keys team set search --usd-per-month 500 --rpm 600 --key app-mobile
      freehold keys team rename search discovery
    """


@team_group.command("set")
@click.argument("name")
@click.option("--rpm", type=int, help="Requests a minute, of all its keys together.")
@click.option("--tpm", type=int, help="Tokens a minute.")
@click.option("--usd-per-day", metavar="USD", help="Dollars a day (UTC) at endpoints that charge.")
@click.option("--usd-per-month", metavar="USD", help="Dollars a calendar month (UTC).")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=VALUE", help=f"{LIMITS_HELP} Empty takes one away."
)
@click.option(
    "--key", "joining", multiple=True, metavar="KEY", help="Put this key into the team; may be repeated."
)
@click.option("--without-key", "leaving", multiple=True, metavar="KEY", help="Take this key out of its team.")
@why_option
@config_option
@json_option("freehold.types.route:Team")
def team_set(
    name: str,
    limits: tuple[str, ...],
    joining: tuple[str, ...],
    leaving: tuple[str, ...],
    config_path: Path | None,
    as_json: bool,
    **short: Any,
) -> None:
    """Make a team, or change its limits and keys. What is not named stays as it is.

    \b
    Example:
      freehold keys team set search --usd-per-month 500 --rpm 600 --key app-mobile --key app-web
      freehold keys team set search --limit concurrency=20 --limit requests_per_minute=
    """
    from freehold.types.route import Limits, Team
    from freehold.workflows.shift import keys
    from freehold.workflows.shift.routes import with_pairs

    names = {
        "rpm": "requests_per_minute",
        "tpm": "tokens_per_minute",
        "usd_per_day": "usd_per_day",
        "usd_per_month": "usd_per_month",
    }
    pairs = [f"{names[option]}={value}" for option, value in short.items() if value is not None]
    with opened_keys(config_path) as (store, _):
        before = store.get(Team, name)
        known = Limits() if before is None else before.limits
        changed = with_pairs(known, [*pairs, *limits], "limit")
        for key in (*joining, *leaving):
            keys.find(store, key)
        team = keys.set_team(store, name, changed, who=caller(), at=now())
        keys.move_keys(store, joining, name, who=caller(), at=now())
        keys.move_keys(store, leaving, None, who=caller(), at=now())
    if as_json:
        print_json(team)
    else:
        echo(f"{name}: {shown_limits(team.limits)}")


@team_group.command("rename")
@click.argument("name")
@click.argument("new")
@why_option
@config_option
@json_option("freehold.types.route:Team")
def team_rename(name: str, new: str, config_path: Path | None, as_json: bool) -> None:
    """Give a team another name. Its keys, its limits and what it has spent stay.

    Its use goes on counting under the name it began with, which is what metrics and refusals name.

    \b
    Example:
      freehold keys team rename search discovery
    """
    from freehold.workflows.shift import keys

    with opened_keys(config_path) as (store, _):
        team = keys.rename_team(store, name, new, who=caller(), at=now())
    if as_json:
        print_json(team)
    else:
        echo(f"{new}: {shown_limits(team.limits)}; counted as {team.account.removeprefix('team:')}")


@team_group.command("remove")
@click.argument("name")
@click.option(
    "--release-keys", is_flag=True, help="Take its keys out of it: only their own limits hold then."
)
@why_option
@config_option
@json_option("freehold.types.removal:Removed")
def team_remove(name: str, release_keys: bool, config_path: Path | None, as_json: bool) -> None:
    """Take a team away. One that has keys in force stays, unless they are released.

    What it has spent stays in the store: a team of that name goes on with it.

    \b
    Example:
      freehold keys team remove search
      freehold keys team remove search --release-keys --why "each key has its own budget now"
    """
    from freehold.types.removal import Removed
    from freehold.workflows.shift import keys

    with opened_keys(config_path) as (store, _):
        keys.remove_team(store, name, release=release_keys, who=caller(), at=now())
    if as_json:
        print_json(Removed(name=name))
    else:
        echo(f"removed the team {name}", err=True)


def shown_limits(limits: Limits) -> str:
    """Limits as the terminal shows them: those that limit anything."""
    import msgspec

    found = [
        f"{name} {value}" for name, value in msgspec.to_builtins(limits).items() if value not in (None, 0.0)
    ]
    return ", ".join(found) or "no limits"


def opened_keys(config_path: Path | None) -> Any:
    """The store with the project's keys, and the project."""
    from freehold.workflows.project import open_project
    from freehold.workflows.shift import keys

    return keys.opened_keys(open_project(config_path))
