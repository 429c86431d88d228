"""The joined verdict."""

from __future__ import annotations

from typing import ClassVar, Literal

from freehold.types.evaluation import VerdictOutcome
from freehold.types.evidence import EvidenceBasis
from freehold.types.method import MethodName
from freehold.types.record import Record, StoredRecord

CheckKind = Literal["parity", "latency", "cost", "format", "retained", "leak"]


EXIT_CODES: dict[VerdictOutcome, int] = {"promote": 0, "reject": 1, "hold": 3}
"""What a command that ends in a verdict exits with; 2 is for what could not be done."""

SEVERITY: dict[VerdictOutcome, int] = {"promote": 0, "hold": 1, "reject": 2}
"""The order of outcomes, best first: reasons together call for the worst one that any of them calls for."""


class CheckResult(Record, frozen=True, kw_only=True):
    """What another check says to the verdict, in its own words. `ok` is None where it only informs."""

    kind: CheckKind
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
    method: MethodName | None = None
    """How the candidate was made, where freehold made it."""
    quality: VerdictOutcome = "hold"
    """What the comparison alone said; of a mixture that is promoted, its own."""
    mixture_id: str | None = None
    """The mixture that is promoted, in place of the candidate alone."""
    evidence: EvidenceBasis | None = None
    """What it was measured with, and when; None where that is not known."""

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]
