"""`freehold keys`: the keys applications must show to the gateway. A key is shown once; its hash is kept."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import msgspec

from freehold.errors import UsageError
from freehold.gateway.limits.keys import hash_of, new_key
from freehold.store import Store
from freehold.store.usage import Spent, spent
from freehold.types.record import Record
from freehold.types.route import ApiKey, Limits


class MadeKey(Record, frozen=True, kw_only=True):
    """A new key. `secret` is told here and nowhere else."""

    name: str
    secret: str
    admin: bool
    limits: Limits


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


def add(store: Store, name: str, *, limits: Limits, admin: bool = False, who: str, at: datetime) -> MadeKey:
    """Make a key. Raises `UsageError` when there is one of that name in force, or a limit is negative."""
    if not name.strip() or ":" in name:
        raise UsageError(f"{name!r} is not a name for a key", hint="letters, digits, dots and dashes: app-eu")
    old = store.get(ApiKey, name)
    if old is not None and old.revoked_at is None:
        raise UsageError(
            f"there is a key named {name}",
            hint=f"freehold keys revoke {name} ends it; or choose another name",
        )
    _check(limits)
    secret = new_key()
    store.put(ApiKey(name=name, hash=hash_of(secret), limits=limits, admin=admin, made_at=at, made_by=who))
    return MadeKey(name=name, secret=secret, admin=admin, limits=limits)


def limit(store: Store, name: str, limits: Limits) -> ApiKey:
    """Give a key other limits. Raises `UsageError`."""
    _check(limits)
    changed = msgspec.structs.replace(find(store, name), limits=limits)
    store.put(changed)
    return changed


def revoke(store: Store, name: str, *, at: datetime) -> ApiKey:
    """End a key: refused by every worker within a second. Its name stays known, so that a gateway whose last key is
    revoked refuses all requests rather than lets all in."""
    revoked = msgspec.structs.replace(find(store, name), revoked_at=at)
    store.put(revoked)
    return revoked


def forget_all(store: Store) -> int:
    """Forget every key, so that the gateway asks for none any more. Returns how many there were."""
    known = store.records(ApiKey)
    for key in known:
        store.delete(ApiKey, key.name)
    return len(known)


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
