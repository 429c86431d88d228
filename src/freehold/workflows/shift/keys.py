"""`freehold keys`: the keys applications must show to the gateway. A key is shown once; its hash is kept."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec

from freehold.errors import (
    ConfigError,
    KeysUnavailableError,
    RevisionError,
    UsageError,
    did_you_mean,
    nearest,
)
from freehold.gateway.limits import key_requirement
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import Store, audit
from freehold.store.database import store_file
from freehold.store.routes import forget_keys, stored_keys
from freehold.store.shares import Spent, spent
from freehold.types.audit import Change
from freehold.types.endpoint import ANY_MODEL, ServePlan
from freehold.types.record import Record
from freehold.types.route import ApiKey, LabelLimits, Limits, Role
from freehold.types.slot import ServedSlot
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import opened_store
from freehold.workflows.shift import endpoints
from freehold.workflows.shift.endpoints import configured_endpoints
from freehold.workflows.shift.routes import route_of

NAME_LENGTH_MAX = 200


class KeyScope(Record, frozen=True, kw_only=True):
    """What a key is good for; empty `models` and `routes` are all. Its use counts against its `label`'s limits, too."""

    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    label: str | None = None
    expires_at: datetime | None = None


class MadeKey(KeyScope, frozen=True, kw_only=True):
    """A new key. `secret` is told here and nowhere else."""

    name: str
    secret: str
    limits: Limits


class KeyLine(KeyScope, frozen=True, kw_only=True):
    """A key as it may be shown, and what it has spent today and this month (UTC). `label_limits` are shared by
    all keys of its label."""

    name: str
    limits: Limits
    made_at: datetime | None
    made_by: str
    revoked_at: datetime | None
    spent_day_usd: Decimal
    spent_month_usd: Decimal
    label_limits: Limits | None = None
    expired: bool = False


def required(store: Store, keys_file: Path | None, *, at: datetime) -> bool:
    """Whether the gateway asks for keys. Raises `KeysUnavailableError` for a store that cannot be theirs."""
    found = stored_keys(store.database)
    return key_requirement.reconcile(
        keys_file,
        store_id=found.store_id,
        changes=found.changes,
        has_keys=bool(found.keys or found.damaged),
        forgotten=found.forgotten,
        at=at,
    )


def check_routes(scope: KeyScope, known: Iterable[str]) -> None:
    """Raises `UsageError` for a key of a route that does not exist: it would be refused everywhere."""
    names = sorted(set(known))
    for route in scope.routes:
        if route not in names:
            there = f"routes here: {', '.join(names)}" if names else "freehold routes set makes one"
            raise UsageError(
                f"there is no route {route[:100]!r} that the key could be good for",
                hint=did_you_mean(route, names, there),
            )


def add(
    store: Store,
    name: str,
    *,
    limits: Limits,
    scope: KeyScope | None = None,
    who: str,
    at: datetime,
    project: Project | None = None,
) -> MadeKey:
    """Make a key. Raises `UsageError` when there is or was one of that name, or a limit cannot be held.

    That keys are required is kept in the `project`'s file of keys before the first one is stored.
    """
    scope = scope or KeyScope()
    _check_name(name, "a key")
    old = store.get(ApiKey, name)
    if old is not None:
        # Traces, feedback and spending go by the name: another holder would come into them.
        was = "there is" if old.revoked_at is None else "there was"
        raise UsageError(
            f"{was} a key named {name}", hint="choose another name: it stays with its key for good"
        )
    _check(limits)
    if scope.expires_at is not None and scope.expires_at <= at:
        raise UsageError(f"the key would have expired at {scope.expires_at:%Y-%m-%d %H:%M} UTC already")
    if scope.label is not None:
        _check_name(scope.label, "a label")
    secret, said = new_key(), msgspec.structs.asdict(scope)
    key = ApiKey(name=name, hash=hash_of(secret), limits=limits, made_at=at, made_by=who, **said)
    if project is not None:
        endpoints.check_caps(store, project.config, key)
        if not required(store, project.keys_file, at=at):
            found = stored_keys(store.database)
            key_requirement.write(
                project.keys_file,
                key_requirement.KeyRequirement(since=at, store_id=found.store_id, changes=found.changes),
            )
    told = {field: value for field, value in {**said, "limits": limits}.items() if value is not None}
    change = Change(action="key.add", who=who, at=at, detail=msgspec.to_builtins(told))
    store.put(key, change=change, if_was=lambda other: other is None or other.revoked_at is not None)
    return MadeKey(name=name, secret=secret, limits=limits, **said)


