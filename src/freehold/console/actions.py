"""What the console's buttons do: each a name, the body it takes, and who may press it.

`POST /api/actions/NAME` with the body as JSON. What is done is a workflow's; here is only the table.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from freehold.store import Store
from freehold.types.record import Record
from freehold.types.route import Permission
from freehold.workflows.project import Project
from freehold.workflows.tell import buttons


class Act(Protocol):
    """Does what a button says, and returns what its page shows of it, if anything. Raises `UsageError` where it may
    not be done: no button forces."""

    def __call__(
        self, project: Project, store: Store, body: Any, *, who: str, at: datetime
    ) -> Record | None: ...


@dataclass(frozen=True, slots=True)
class Action:
    """A button: `body` is the class that its JSON must be of, `needs` all that a visitor must be allowed, `body_bytes`
    how much of a body is read. One that takes long is done `alone`: pressed again meanwhile it is refused, so that it
    never keeps a rollback waiting for a thread."""

    act: Act
    body: type[buttons.ButtonBody]
    needs: tuple[Permission, ...] = ("change",)
    body_bytes: int = 16 * 1024
    alone: bool = False


_EVIDENCE: tuple[Permission, ...] = ("content", "change")
"""Who corrects what customers were answered may read it, and may change things: a visitor who only looks may not."""


ACTIONS: dict[str, Action] = {
    "rollout.advance": Action(buttons.advance, buttons.RouteButton),
    "rollout.pause": Action(buttons.pause, buttons.RouteButton),
    "rollout.promote": Action(buttons.promote, buttons.RouteButton),
    "rollout.rollback": Action(buttons.rollback, buttons.RouteButton),
    "rollout.rehearse": Action(buttons.rehearse, buttons.RehearsalButton, alone=True),
    "trace.feedback": Action(buttons.feedback, buttons.FeedbackButton, needs=_EVIDENCE, body_bytes=64 * 1024),
    "keys.add": Action(buttons.add_key, buttons.NewKeyBody, needs=("keys",)),
    "keys.revoke": Action(buttons.revoke_key, buttons.KeyNameBody, needs=("keys",)),
    "note.add": Action(buttons.note, buttons.NoteBody, needs=_EVIDENCE),
    "label.pair": Action(buttons.label, buttons.PairBody, needs=_EVIDENCE),
    "label.undo": Action(buttons.undo_label, buttons.UndoBody, needs=_EVIDENCE),
    "license.duty": Action(buttons.duty, buttons.DutyBody),
}
