"""The joined verdict."""

from __future__ import annotations

from typing import ClassVar, Literal

from freehold.types.evaluation import VerdictOutcome
from freehold.types.record import Record, StoredRecord

FindingKind = Literal["parity", "latency", "cost", "format"]


class Finding(Record, frozen=True, kw_only=True):
    """What another check found, in its own words. `ok` is None for mere information."""

    kind: FindingKind
    ok: bool | None
    text: str
    record_id: str | None = None


class Reason(Record, frozen=True, kw_only=True):
    """Why: a stable `code`, a sentence, and the id of the record it rests on.

    `effect` is the outcome this reason alone calls for; None where it only informs.
    """

    code: str
    text: str
    record_id: str | None = None
    effect: VerdictOutcome | None = None


class Verdict(StoredRecord, frozen=True, kw_only=True):
    """Promote, hold or reject, with everything it rests on. Exit codes: 0 promote, 1 reject, 3 hold."""

    kind: ClassVar[str] = "verdict"

    id: str
    outcome: VerdictOutcome
    candidate: str
    incumbent: str
    reasons: tuple[Reason, ...]
    conditions: tuple[str, ...] = ()
    """What must be done before traffic moves (licence obligations, for one)."""
    made_from: tuple[str, ...] = ()
    version: str = ""
    quality: VerdictOutcome = "hold"
    """What the comparison alone said."""

    @property
    def exit_code(self) -> int:
        return {"promote": 0, "reject": 1, "hold": 3}[self.outcome]
