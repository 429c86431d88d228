"""`freehold keys`: the keys applications must show to the gateway. A key is shown once; its hash is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from freehold.catalog import models as catalog
from freehold.catalog import weights
from freehold.errors import ConfigError, KeysUnavailableError, UsageError, nearest
from freehold.gateway.limits import key_requirement
from freehold.gateway.limits.key_changes import (
    KeyLine,
    KeyScope,
    MadeKey,
    add,
    check_routes,
    find,
    limit,
    limit_label,
    listed,
    required,
    revoke,
)
from freehold.gateway.limits.keys import hash_of
from freehold.store import Store, audit
from freehold.store.keys import forget_keys, stored_keys
from freehold.store.urls import store_file
from freehold.types.endpoint import ANY_MODEL, ServePlan
from freehold.types.record import Record
from freehold.types.route import ApiKey
from freehold.workflows.project import Project, now
from freehold.workflows.project_store import opened_store
from freehold.workflows.shift.endpoints import configured_endpoints
from freehold.workflows.shift.routes import route_of

__all__ = [
    "AcceptedStore",
    "KeyLine",
    "KeyScope",
    "MadeKey",
    "accept",
    "add",
    "by_hash",
    "check_login",
    "check_scope",
    "expiry",
    "find",
    "forget_all",
    "limit",
    "limit_label",
    "listed",
    "opened_keys",
    "required",
    "revoke",
    "shown",
]


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
    for key in stored_keys(store.database).keys:
        if key.hash == hash and key.revoked_at is None and (key.expires_at is None or key.expires_at > at):
            return key
    return None


def check_login(project: Project, *, at: datetime) -> None:
    """Raises `ConfigError` where no key opens a console."""
    with opened_keys(project) as (store, _):
        for key in stored_keys(store.database).keys:
            if key.revoked_at is None and (key.expires_at is None or key.expires_at > at) and key.may("look"):
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
