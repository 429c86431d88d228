"""Trajectories: sessions played by a model from their opening to their end, with recorded results of tools."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from freehold.types.dataset import Message
from freehold.types.evaluation import Comparison, Score, Task
from freehold.types.record import Record, StoredRecord

Ended = Literal["finished", "recording_ended", "turn_limit", "fault", "broken_call", "infrastructure"]


class TurnTaken(Record, frozen=True, kw_only=True):
    """One decision of a trajectory. `as_recorded` compares it with the recorded decision of that number: None where
    there is none, or where an earlier decision was another and the two sessions have parted."""

    number: int
    answer: str | None
    as_recorded: bool | None = None
    reason: str | None = None
    results: tuple[str, ...] = ()
    """Where the result of each call came from: ``exact``, ``nearest 0.83``, ``miss``, ``end``."""


class Trajectory(Record, frozen=True, kw_only=True):
    """One session as a model played it. `parted_at` is the number of its first decision that is not as recorded."""

    session: str
    turns: tuple[TurnTaken, ...]
    ended: Ended
    success: Score
    recorded_success: Score
    recorded_turns: int
    parted_at: int | None
    messages: tuple[Message, ...]
    error: str | None = None
    metadata: dict[str, Any] = {}

    def results(self, how: str) -> int:
        """How many results of tools came in that way."""
        return sum(one.startswith(how) for turn in self.turns for one in turn.results)


class TurnSurvival(Record, frozen=True, kw_only=True):
    """How the decision of one number went, among sessions that were as recorded until then.

    `survived` is the share of sessions whose decisions are as recorded up to and with this one (Kaplan–Meier: sessions
    that end earlier count until they end). `if_independent` is what it would be if every decision were as likely right
    as all of them together.
    """

    turn: int
    at_risk: int
    as_recorded: int
    accuracy: float
    survived: float
    if_independent: float


class TrajectoryEvaluation(StoredRecord, frozen=True, kw_only=True):
    """Whole sessions of a candidate beside the recorded ones. The comparison's items are sessions."""

    kind: ClassVar[str] = "trajectory_evaluation"

    id: str
    task: Task
    success: str
    dataset_id: str
    incumbent: str
    candidate: str
    endpoint: str
    comparison: Comparison
    sessions: int
    turns: int
    ended: dict[str, int]
    results: dict[str, int]
    sessions_with_a_miss: int
    survival: tuple[TurnSurvival, ...]
    results_file: str | None = None
    sandbox: str | None = None
    """What held the user's own function of success (as in an evaluation); None where there is none."""
    notes: tuple[str, ...] = ()
