"""What the console's buttons do with evidence: notes to items, blind labels, duties."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from freehold.store import Store
from freehold.types.duties import DutyMark
from freehold.types.notes import NOTE_CHARACTERS, ItemNote
from freehold.workflows.license.duties import mark_duty
from freehold.workflows.project import Project
from freehold.workflows.prove.label import Choice
from freehold.workflows.prove.notes import add_note
from freehold.workflows.tell.buttons import ButtonBody
from freehold.workflows.tell.views.license import shown_ruling
from freehold.workflows.tell.views.proof.labelling import ShownPair, desk_of

Id = Annotated[str, Meta(min_length=1, max_length=200)]


class NoteBody(ButtonBody, frozen=True, kw_only=True):
    """A note to an item of an evaluation."""

    evaluation: Id
    sample: Id
    text: Annotated[str, Meta(min_length=1, max_length=NOTE_CHARACTERS)]


class PairBody(ButtonBody, frozen=True, kw_only=True):
    """What a person says of the pair that was shown to them."""

    evaluation: Id
    pair: Id
    choice: Choice


class UndoBody(ButtonBody, frozen=True, kw_only=True):
    """The last label of an evaluation is taken back."""

    evaluation: Id


class DutyBody(ButtonBody, frozen=True, kw_only=True):
    """A duty of a model's licence is done, or is not after all."""

    model: Id
    duty: Id
    done: bool


def note(project: Project, store: Store, body: NoteBody, *, who: str, at: datetime) -> ItemNote:
    """Keep a note. Raises `UsageError` for an evaluation that is not there."""
    return add_note(store, body.evaluation, body.sample, body.text, who=who, at=at)


def label(project: Project, store: Store, body: PairBody, *, who: str, at: datetime) -> ShownPair:
    """Keep a blind label; returns the next pair. Raises `UsageError` where that pair is labelled already."""
    return desk_of(project).label(body.evaluation, body.pair, body.choice)


def undo_label(project: Project, store: Store, body: UndoBody, *, who: str, at: datetime) -> ShownPair:
    """Take the last label back; returns its pair. Raises `UsageError` where there is none."""
    return desk_of(project).undo(body.evaluation)


def duty(project: Project, store: Store, body: DutyBody, *, who: str, at: datetime) -> DutyMark:
    """Keep what was said of a duty. Raises `UsageError` for one that the model does not have for this use."""
    ruling = shown_ruling(project, store, body.model, at=at)
    return mark_duty(store, ruling, body.duty, done=body.done, who=who, at=at)
