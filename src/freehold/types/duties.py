"""What a licence asks for, said to be done by a person."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from freehold.types.record import StoredRecord, content_id
from freehold.types.ruling import Obligation


class DutyMark(StoredRecord, frozen=True, kw_only=True):
    """What was said last of one duty of a model: that it is done, or (`done` False) that it is not after all.

    `id` is of the model and the whole duty, so that one whose words, phrase or section change is open again.
    """

    kind: ClassVar[str] = "duty_mark"

    id: str
    model: str
    obligation: Obligation
    done: bool
    who: str
    at: datetime


def duty_id(model: str, obligation: Obligation) -> str:
    """By which a duty of a model is known."""
    return content_id([model, obligation])
