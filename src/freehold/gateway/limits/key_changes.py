"""Changes of keys in the store: the same rules for `freehold keys` and for the admin API.

A key is shown once, when it is made; its hash is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import RevisionError, UsageError, did_you_mean
from freehold.gateway.limits import key_requirement
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import Store
from freehold.store.keys import stored_keys
from freehold.store.usage import Spent, spent
from freehold.types.audit import Change
from freehold.types.record import Record
from freehold.types.route import ApiKey, LabelLimits, Limits, Role

NAME_LENGTH_MAX = 200


class MadeKey(Record, frozen=True, kw_only=True):
    """A new key. `secret` is told here and nowhere else."""

    name: str
    secret: str
    limits: Limits
    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    label: str | None = None
    expires_at: datetime | None = None


class KeyScope(Record, frozen=True, kw_only=True):
    """What a new key is good for; empty `models` and `routes` are all. Its use counts against its `label`'s limits,
    too."""

    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    label: str | None = None
    expires_at: datetime | None = None


class KeyLine(Record, frozen=True, kw_only=True):
    """A key as it may be shown, and what it has spent today and this month (UTC). `label_limits` are shared by
    all keys of its label."""

    name: str
    limits: Limits
    made_at: datetime | None
    made_by: str
    revoked_at: datetime | None
    spent_day_usd: Decimal
    spent_month_usd: Decimal
    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    label: str | None = None
    label_limits: Limits | None = None
    expires_at: datetime | None = None
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
    keys_file: Path | None = None,
) -> MadeKey:
    """Make a key. Raises `UsageError` when there is one of that name in force, or a limit is negative.

    That keys are required is kept in `keys_file` before the first one is stored.
    """
    scope = scope or KeyScope()
    _check_name(name, "a key")
    old = store.get(ApiKey, name)
    if old is not None and old.revoked_at is None:
        raise UsageError(
            f"there is a key named {name}",
            hint=f"freehold keys revoke {name} ends it; or choose another name",
        )
    _check(limits)
    if scope.expires_at is not None and scope.expires_at <= at:
        raise UsageError(f"the key would have expired at {scope.expires_at:%Y-%m-%d %H:%M} UTC already")
    if scope.label is not None:
        _check_name(scope.label, "a label")
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
        label=scope.label,
        made_at=at,
        made_by=who,
        expires_at=scope.expires_at,
    )
    told: dict[str, Any] = {"role": key.role, "models": key.models, "routes": key.routes, "limits": limits}
    if key.label is not None:
        told["label"] = key.label
    if key.expires_at is not None:
        told["expires_at"] = key.expires_at
    store.put_key(key, "key.add", who=who, at=at, detail=msgspec.to_builtins(told), new=True)
    return MadeKey(
        name=name,
        secret=secret,
        limits=limits,
        role=key.role,
        models=key.models,
        routes=key.routes,
        label=key.label,
        expires_at=key.expires_at,
    )


def _check_name(name: str, of: str) -> None:
    if not is_name(name):
        raise UsageError(
            f"{name[:100]!r} is not a name for {of}: printable, without : and /, at most {NAME_LENGTH_MAX} characters",
            hint="letters, digits, dots and dashes: app-eu",
        )


def is_name(name: str) -> bool:
    """A name stands in paths of the admin API, in labels of metrics, in logs and on the terminal."""
    if not 0 < len(name) <= NAME_LENGTH_MAX or name != name.strip() or name in (".", ".."):
        return False
    return name.isprintable() and not set(name) & set(":/\\")


def limit(store: Store, name: str, limits: Limits, *, who: str, at: datetime) -> ApiKey:
    """Give a key other limits. Raises `UsageError`, and `RevisionError` for one that is changed at the same moment."""
    _check(limits)
    before = find(store, name)
    changed = msgspec.structs.replace(before, limits=limits)
    detail = {"limits": msgspec.to_builtins(limits)}
    store.put_key(changed, "key.limit", who=who, at=at, detail=detail, before=before)
    return changed


def limit_label(store: Store, label: str, limits: Limits, *, who: str, at: datetime) -> LabelLimits:
    """Say what all keys that carry a label may use together. Raises `UsageError`."""
    _check_name(label, "a label")
    _check(limits)
    shared = LabelLimits(label=label, limits=limits)
    detail = {"limits": msgspec.to_builtins(limits)}
    store.put(shared, change=Change(action="label.limit", who=who, at=at, detail=detail))
    return shared


def revoke(store: Store, name: str, *, at: datetime, who: str = "") -> ApiKey:
    """End a key: refused by every worker within a second. Its name stays known, so that a gateway whose last key is
    revoked refuses all requests rather than lets all in."""
    while True:
        before = find(store, name)
        revoked = msgspec.structs.replace(before, revoked_at=at)
        with contextlib.suppress(RevisionError):  # its limits were changed meanwhile: it ends all the same
            store.put_key(revoked, "key.revoke", who=who, at=at, detail={}, before=before)
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
            role=key.role,
            models=key.models,
            routes=key.routes,
            label=key.label,
            label_limits=shared.get(key.label or ""),
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
    if problem := limits.problem:
        raise UsageError(problem)
