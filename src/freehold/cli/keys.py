"""`freehold keys`: the keys applications must show to the gateway; `freehold audit`: who changed what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from freehold.cli.operation import YES, Reply, arg, group, opened, operation, opt
from freehold.cli.options import agree, caller, now, only_with
from freehold.cli.output import Aside, Block, TableRows, echo
from freehold.types.removal import RevokedKeys

if TYPE_CHECKING:
    from freehold.types.audit import AuditCheck, AuditEntry
    from freehold.types.route import Limits, Role
    from freehold.workflows.project import Project
    from freehold.workflows.shift.keys import AcceptedStore, KeyLine

LIMITS_HELP = "requests_per_minute, tokens_per_minute, concurrency, wait_ms, usd_per_day, usd_per_month."


@group("keys")
def keys() -> None:
    """The keys applications must show to the gateway. While there is none, everybody who reaches it may ask.

    \b
    Example:
      freehold keys add app-mobile --limit requests_per_minute=600 --limit usd_per_day=20
      freehold keys list
      freehold keys revoke app-mobile
    """


@operation("add", "freehold.workflows.shift.keys:MadeKey", within=keys, why=True)
def add(
    name: str = arg(),
    *,
    limits: tuple[str, ...] = opt(LIMITS_HELP, "--limit", metavar="NAME=VALUE"),
    role: Role = opt(
        "use: ask models (the default). read: look at metrics, readiness and the console. operate: move traffic "
        "there as well. admin: everything, keys included.",
        default="use",
        choices=["use", "read", "operate", "admin"],
    ),
    models: tuple[str, ...] = opt("Only this model; may be repeated.", "--model", metavar="NAME"),
    routes: tuple[str, ...] = opt("Only this route; may be repeated.", "--route", metavar="NAME"),
    label: str | None = opt(
        "What it uses counts against the limits of this label, too (keys limit --label)."
    ),
    expires: str | None = opt("Good until then (UTC): 12h, 90d, 2w, or 2027-01-31.", metavar="WHEN"),
    project: Project = opened(looks=True),
) -> Reply:
    """Make a key and print it: once, it cannot be shown again.

    \b
    Example:
      freehold keys add app-mobile --limit concurrency=8 --limit wait_ms=2000
      freehold keys add partner --model gpt-4o --expires 90d
      freehold keys add monitoring --role read
      freehold keys add app-web --label search
    """
    from freehold.types.route import Limits
    from freehold.workflows.shift import keys as work
    from freehold.workflows.shift.routes import with_pairs

    at = now()
    scope = work.KeyScope(
        role=role,
        models=models,
        routes=routes,
        label=label,
        expires_at=None if expires is None else work.expiry(expires, at=at),
    )
    with work.opened_keys(project) as (store, _):
        unanswered = work.check_scope(project, store, scope)
        first = not work.required(store, project.keys_file, at=at)
        made = work.add(
            store,
            name,
            limits=with_pairs(Limits(), limits, "limit"),
            scope=scope,
            who=caller(),
            at=at,
            project=project,
        )

    def view(_: object) -> Iterator[Block]:
        yield made.secret
        yield Aside("keep it now: only its hash is stored")
        if first:
            yield Aside("from now on the gateway asks everybody for a key")

    for model in unanswered:
        echo(f"note: no route or endpoint here answers for the model {model} yet", err=True)
    return Reply(made, view)


@operation("limit", "freehold.types.route:Limits", within=keys, why=True)
def limit(
    name: str = arg(),
    limits: tuple[str, ...] = arg("NAME=VALUE…", required=True),
    *,
    label: bool = opt("NAME is a label: all keys that carry it share the limits."),
    project: Project = opened(looks=True),
) -> Reply:
    """Change limits of a key, or of all keys together that carry a label; an empty value takes one away.

    \b
    Example:
      freehold keys limit app-mobile usd_per_day=50 concurrency=
      freehold keys limit --label search usd_per_month=500
    """
    from freehold.types.route import LabelLimits, Limits
    from freehold.workflows.shift import keys as work
    from freehold.workflows.shift.routes import with_pairs

    with work.opened_keys(project) as (store, _):
        if label:
            shared = store.get(LabelLimits, name)
            before = Limits() if shared is None else shared.limits
        else:
            before = work.find(store, name).limits
        changed = with_pairs(before, limits, "limit")
        if label:
            work.limit_label(store, name, changed, who=caller(), at=now(), project=project)
        else:
            work.limit(store, name, changed, who=caller(), at=now(), project=project)
    return Reply(changed, lambda changed: [f"{name}: {shown_limits(changed)}"])


@operation("list", "freehold.workflows.shift.keys:KeyLine[]", within=keys)
def list_command(*, project: Project = opened(looks=True)) -> Reply:
    """All keys, their limits, and what they have spent.

    \b
    Example:
      freehold keys list
    """
    from freehold.workflows.shift import keys as work

    with work.opened_keys(project) as (store, _):
        lines = work.listed(store, at=now())
        required = work.required(store, project.keys_file, at=now())
    return Reply(lines, partial(_keys_view, required=required))


def _keys_view(lines: Sequence[KeyLine], required: bool) -> Iterator[Block]:
    if not lines and required:
        yield Aside("no keys, and keys are required: the gateway refuses every request")
        return
    if not lines:
        yield Aside("no keys: everybody who reaches the gateway may ask")
        return
    table = TableRows([("key", "made (UTC)", "today", "this month", "limits")])
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
        table.append((line.name, made, today, month, ", ".join(notes)))
    yield table


@operation("revoke", "freehold.types.removal:RevokedKeys", within=keys, why=True)
def revoke(
    name: str | None = arg(),
    *,
    forget_all: bool = opt("Forget every key: the gateway then asks for none."),
    project: Project = opened(looks=True),
) -> Reply:
    """End a key: every worker refuses it within a second.

    \b
    Example:
      freehold keys revoke app-mobile --why "found in a public log"
    """
    from freehold.workflows.shift import keys as work

    if forget_all == (name is not None):
        raise click.UsageError("name a key, or say --forget-all")
    with work.opened_keys(project) as (store, _):
        if name is None:
            count = work.forget_all(store, project.keys_file, who=caller(), at=now())
            made = RevokedKeys(revoked=count, left=0, open=True)
            said = f"forgot {count} keys: everybody who reaches the gateway may ask"
        else:
            work.revoke(store, name, at=now(), who=caller())
            left = [line for line in work.listed(store, at=now()) if line.revoked_at is None]
            made = RevokedKeys(revoked=1, left=len(left), open=False)
            said = f"revoked {name}" + ("" if left else "; no key is left, the gateway refuses every request")
    return Reply(made, lambda _: [Aside(said)])


@operation("accept", "freehold.workflows.shift.keys:AcceptedStore", within=keys, why=True)
def accept(*, yes: bool = YES, project: Project = opened(looks=True)) -> Reply:
    """Take the store as it is, with the keys it has, after it was restored or lost.

    A gateway whose keys are required refuses a store that is not the one that held them, or is an older copy: a key
    that was revoked since would be good again. Look at `freehold keys list` afterwards.

    \b
    Example:
      freehold keys accept
    """
    from freehold.workflows.shift import keys as work

    if not yes:
        agree("keys revoked after this copy was made are good again; accept it?")
    return Reply(work.accept(project, at=now(), who=caller()), _accepted)


def _accepted(made: AcceptedStore) -> Iterator[Block]:
    which = "the same store" if made.same_store else "another store"
    yield Aside(f"accepted {which}: {made.keys_in_force} keys in force, {made.keys_revoked} revoked")
    if not made.keys_in_force:
        yield Aside("keys stay required, so the gateway refuses every request: freehold keys add")


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


@operation("audit", "freehold.types.audit:AuditEntry[]", check="freehold.types.audit:AuditCheck")
def audit(
    *,
    action: str | None = opt("Only this kind of change: key, key.revoke, route, …", metavar="NAME"),
    last: int | None = opt("Only the last N.", ge=1, metavar="N"),
    check: bool = opt("Is the chain whole? Ends with 1 when something was changed or cut out."),
    head: str | None = opt(
        "With --check: an entry noted elsewhere that must be there.", metavar="NUMBER:HASH"
    ),
    project: Project = opened(looks=True),
) -> Reply:
    """Who changed what, when, from where and why. The record only grows.

    \b
    Example:
      freehold audit --last 20
      freehold audit --action key --json
      freehold audit --check
    """
    from freehold.workflows import project_store as work
    from freehold.workflows.project_store import opened_store

    only_with("--check", check, "head")
    with opened_store(project) as (store, _):
        if check:
            found = work.audit_check(store, head=head)
            return Reply(found, _checked, 1 if found.faults else 0, "check")
        entries = list(deque(work.audit_entries(store, action=action), maxlen=last))
    why_none = "no change was made here" if action is None else "no such change"
    return Reply(entries, lambda entries: map(_entry, entries) if entries else [Aside(why_none)])


def _checked(found: AuditCheck) -> Iterator[Block]:
    yield from found.faults
    word = "whole" if not found.faults else "NOT WHOLE"
    yield Aside(f"{found.entries} entries, {word}; the last is {found.head}")


def _entry(entry: AuditEntry) -> str:
    why = f"  ({entry.why})" if entry.why else ""
    return f"{entry.at:%Y-%m-%d %H:%M:%S}  {entry.who}  {entry.action} {entry.subject}{why}  {entry.source}"
