"""The console's buttons for keys: make one, which is shown once, and revoke one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from freehold.store import Store
from freehold.types.route import Limits, Role
from freehold.workflows.project import Project
from freehold.workflows.shift import keys
from freehold.workflows.shift.keys import MadeKey
from freehold.workflows.shift.routes import with_pairs
from freehold.workflows.tell.buttons import ButtonBody, Name

Number = Annotated[str, Meta(max_length=20)]
Names = Annotated[str, Meta(max_length=1000)]


class KeyNameBody(ButtonBody, frozen=True, kw_only=True):
    """A button of one key."""

    name: Name


class NewKeyBody(KeyNameBody, frozen=True, kw_only=True):
    """A key to be made, as a form has it: empty means without. `models` and `routes` are names with commas between,
    `expires` is ``90d``, ``12h`` or a date."""

    role: Role = "use"
    models: Names = ""
    routes: Names = ""
    expires: Number = ""
    requests_per_minute: Number = ""
    usd_per_day: Number = ""


def add(project: Project, store: Store, body: NewKeyBody, *, who: str, at: datetime) -> MadeKey:
    """Make a key and tell its secret, which is kept nowhere. Raises `UsageError` and `KeysUnavailableError`."""
    keys.required(store, project.keys_file, at=at)
    scope = keys.KeyScope(
        role=body.role,
        models=_names(body.models),
        routes=_names(body.routes),
        expires_at=keys.expiry(body.expires, at=at) if body.expires else None,
    )
    keys.check_scope(project, store, scope)
    given = {"requests_per_minute": body.requests_per_minute, "usd_per_day": body.usd_per_day}
    limits = with_pairs(Limits(), (f"{name}={value}" for name, value in given.items() if value), "limit")
    made = keys.add(store, body.name, limits=limits, scope=scope, who=who, at=at, keys_file=project.keys_file)
    keys.required(store, project.keys_file, at=at)
    return made


def revoke(project: Project, store: Store, body: KeyNameBody, *, who: str, at: datetime) -> None:
    """End a key: every worker refuses it within a second. Raises `UsageError` where it is not in force."""
    keys.required(store, project.keys_file, at=at)
    keys.revoke(store, body.name, at=at, who=who)
    keys.required(store, project.keys_file, at=at)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for part in text.split(",") if (name := part.strip()))
