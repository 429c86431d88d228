"""The console's audit screen: who changed what, when, from where and why, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from freehold.store import Store
from freehold.store import audit as record
from freehold.types.audit import AuditEntry
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.tell.views.query import Place, ScreenQuery

Words = Annotated[str, Meta(max_length=200)]


class AuditQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which entries; empty does not narrow. `action` may be the part before the dot: ``key``. `after` is the number of
    the last entry of the page before."""

    action: Words = ""
    who: Words = ""
    subject: Words = ""
    after: Place | None = None
    most: Annotated[int, Meta(ge=1, le=200)] = 50


class AuditScreen(Record, frozen=True, kw_only=True):
    """A page of entries, newest first; `next` is the `after` of the next page, None after the last one."""

    at: datetime
    entries: tuple[AuditEntry, ...]
    next: int | None


def audit(project: Project, store: Store, query: AuditQuery, *, at: datetime) -> AuditScreen:
    """A page of the audit record. Whether the chain is whole is for `freehold audit --check`: it reads all of it."""
    found = record.newest(
        store.database,
        before=query.after,
        who=query.who or None,
        action=query.action or None,
        subject=query.subject or None,
        most=query.most + 1,
    )
    page = found[: query.most]
    return AuditScreen(at=at, entries=tuple(page), next=page[-1].number if len(found) > query.most else None)
