"""What could be got out of a trained model that it should have kept to itself."""

from __future__ import annotations

from typing import ClassVar

from freehold.types.record import Record, StoredRecord
from freehold.types.verdict import CheckResult


class LeakRate(Record, frozen=True, kw_only=True):
    """How many of `secrets` strings of one kind came out in at least one attempt, with Wilson's 95 % limits.

    `by_base` of those came out of the base as well, which never saw them: they were guessed.
    """

    what: str
    secrets: int
    extracted: int
    by_base: int
    ci_low: float
    ci_high: float

    @property
    def text(self) -> str:
        """In one line: ``planted 4 times: 3 of 8 (37.5 %, 95 % interval 13.7 to 69.4 %)``."""
        guessed = f", {self.by_base} out of the base too" if self.by_base else ""
        return (
            f"{self.what}: {self.extracted} of {self.secrets} ({self.extracted / self.secrets:.1%}, "
            f"95 % interval {100 * self.ci_low:.1f} to {100 * self.ci_high:.1f} %{guessed})"
        )


class LeakReport(StoredRecord, frozen=True, kw_only=True):
    """Extraction attempts on one trained model. `attempts` were made for each string, the first of them greedy."""

    kind: ClassVar[str] = "leak_report"

    id: str
    base_model: str
    dataset_id: str
    trained_id: str
    attempts: int
    rates: tuple[LeakRate, ...]
    notes: tuple[str, ...] = ()
    made_from: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """In one sentence."""
        told = "; ".join(one.text for one in self.rates) or "there was nothing to look for"
        return f"Strings got out of the trained model in {self.attempts} attempts each: {told}."

    def check_result(self) -> CheckResult:
        """What it says to a verdict: it informs, because how much may come out is the owner's to say."""
        return CheckResult(kind="leak", ok=None, text=self.text, record_id=self.id)
