"""`freehold keys`: the keys applications must show to the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from freehold.cli.options import agree, caller, config_option, json_option, now, print_json, why_option
from freehold.cli.output import echo

if TYPE_CHECKING:
    from freehold.types.route import Limits, Role
    from freehold.workflows.shift.keys import KeyLine

LIMITS_HELP = "requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month."


@click.group("keys")
def command() -> None:
    """The keys applications must show to the gateway. While there is none, everybody who reaches it may ask.

    \b
    Example:
      freehold keys add app-mobile --limit requests_per_minute=600 --limit usd_per_day=20
      freehold keys list
      freehold keys revoke app-mobile
    """


@command.command("add")
@click.argument("name")
@click.option("--limit", "limits", multiple=True, metavar="NAME=VALUE", help=LIMITS_HELP)
@click.option(
    "--role",
    type=click.Choice(["use", "read", "operate", "admin"]),
    default="use",
    help="use: ask models (the default). read: look at metrics, readiness and the console. operate: move traffic "
    "there as well. admin: everything, keys included.",
)
@click.option("--model", "models", multiple=True, metavar="NAME", help="Only this model; may be repeated.")
@click.option("--route", "routes", multiple=True, metavar="NAME", help="Only this route; may be repeated.")
@click.option(
    "--label", help="What it uses counts against the limits of this label, too (keys limit --label)."
)
@click.option("--expires", metavar="WHEN", help="Good until then (UTC): 12h, 90d, 2w, or 2027-01-31.")
@why_option
@config_option
@json_option("freehold.workflows.shift.keys:MadeKey")
def add(
    name: str,
    limits: tuple[str, ...],
    role: Role,
    models: tuple[str, ...],
    routes: tuple[str, ...],
    label: str | None,
    expires: str | None,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Make a key and print it: once, it cannot be shown again.

    \b
    Example:
      freehold keys add app-mobile --limit concurrency=8 --limit wait_ms=2000
      freehold keys add partner --model gpt-4o --expires 90d
      freehold keys add monitoring --role read
      freehold keys add app-web --label search
    """
    from freehold.types.route import Limits
    from freehold.workflows.shift import keys
    from freehold.workflows.shift.routes import with_pairs

    at = now()
    scope = keys.KeyScope(
        role=role,
        models=models,
        routes=routes,
        label=label,
        expires_at=None if expires is None else keys.expiry(expires, at=at),
    )
    with opened_keys(config_path) as (store, project):
        unanswered = keys.check_scope(project, store, scope)
        first = not keys.required(store, project.keys_file, at=at)
        made = keys.add(
            store,
            name,
            limits=with_pairs(Limits(), limits, "limit"),
            scope=scope,
            who=caller(),
            at=at,
            project=project,
        )
    for model in unanswered:
        echo(f"note: no route or endpoint here answers for the model {model} yet", err=True)
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
@click.option("--label", is_flag=True, help="NAME is a label: all keys that carry it share the limits.")
@why_option
@config_option
@json_option("freehold.types.route:Limits")
def limit(name: str, limits: tuple[str, ...], label: bool, config_path: Path | None, as_json: bool) -> None:
    """Change limits of a key, or of all keys together that carry a label; an empty value takes one away.

    \b
    Example:
      freehold keys limit app-mobile usd_per_day=50 concurrency=
      freehold keys limit --label search usd_per_month=500
    """
    from freehold.types.route import LabelLimits, Limits
    from freehold.workflows.shift import keys
    from freehold.workflows.shift.routes import with_pairs

    with opened_keys(config_path) as (store, project):
        if label:
            shared = store.get(LabelLimits, name)
            before = Limits() if shared is None else shared.limits
        else:
            before = keys.find(store, name).limits
        changed = with_pairs(before, limits, "limit")
        if label:
            keys.limit_label(store, name, changed, who=caller(), at=now(), project=project)
        else:
            keys.limit(store, name, changed, who=caller(), at=now(), project=project)
    if as_json:
        print_json(changed)
    else:
        echo(f"{name}: {shown_limits(changed)}")


