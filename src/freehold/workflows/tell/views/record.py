"""The console's record screen: one stored record as it is, which every figure of the other screens leads to."""

from __future__ import annotations

from datetime import datetime

import msgspec

from freehold.store import Store
from freehold.types.record import Record
from freehold.types.route import ApiKey
from freehold.workflows.project import Project
from freehold.workflows.tell.views.query import Cursor, ScreenQuery

BODY_MAX_BYTES = 1024**2
HIDDEN_KINDS = (ApiKey.kind,)
"""A key's record holds the hash of its secret."""


class RecordQuery(ScreenQuery, frozen=True, kw_only=True):
    """Which record; its id, or that of a trace."""

    id: Cursor = ""


class ShownRecord(Record, frozen=True, kw_only=True):
    """A record's kind, its JSON and the ids it was made from. `body` is None where it is larger than 1 MiB."""

    kind: str
    size_bytes: int
    body: msgspec.Raw | None
    made_from: tuple[str, ...]


class RecordScreen(Record, frozen=True, kw_only=True):
    """All records of one id. `is_trace`: it is the id of a trace, which has a screen of its own."""

    id: str
    records: tuple[ShownRecord, ...]
    is_trace: bool = False


def record(project: Project, store: Store, query: RecordQuery, *, at: datetime) -> RecordScreen:
    """What the store holds under one id, whatever kind it is of."""
    found = store.of_id(query.id, without=HIDDEN_KINDS) if query.id else []
    shown = tuple(
        ShownRecord(
            kind=one.kind,
            size_bytes=len(one.body),
            body=msgspec.Raw(one.body) if len(one.body) <= BODY_MAX_BYTES else None,
            made_from=one.made_from,
        )
        for one in found
    )
    return RecordScreen(
        id=query.id, records=shown, is_trace=bool(query.id) and store.get_trace(query.id) is not None
    )
