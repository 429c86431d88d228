"""The joined verdict."""

from __future__ import annotations

from freehold.types.evaluation import VerdictOutcome
from freehold.types.record import Record


class Reason(Record, frozen=True, kw_only=True):
    """Why: a stable `code`, a sentence, and the id of the record it rests on."""

    code: str
    text: str
    record_id: str | None = None


class Verdict(Record, frozen=True, kw_only=True):
    """Promote, hold or reject, with everything it rests on. Exit codes: 0 promote, 1 reject, 3 hold."""

    id: str
    outcome: VerdictOutcome
    candidate: str
    incumbent: str
    reasons: tuple[Reason, ...]
    conditions: tuple[str, ...] = ()
    """What must be done before traffic moves (licence obligations, for one)."""
    made_from: tuple[str, ...] = ()
    version: str = ""

    @property
    def exit_code(self) -> int:
        return {"promote": 0, "reject": 1, "hold": 3}[self.outcome]
