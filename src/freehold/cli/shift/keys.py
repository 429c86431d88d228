"""`freehold keys`: the keys applications must show to the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import caller, config_option, json_option, now, print_json
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.route import Limits

LIMITS_HELP = "requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month."


@click.group("keys")
def command() -> None:
    """The keys applications must show to the gateway. While there is none, everybody who reaches it may ask.

    \b
    Example:
      freehold keys add app-eu --limit requests_per_minute=600 --limit usd_per_day=20
      freehold keys list
      freehold keys revoke app-eu
    """


@command.command("add")
@click.argument("name")
@click.option("--limit", "limits", multiple=True, metavar="NAME=VALUE", help=LIMITS_HELP)
@click.option("--admin", is_flag=True, help="May look at and change routes by the admin API.")
@config_option
@json_option
def add(name: str, limits: tuple[str, ...], admin: bool, config_path: Path | None, as_json: bool) -> None:
    """Make a key and print it: once, it cannot be shown again.

    \b
    Example:
      freehold keys add app-eu --limit concurrency=8 --limit wait_ms=2000
    """
    from freehold.types.route import Limits
    from freehold.workflows.shift import keys
    from freehold.workflows.shift.routes import with_pairs

    with _store(config_path) as (store, _):
        first = not keys.listed(store, at=now())
        made = keys.add(
            store,
            name,
            limits=with_pairs(Limits(), limits, "limit"),
            admin=admin,
            who=caller(),
            at=now(),
        )
    if as_json:
        print_json(made)
        return
    echo(made.secret)
    echo("keep it now: only its hash is stored", err=True)
    if first:
        echo("from now on the gateway asks everybody for a key", err=True)


@command.command("limit")
@click.argument("name")
@click.argument("limits", nargs=-1, required=True, metavar="NAME=VALUE…")
@config_option
@json_option
def limit(name: str, limits: tuple[str, ...], config_path: Path | None, as_json: bool) -> None:
    """Change limits of a key; an empty value takes one away.

    \b
    Example:
      freehold keys limit app-eu usd_per_day=50 concurrency=
    """
    from freehold.workflows.shift import keys
    from freehold.workflows.shift.routes import with_pairs

    with _store(config_path) as (store, _):
        before = keys.find(store, name).limits
        changed = keys.limit(store, name, with_pairs(before, limits, "limit"))
    if as_json:
        print_json(changed.limits)
    else:
        echo(f"{name}: {_limits(changed.limits)}")


@command.command("list")
@config_option
@json_option
def list_command(config_path: Path | None, as_json: bool) -> None:
    """All keys, their limits, and what they have spent.

    \b
    Example:
      freehold keys list
    """
    from freehold.workflows.shift import keys

    with _store(config_path) as (store, _):
        lines = keys.listed(store, at=now())
    if as_json:
        print_json(lines)
        return
    if not lines:
        echo("no keys: everybody who reaches the gateway may ask", err=True)
        return
    echo(f"{'key':<16} {'made (UTC)':<17} {'today':>12} {'this month':>12}  limits")
    for line in lines:
        made = "–" if line.made_at is None else f"{line.made_at:%Y-%m-%d %H:%M}"
        notes = [_limits(line.limits)]
        if line.admin:
            notes.insert(0, "admin")
        if line.revoked_at is not None:
            notes = [f"revoked {line.revoked_at:%Y-%m-%d %H:%M}"]
        today, month = f"{line.spent_day_usd:.4f} USD", f"{line.spent_month_usd:.4f} USD"
        echo(f"{line.name:<16} {made:<17} {today:>12} {month:>12}  {', '.join(notes)}")


@command.command("revoke")
@click.argument("name", required=False)
@click.option("--forget-all", is_flag=True, help="Forget every key: the gateway then asks for none.")
@config_option
def revoke(name: str | None, forget_all: bool, config_path: Path | None) -> None:
    """End a key: every worker refuses it within a second.

    \b
    Example:
      freehold keys revoke app-eu
    """
    from freehold.workflows.shift import keys

    if forget_all == (name is not None):
        raise click.UsageError("name a key, or say --forget-all")
    with _store(config_path) as (store, _):
        if name is None:
            echo(f"forgot {keys.forget_all(store)} keys: everybody who reaches the gateway may ask", err=True)
            return
        keys.revoke(store, name, at=now())
        left = [line for line in keys.listed(store, at=now()) if line.revoked_at is None]
    echo(
        f"revoked {name}" + ("" if left else "; no key is left, the gateway refuses every request"), err=True
    )


def _limits(limits: Limits) -> str:
    import msgspec

    found = [
        f"{name} {value}" for name, value in msgspec.to_builtins(limits).items() if value not in (None, 0.0)
    ]
    return ", ".join(found) or "no limits"


def _store(config_path: Path | None) -> Any:
    from freehold.workflows.project import open_project
    from freehold.workflows.project_store import opened_store

    return opened_store(open_project(config_path))
