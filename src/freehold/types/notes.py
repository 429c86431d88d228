"""What people write to items they looked at."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from freehold.types.record import StoredRecord

NOTE_CHARACTERS = 2000


class ItemNote(StoredRecord, frozen=True, kw_only=True):
    """A note to one item of an evaluation. Its text may quote customers: it stays in the store."""

    kind: ClassVar[str] = "item_note"

    id: str
    evaluation_id: str
    sample_id: str
    text: str
    who: str
    at: datetime
