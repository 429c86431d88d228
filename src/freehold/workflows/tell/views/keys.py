"""The console's screen of keys: who may ask the gateway, for what, and what it cost."""

from __future__ import annotations

from datetime import datetime

from freehold.store import Store
from freehold.store.routes import stored_keys
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.shift import keys as changes
from freehold.workflows.shift.keys import KeyLine
from freehold.workflows.tell.views.query import ScreenQuery


class KeysQuery(ScreenQuery, frozen=True, kw_only=True):
    """All keys, or with `ended` those too that were revoked or have expired."""

    ended: bool = False


class KeysScreen(Record, frozen=True, kw_only=True):
    """The keys by name. `required`: the gateway asks for one. `routes` are those a key may be narrowed to."""

    at: datetime
    keys: tuple[KeyLine, ...]
    ended: int
    required: bool
    routes: tuple[str, ...]


def keys(project: Project, store: Store, query: KeysQuery, *, at: datetime) -> KeysScreen:
    """Whose keys are in force. No secret is here: only a hash is kept, and that is not shown."""
    lines = changes.listed(store, at=at)
    in_force = [line for line in lines if line.revoked_at is None and not line.expired]
    return KeysScreen(
        at=at,
        keys=tuple(lines if query.ended else in_force),
        ended=len(lines) - len(in_force),
        required=bool(stored_keys(store.database).keys) or project.keys_file.exists(),
        routes=tuple(sorted(route.name for route in store.routes())),
    )
