"""What people write to items they looked at."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

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


class LabelReview(StoredRecord, frozen=True, kw_only=True):
    """What a person said of the answer that a training sample teaches: it is right, or another one is.

    `trace_id` is the recorded request whose right answer this is from now on. One for each sample: a second look takes
    the place of the first.
    """

    kind: ClassVar[str] = "label_review"
    key_field: ClassVar[str] = "sample_id"

    sample_id: str
    trace_id: str
    dataset_id: str
    decision: Literal["confirmed", "corrected"]
    answer: str
    """The right answer."""
    before: str | None
    """What it taught until then; None where it taught nothing."""
    who: str
    at: datetime
