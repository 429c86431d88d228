"""Notes to the items of an evaluation: kept in the store, each with an entry in the audit record."""

from __future__ import annotations

from datetime import datetime

from freehold.errors import UsageError
from freehold.store import Store
from freehold.types.audit import Change
from freehold.types.evaluated import NOTE_CHARACTERS, Evaluation, ItemNote
from freehold.types.record import event_id


def add_note(
    store: Store, evaluation_id: str, sample_id: str, text: str, *, who: str, at: datetime
) -> ItemNote:
    """Keep a note. The audit record says who wrote one to which item, not its words.

    Raises `UsageError` for an evaluation that is not there, and for a text that is empty or too long.
    """
    text = text.strip()
    if not text:
        raise UsageError("the note is empty", hint="say what you saw in this item")
    if len(text) > NOTE_CHARACTERS:
        raise UsageError(f"the note has {len(text):,} characters, at most {NOTE_CHARACTERS:,} are kept")
    if store.get(Evaluation, evaluation_id) is None:
        raise UsageError(f"no evaluation {evaluation_id[:12]}", hint="freehold evaluate makes one")
    note = ItemNote(
        id=event_id(int(at.timestamp() * 1000)),
        evaluation_id=evaluation_id,
        sample_id=sample_id,
        text=text,
        who=who,
        at=at,
    )
    change = Change(
        action="note.add", who=who, at=at, detail={"evaluation": evaluation_id, "sample": sample_id}
    )
    store.put(note, made_from=(evaluation_id,), change=change)
    return note


def notes_of(store: Store, evaluation_id: str) -> dict[str, tuple[ItemNote, ...]]:
    """The notes to an evaluation's items by sample id, oldest first."""
    found: dict[str, tuple[ItemNote, ...]] = {}
    for note in store.records(ItemNote):
        if note.evaluation_id == evaluation_id:
            found[note.sample_id] = (*found.get(note.sample_id, ()), note)
    return found
