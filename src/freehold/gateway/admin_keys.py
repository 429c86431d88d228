"""Keys over the admin API: the same rules as `freehold keys`, for keys of the role ``admin``.

``GET    /freehold/v1/keys``              all keys with their limits, scopes and spend; never a secret or its hash
``POST   /freehold/v1/keys``              make one: ``{"name": "…", "role": "use", …}``; tells its secret
``PUT    /freehold/v1/keys/NAME/limits``  other limits
``DELETE /freehold/v1/keys/NAME``         revoke it; its name stays known

Each change takes ``?why=…`` for the audit record. The first key of a gateway is made by `freehold keys add`. A key that
is narrowed to models or routes, carries a label, or ends, makes no key that may do more, carries another or lasts
longer.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from freehold.errors import RevisionError, UsageError
from freehold.gateway.config import GatewayConfig
from freehold.gateway.limits import key_changes
from freehold.store import Store
from freehold.types.record import Record
from freehold.types.route import ApiKey, Limits, Role
from freehold.wire.errors import ApiError, HttpReply

_HEADERS = [("content-type", "application/json"), ("cache-control", "no-store")]


class KeyLimits(Limits, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Limits` as a client writes them: a misspelt name must not become a key without that limit."""

    def stored(self) -> Limits:
        return Limits(**msgspec.structs.asdict(self))


class KeyList(Record, frozen=True, kw_only=True):
    """What GET answers."""

    keys: list[key_changes.KeyLine]


class ChangedLimits(Record, frozen=True, kw_only=True):
    """What PUT answers."""

    name: str
    limits: Limits


class RevokedKey(Record, frozen=True, kw_only=True):
    """What DELETE answers."""

    revoked: str


class KeyBody(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What POST takes. Empty `models` and `routes` are all; `expires_at` is a time with its zone."""

    name: str
    role: Role = "use"
    models: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    label: str | None = None
    expires_at: datetime | None = None
    limits: KeyLimits = KeyLimits()


def listed(store: Store) -> HttpReply:
    """All keys, revoked ones among them. Raises `StorageError`."""
    return _json(200, KeyList(keys=key_changes.listed(store, at=datetime.now(UTC))))


def add(store: Store, config: GatewayConfig, body: KeyBody, by: ApiKey) -> HttpReply:
    """Make a key. Raises `ApiError` and `StorageError`."""
    if body.expires_at is not None and body.expires_at.tzinfo is None:
        raise ApiError(400, "expires_at needs its zone: 2027-01-31T00:00:00Z", param="expires_at")
    _check_not_wider(body, by)
    scope = key_changes.KeyScope(
        role=body.role,
        models=body.models,
        routes=body.routes,
        label=body.label,
        expires_at=body.expires_at,
    )
    try:
        if body.name in {key.name for key in config.api_keys}:
            raise RevisionError(f"there is a key named {body.name} in the configuration")
        key_changes.check_routes(scope, (route.name for route in (*store.routes(), *config.routes)))
        made = key_changes.add(
            store,
            body.name,
            limits=body.limits.stored(),
            scope=scope,
            who=by.name,
            at=datetime.now(UTC),
            keys_file=None if config.keys_file is None else Path(config.keys_file),
        )
    except RevisionError as error:
        raise ApiError(409, error.message, code="key_exists", param="name") from None
    except UsageError as error:
        exists = error.message.startswith("there is a key")
        raise ApiError(409 if exists else 400, error.message, code="key_exists" if exists else None) from None
    return _json(201, made)


def limit(store: Store, name: str, limits: KeyLimits, by: ApiKey) -> HttpReply:
    """Give a key other limits. Raises `ApiError` and `StorageError`."""
    _require(store, name)
    try:
        key_changes.limit(store, name, limits.stored(), who=by.name, at=datetime.now(UTC))
    except RevisionError as error:
        raise ApiError(409, error.message, code="changed_meanwhile") from None
    except UsageError as error:
        raise ApiError(400, error.message, param="limits") from None
    return _json(200, ChangedLimits(name=name, limits=limits.stored()))


def revoke(store: Store, name: str, by: ApiKey) -> HttpReply:
    """End a key. Raises `ApiError` and `StorageError`."""
    _require(store, name)
    try:
        key_changes.revoke(store, name, at=datetime.now(UTC), who=by.name)
    except UsageError as error:  # revoked by another in between
        raise ApiError(404, error.message, code="unknown_key") from None
    return _json(200, RevokedKey(revoked=name))


def _require(store: Store, name: str) -> None:
    try:
        key_changes.find(store, name)
    except UsageError:
        raise ApiError(404, f"no key named {name[:100]} is in force", code="unknown_key") from None


def _check_not_wider(body: KeyBody, by: ApiKey) -> None:
    """Raises `ApiError` (403)."""
    for what, own, wanted in (("models", by.models, body.models), ("routes", by.routes, body.routes)):
        if own and not (wanted and set(wanted) <= set(own)):
            raise ApiError(
                403,
                f"this key may only use the {what} {', '.join(own)}, and makes no key for others",
                code="not_allowed",
                param=what,
            )
    if by.label is not None and body.label != by.label:
        raise ApiError(
            403,
            f"this key carries the label {by.label}, and makes keys that carry it only",
            code="not_allowed",
            param="label",
        )
    if by.expires_at is not None and (body.expires_at is None or body.expires_at > by.expires_at):
        raise ApiError(
            403,
            f"this key ends at {by.expires_at:%Y-%m-%d %H:%M} UTC, and makes no key that lasts longer",
            code="not_allowed",
            param="expires_at",
        )


def _json(status: int, value: object) -> HttpReply:
    return HttpReply(status, _HEADERS, msgspec.json.encode(value))