def _check_name(name: str, of: str) -> None:
    if not is_name(name):
        raise UsageError(
            f"{name[:100]!r} is not a name for {of}: printable, without : and /, at most {NAME_LENGTH_MAX} characters",
            hint="letters, digits, dots and dashes: app-eu",
        )


def is_name(name: str) -> bool:
    """A name stands in labels of metrics, in logs and on the terminal."""
    if not 0 < len(name) <= NAME_LENGTH_MAX or name != name.strip() or name in (".", ".."):
        return False
    return name.isprintable() and not set(name) & set(":/\\")


def limit(
    store: Store, name: str, limits: Limits, *, who: str, at: datetime, project: Project | None = None
) -> ApiKey:
    """Give a key other limits. Raises `UsageError`, and `RevisionError` for one that is changed at the same moment."""
    _check(limits)
    before = find(store, name)
    changed = msgspec.structs.replace(before, limits=limits)
    if project is not None:
        endpoints.check_caps(store, project.config, changed)
    detail = {"limits": msgspec.to_builtins(limits)}
    change = Change(action="key.limit", who=who, at=at, detail=detail)
    store.put(changed, change=change, if_was=lambda stored: stored == before)
    return changed


def limit_label(
    store: Store, label: str, limits: Limits, *, who: str, at: datetime, project: Project | None = None
) -> LabelLimits:
    """Say what all keys that carry a label may use together. Raises `UsageError`."""
    _check_name(label, "a label")
    _check(limits)
    shared = LabelLimits(label=label, limits=limits)
    if project is not None:
        endpoints.check_caps(store, project.config, shared)
    detail = {"limits": msgspec.to_builtins(limits)}
    store.put(shared, change=Change(action="label.limit", who=who, at=at, detail=detail))
    return shared


def revoke(store: Store, name: str, *, at: datetime, who: str = "") -> ApiKey:
    """End a key: refused by every worker within a second. Its name stays known, so that a gateway whose last key is
    revoked refuses all requests rather than lets all in."""
    while True:
        before = find(store, name)
        revoked = msgspec.structs.replace(before, revoked_at=at)
        change = Change(action="key.revoke", who=who, at=at)
        with contextlib.suppress(RevisionError):  # its limits were changed meanwhile: it ends all the same
            store.put(revoked, change=change, if_was=partial(operator.eq, before))
            return revoked


def find(store: Store, name: str) -> ApiKey:
    """The key of that name that is in force. Raises `UsageError`."""
    key = store.get(ApiKey, name)
    if key is None or key.revoked_at is not None:
        known = [key.name for key in store.records(ApiKey) if key.revoked_at is None]
        raise UsageError(
            f"no key named {name} is in force",
            hint=f"keys: {', '.join(sorted(known))}" if known else "freehold keys add makes one",
        )
    return key


def listed(store: Store, *, at: datetime) -> list[KeyLine]:
    """All keys, by name."""
    money = spent(store.database, at.strftime("%Y-%m-%d"), at.strftime("%Y-%m"))
    nothing = Spent(Decimal(0), Decimal(0))
    shared = {one.label: one.limits for one in store.records(LabelLimits)}
    return [
        KeyLine(
            name=key.name,
            label_limits=shared.get(key.label or ""),
            expired=key.expires_at is not None and key.expires_at <= at,
            limits=key.limits,
            made_at=key.made_at,
            made_by=key.made_by,
            revoked_at=key.revoked_at,
            spent_day_usd=money.get(f"key:{key.name}", nothing).day_usd,
            spent_month_usd=money.get(f"key:{key.name}", nothing).month_usd,
            **{field: getattr(key, field) for field in KeyScope.__struct_fields__},
        )
        for key in sorted(store.records(ApiKey), key=lambda key: key.name)
    ]


def _check(limits: Limits) -> None:
    if problem := limits.problem:
        raise UsageError(problem)


class AcceptedStore(Record, frozen=True, kw_only=True):
    """A store whose keys count from now on, and what was known before. `changes_before` is None where nothing was, or
    where it was another store."""

    store_id: str
    keys_in_force: int
    keys_revoked: int
    changes: int
    changes_before: int | None
    same_store: bool


@contextmanager
def opened_keys(project: Project) -> Iterator[tuple[Store, Project]]:
    """The project's store, as the one that holds its keys.

    Raises `KeysUnavailableError` where keys are required and the store is gone, empty, another one or an older copy.
    """
    key_requirement.check_file(project.keys_file, store_file(project.store_url))
    with opened_store(project) as (store, _):
        required(store, project.keys_file, at=now())
        yield store, project
        # What was changed is known at once, also where no gateway runs: an older copy would bring a revoked key back.
        required(store, project.keys_file, at=now())


