"""Blind labelling on a screen: the sessions of `freehold label`, held open while people look.

A person is shown a pair and answers for that pair by its id: of two who label at once, the second hears that it is
labelled, and nothing is counted for a pair that was not seen.
"""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from freehold.errors import UsageError
from freehold.store import Store
from freehold.types.evaluated import Evaluation
from freehold.types.record import Record
from freehold.workflows.project import Project
from freehold.workflows.project_store import meant
from freehold.workflows.prove.label import BlindPair, Choice, LabelSession, open_session
from freehold.workflows.tell.views.proof_items import ClippedText, clipped
from freehold.workflows.tell.views.query import ScreenQuery

WANTED = 100
"""As `freehold label` takes: both go on with the same pairs in the same order."""


class LabellingQuery(ScreenQuery, frozen=True, kw_only=True):
    """Of which evaluation, by the beginning of its id (None: the latest)."""

    evaluation: Annotated[str, Meta(max_length=64)] | None = None


class ShownPair(Record, frozen=True, kw_only=True):
    """A pair without names. It is the next of `wanted`, of which `labelled` are done; `pair_id` is None where all are.

    `median_seconds` is of the labels that were given, and `hasty` says that this is too little to read two answers.
    """

    evaluation_id: str | None
    pair_id: str | None
    question: ClippedText | None = None
    left: ClippedText | None = None
    right: ClippedText | None = None
    labelled: int
    wanted: int
    median_seconds: float | None
    hasty: bool
    path: str
    command: str


NOTHING = ShownPair(
    evaluation_id=None,
    pair_id=None,
    labelled=0,
    wanted=0,
    median_seconds=None,
    hasty=False,
    path="",
    command="freehold evaluate",
)
"""What is shown where nothing was evaluated."""


class LabelDesk:
    """The open sessions of one project by evaluation. Safe to share between threads."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._lock = threading.Lock()
        self._sessions: dict[str, tuple[LabelSession, Path]] = {}

    def pair(self, evaluation_id: str) -> ShownPair:
        """The pair to label next. Raises what `open_session` raises."""
        with self._lock:
            session, path = self._session(evaluation_id)
            return _shown(session, session.next(), path, evaluation_id)

    def label(self, evaluation_id: str, pair_id: str, choice: Choice) -> ShownPair:
        """Label the pair that was shown; returns the next. Raises `UsageError` where another pair stands there now."""
        with self._lock:
            session, path = self._session(evaluation_id)
            if session.current_id != pair_id:
                raise UsageError("this pair is labelled already", hint="the next one is shown instead")
            session.record(choice)
            return _shown(session, session.next(), path, evaluation_id)

    def undo(self, evaluation_id: str) -> ShownPair:
        """Take the last label back and show its pair again. Raises `UsageError` where there is none."""
        with self._lock:
            session, path = self._session(evaluation_id)
            if not session.undo():
                raise UsageError("there is no label to take back")
            return _shown(session, session.next(), path, evaluation_id)

    def _session(self, evaluation_id: str) -> tuple[LabelSession, Path]:
        if evaluation_id not in self._sessions:
            opened = open_session(self._project, evaluation_id=evaluation_id, wanted=WANTED)
            self._sessions = {evaluation_id: opened}  # answers stay in memory: of one evaluation at a time
        return self._sessions[evaluation_id]


_desks: dict[Path, LabelDesk] = {}
_desks_lock = threading.Lock()


def desk_of(project: Project) -> LabelDesk:
    """The desk of a project in this process: one for all who label."""
    with _desks_lock:
        return _desks.setdefault(project.state, LabelDesk(project))


def labelling(project: Project, store: Store, query: LabellingQuery, *, at: datetime) -> ShownPair:
    """The pair to label next; none where nothing was evaluated yet. Raises `UsageError` for an evaluation that is not
    there."""
    made = store.records(Evaluation)
    chosen = meant(made, query.evaluation, "evaluation", hint="freehold report --evaluations lists them")
    return NOTHING if chosen is None else desk_of(project).pair(chosen.id)


def _shown(session: LabelSession, pair: BlindPair | None, path: Path, evaluation_id: str) -> ShownPair:
    state = session.state
    return ShownPair(
        evaluation_id=evaluation_id,
        pair_id=None if pair is None else pair.id,
        question=None if pair is None else clipped(pair.question),
        left=None if pair is None else clipped(pair.left),
        right=None if pair is None else clipped(pair.right),
        labelled=state.labelled,
        wanted=state.wanted,
        median_seconds=state.median_seconds,
        hasty=state.hasty,
        path=str(path),
        command=f"freehold label --evaluation {evaluation_id[:12]}",
    )
