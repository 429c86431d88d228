"""The joined verdict, what it was measured with, and how old each of its gates is."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from freehold.types.evaluation import VerdictOutcome
from freehold.types.method import MethodName
from freehold.types.record import Record, StoredRecord

EvidencePart = Literal["data", "task", "judge", "adapter", "prompt", "engine", "catalog"]
"""What evidence rests on. `data` is the dataset, `task` the scorer with its options and the margin, `judge` the model
that scores, `adapter` the weights with what was trained on them, `prompt` what is done to requests before the candidate
is asked, `engine` the server with its version and options, `catalog` the facts that the ruling was made from."""

EvidenceGate = Literal["quality", "parity", "license"]

MAX_AGE_DAYS = 90.0
"""After how many days evidence is too old to move traffic by: vendors announce retirements 60 to 180 days ahead, and
traffic moves within a quarter (docs/decisions/007-evidence-ages.md)."""


class EvidenceBasis(Record, frozen=True, kw_only=True):
    """What a verdict was measured with. `parts` are hashes, ids or versions; one that did not apply is absent. `models`
    are those that the ruling looked up in the catalog. `made_at` says when each gate was measured."""

    parts: dict[EvidencePart, str]
    models: tuple[str, ...] = ()
    made_at: dict[EvidenceGate, datetime] = {}


class EvidenceAge(Record, frozen=True, kw_only=True):
    """One gate of a verdict: when it was measured, and why it no longer holds.

    `made_at` and `days` are None where the time was not kept, `max_age_days` where only a change makes it stale.
    `stale` is empty while it holds; `renew` is the command that measures it again.
    """

    gate: EvidenceGate
    record_id: str
    made_at: datetime | None
    days: int | None
    max_age_days: float | None
    stale: tuple[str, ...]
    renew: str


CheckKind = Literal["parity", "latency", "cost", "format", "retained"]


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