def check_scope(project: Project, store: Store, scope: KeyScope) -> tuple[str, ...]:
    """Raises `UsageError` for a route that there is not, or a model whose name looks misspelt: the key would be
    refused everywhere. Returns the models that nothing answers for yet."""
    routes = [*store.routes(), *map(route_of, project.config.routes)]
    check_routes(scope, (route.name for route in routes))
    plan = store.latest(ServePlan)
    answered = {
        *(route.model for route in routes),
        *(one.name for endpoint in configured_endpoints(project.config) for one in endpoint.models),
        *((plan.model, *(adapter.name for adapter in plan.adapters)) if plan is not None else ()),
        *(slot.plan.served_name for slot in store.records(ServedSlot)),
    }
    if ANY_MODEL in answered:
        return ()
    unanswered = [name for name in scope.models if name not in answered and not _may_run_here(name)]
    for name in unanswered:
        if near := nearest(name, answered):
            raise UsageError(
                f"nothing here answers for the model {name!r}",
                hint=f"did you mean {near}? For another one: freehold routes set NAME --model {name} first",
            )
    return tuple(unanswered)


def _may_run_here(name: str) -> bool:
    """Whether it is a model, or an adapter by its model, that this project may serve itself."""
    from freehold.catalog import models as catalog
    from freehold.catalog import weights

    model = name.partition(":")[0]
    return catalog.find(model) is not None or weights.find(model) is not None


def accept(project: Project, *, at: datetime, who: str = "") -> AcceptedStore:
    """Take the project's store as it is, with the keys it has: after it was restored, or lost for good.

    Keys stay required, also where it holds none. Raises `UsageError` where no key was ever required.
    """
    try:
        known = key_requirement.read(project.keys_file)
    except KeysUnavailableError:
        known = key_requirement.KeyRequirement(since=at, store_id="", changes=0)
    if known is None:
        raise UsageError(
            "no key is required here, so there is nothing to accept", hint="freehold keys add NAME"
        )
    with opened_store(project) as (store, _):
        found = stored_keys(store.database)
        detail = {
            "changes": found.changes,
            "before": known.changes,
            "same_store": found.store_id == known.store_id,
        }
        audit.note(store.database, "keys.accept", found.store_id, who=who, at=at, detail=detail)
    key_requirement.write(
        project.keys_file, msgspec.structs.replace(known, store_id=found.store_id, changes=found.changes)
    )
    same = found.store_id == known.store_id
    in_force = sum(key.revoked_at is None for key in found.keys)
    return AcceptedStore(
        store_id=found.store_id,
        keys_in_force=in_force,
        keys_revoked=len(found.keys) - in_force,
        changes=found.changes,
        changes_before=known.changes if same else None,
        same_store=same,
    )


def forget_all(
    store: Store, keys_file: Path | None = None, *, who: str = "", at: datetime | None = None
) -> int:
    """Forget every key, so that the gateway asks for none any more. Returns how many there were."""
    count = forget_keys(store.database, who=who, at=at or now())
    key_requirement.forget(keys_file)
    return count


def shown(store: Store, secret: str, *, at: datetime) -> ApiKey | None:
    """The key in force that has this secret."""
    return by_hash(store, hash_of(secret), at=at)


def by_hash(store: Store, hash: str, *, at: datetime) -> ApiKey | None:
    """The key in force that has this hash: not revoked, not expired."""
    return next((key for key in _in_force(store, at) if key.hash == hash), None)


def _in_force(store: Store, at: datetime) -> Iterator[ApiKey]:
    for key in stored_keys(store.database).keys:
        if key.revoked_at is None and (key.expires_at is None or key.expires_at > at):
            yield key


def check_login(project: Project, *, at: datetime) -> None:
    """Raises `ConfigError` where no key opens a console."""
    with opened_keys(project) as (store, _):
        if any(key.may("look") for key in _in_force(store, at)):
            return
    raise ConfigError(
        "a console that others reach asks for a key, and no key opens it",
        hint="freehold keys add NAME --role read (to look) or operate (to move traffic)",
    )


_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def expiry(text: str, *, at: datetime) -> datetime:
    """When a key ends that is good for ``90d``, ``12h`` or ``2w`` from `at` on, or until a day (UTC). Raises
    `UsageError`."""
    number, unit = text[:-1].strip(), _UNITS.get(text[-1:])
    try:
        if unit is not None and number.isdecimal():
            return at + int(number) * unit
        day = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} says no time at which a key ends", hint="write 12h, 90d, 2w or a date: 2027-01-31"
        ) from None
    return day.replace(tzinfo=UTC) if day.tzinfo is None else day
