"""`freehold keys`: the keys applications must show to the gateway. A key is shown once; its hash is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import KeysUnavailableError, UsageError
from freehold.gateway.limits import key_requirement
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import Store, audit
from freehold.store.keys import forget_keys, stored_keys
from freehold.store.urls import store_file
from freehold.store.usage import Spent, spent
from freehold.types.record import Record
from freehold.types.route import ApiKey, Limits, Role
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import opened_store


class MadeKey(Record, frozen=True, kw_only=True):
    """A new key. `secret` is told here and nowhere else."""

    name: str
    secret: str
    admin: bool
    limits: Limits
    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    expires_at: datetime | None = None


class KeyScope(Record, frozen=True, kw_only=True):
    """What a new key is good for; empty `models` and `routes` are all."""

    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    expires_at: datetime | None = None


class KeyLine(Record, frozen=True, kw_only=True):
    """A key as it may be shown, and what it has spent today and this month (UTC)."""

    name: str
    admin: bool
    limits: Limits
    made_at: datetime | None
    made_by: str
    revoked_at: datetime | None
    spent_day_usd: Decimal
    spent_month_usd: Decimal
    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    expired: bool = False


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


def add(
    store: Store,
    name: str,
    *,
    limits: Limits,
    scope: KeyScope | None = None,
    admin: bool = False,
    who: str,
    at: datetime,
    keys_file: Path | None = None,
) -> MadeKey:
    """Make a key. Raises `UsageError` when there is one of that name in force, or a limit is negative.

    That keys are required is kept in `keys_file` before the first one is stored.
    """
    scope = scope or KeyScope(role="admin" if admin else "use")
    if not name.strip() or ":" in name:
        raise UsageError(f"{name!r} is not a name for a key", hint="letters, digits, dots and dashes: app-eu")
    old = store.get(ApiKey, name)
    if old is not None and old.revoked_at is None:
        raise UsageError(
            f"there is a key named {name}",
            hint=f"freehold keys revoke {name} ends it; or choose another name",
        )
    _check(limits)
    if scope.expires_at is not None and scope.expires_at <= at:
        raise UsageError(f"the key would have expired at {scope.expires_at:%Y-%m-%d %H:%M} UTC already")
    secret = new_key()
    if keys_file is not None and not required(store, keys_file, at=at):
        found = stored_keys(store.database)
        key_requirement.write(
            keys_file,
            key_requirement.KeyRequirement(since=at, store_id=found.store_id, changes=found.changes),
        )
    key = ApiKey(
        name=name,
        hash=hash_of(secret),
        limits=limits,
        role=scope.role,
        models=scope.models,
        routes=scope.routes,
        admin=scope.role == "admin",
        made_at=at,
        made_by=who,
        expires_at=scope.expires_at,
    )
    told: dict[str, Any] = {"role": key.role, "models": key.models, "routes": key.routes, "limits": limits}
    if key.expires_at is not None:
        told["expires_at"] = key.expires_at
    store.put_key(key, "key.add", who=who, at=at, detail=msgspec.to_builtins(told))
    return MadeKey(
        name=name,
        secret=secret,
        admin=key.admin,
        limits=limits,
        role=key.role,
        models=key.models,
        routes=key.routes,
        expires_at=key.expires_at,
    )


def limit(store: Store, name: str, limits: Limits, *, who: str = "", at: datetime | None = None) -> ApiKey:
    """Give a key other limits. Raises `UsageError`."""
    _check(limits)
    changed = msgspec.structs.replace(find(store, name), limits=limits)
    detail = {"limits": msgspec.to_builtins(limits)}
    store.put_key(changed, "key.limit", who=who, at=at or now(), detail=detail)
    return changed


def revoke(store: Store, name: str, *, at: datetime, who: str = "") -> ApiKey:
    """End a key: refused by every worker within a second. Its name stays known, so that a gateway whose last key is
    revoked refuses all requests rather than lets all in."""
    revoked = msgspec.structs.replace(find(store, name), revoked_at=at)
    store.put_key(revoked, "key.revoke", who=who, at=at, detail={})
    return revoked


def forget_all(
    store: Store, keys_file: Path | None = None, *, who: str = "", at: datetime | None = None
) -> int:
    """Forget every key, so that the gateway asks for none any more. Returns how many there were."""
    count = forget_keys(store.database, who=who, at=at or now())
    key_requirement.forget(keys_file)
    return count


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
    return [
        KeyLine(
            name=key.name,
            admin=key.admin,
            role=key.role,
            models=key.models,
            routes=key.routes,
            expires_at=key.expires_at,
            expired=key.expires_at is not None and key.expires_at <= at,
            limits=key.limits,
            made_at=key.made_at,
            made_by=key.made_by,
            revoked_at=key.revoked_at,
            spent_day_usd=money.get(f"key:{key.name}", nothing).day_usd,
            spent_month_usd=money.get(f"key:{key.name}", nothing).month_usd,
        )
        for key in sorted(store.records(ApiKey), key=lambda key: key.name)
    ]


def _check(limits: Limits) -> None:
    for field in Limits.__struct_fields__:
        value = getattr(limits, field)
        if value is not None and value < 0:
            raise UsageError(f"the limit {field} is {value}, expected 0 or more")


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
