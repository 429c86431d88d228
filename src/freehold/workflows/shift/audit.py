"""`freehold audit`: who changed what, when, from where and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from freehold.store import Store, audit
from freehold.types.audit import AuditCheck, AuditEntry


def listed(
    store: Store,
    *,
    action: str | None = None,
    since: datetime | None = None,
) -> Iterator[AuditEntry]:
    """Entries that meet everything given, oldest first. `action` may be the part before the dot: ``key``."""
    for entry in audit.entries(store.database):
        if (action is None or entry.action == action or entry.action.startswith(f"{action}.")) and (
            since is None or entry.at >= since
        ):
            yield entry


def checked(store: Store, *, head: str | None = None) -> AuditCheck:
    """Whether nothing was changed or cut out."""
    return audit.check(store.database, head=head)