@command.command("list")
@config_option
@json_option("freehold.workflows.shift.keys:KeyLine[]")
def list_command(config_path: Path | None, as_json: bool) -> None:
    """All keys, their limits, and what they have spent.

    \b
    Example:
      freehold keys list
    """
    from freehold.workflows.shift import keys

    with opened_keys(config_path) as (store, project):
        lines = keys.listed(store, at=now())
        required = keys.required(store, project.keys_file, at=now())
    if as_json:
        print_json(lines)
        return
    if not lines and required:
        echo("no keys, and keys are required: the gateway refuses every request", err=True)
        return
    if not lines:
        echo("no keys: everybody who reaches the gateway may ask", err=True)
        return
    echo(f"{'key':<16} {'made (UTC)':<17} {'today':>12} {'this month':>12}  limits")
    for line in lines:
        made = "–" if line.made_at is None else f"{line.made_at:%Y-%m-%d %H:%M}"
        notes = [shown_limits(line.limits)]
        notes += [f"only the {kind} {', '.join(names)}" for kind, names in _scopes(line) if names]
        if line.label is not None:
            shared = "" if line.label_limits is None else f" ({shown_limits(line.label_limits)})"
            notes.insert(0, f"label {line.label}{shared}")
        if line.role != "use":
            notes.insert(0, line.role)
        if line.expires_at is not None:
            notes.append(f"{'expired' if line.expired else 'until'} {line.expires_at:%Y-%m-%d %H:%M}")
        if line.revoked_at is not None:
            notes = [f"revoked {line.revoked_at:%Y-%m-%d %H:%M}"]
        today, month = f"{line.spent_day_usd:.4f} USD", f"{line.spent_month_usd:.4f} USD"
        if not line.limits.caps_spending and not line.spent_month_usd:
            today = month = "not counted"  # without a cap it is not, and zero would be wrong
        echo(f"{line.name:<16} {made:<17} {today:>12} {month:>12}  {', '.join(notes)}")


@command.command("revoke")
@click.argument("name", required=False)
@click.option("--forget-all", is_flag=True, help="Forget every key: the gateway then asks for none.")
@why_option
@config_option
@json_option("freehold.types.serving:RevokedKeys")
def revoke(name: str | None, forget_all: bool, config_path: Path | None, as_json: bool) -> None:
    """End a key: every worker refuses it within a second.

    \b
    Example:
      freehold keys revoke app-mobile --why "found in a public log"
    """
    from freehold.types.serving import RevokedKeys
    from freehold.workflows.shift import keys

    if forget_all == (name is not None):
        raise click.UsageError("name a key, or say --forget-all")
    with opened_keys(config_path) as (store, project):
        if name is None:
            count = keys.forget_all(store, project.keys_file, who=caller(), at=now())
            if as_json:
                print_json(RevokedKeys(revoked=count, left=0, open=True))
                return
            echo(f"forgot {count} keys: everybody who reaches the gateway may ask", err=True)
            return
        keys.revoke(store, name, at=now(), who=caller())
        left = [line for line in keys.listed(store, at=now()) if line.revoked_at is None]
    if as_json:
        print_json(RevokedKeys(revoked=1, left=len(left), open=False))
        return
    echo(
        f"revoked {name}" + ("" if left else "; no key is left, the gateway refuses every request"), err=True
    )


@command.command("accept")
@click.option("--yes", is_flag=True, help="Do not ask.")
@why_option
@config_option
@json_option("freehold.workflows.shift.keys:AcceptedStore")
def accept(yes: bool, config_path: Path | None, as_json: bool) -> None:
    """Take the store as it is, with the keys it has, after it was restored or lost.

    A gateway whose keys are required refuses a store that is not the one that held them, or is an older copy: a key
    that was revoked since would be good again. Look at `freehold keys list` afterwards.

    \b
    Example:
      freehold keys accept
    """
    from freehold.workflows.project import open_project
    from freehold.workflows.shift import keys

    project = open_project(config_path, looks=True)
    if not yes:
        agree("keys revoked after this copy was made are good again; accept it?")
    accepted = keys.accept(project, at=now(), who=caller())
    if as_json:
        print_json(accepted)
        return
    which = "the same store" if accepted.same_store else "another store"
    echo(
        f"accepted {which}: {accepted.keys_in_force} keys in force, {accepted.keys_revoked} revoked", err=True
    )
    if not accepted.keys_in_force:
        echo("keys stay required, so the gateway refuses every request: freehold keys add", err=True)


def _scopes(line: KeyLine) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return (("models" if len(line.models) > 1 else "model", line.models)), (
        "routes" if len(line.routes) > 1 else "route",
        line.routes,
    )


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

    return keys.opened_keys(open_project(config_path, looks=True))
