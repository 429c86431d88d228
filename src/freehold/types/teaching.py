"""What a candidate learned from besides right answers: pseudo-labels, paraphrases, messages without an answer."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from freehold.types.record import Record, StoredRecord

PseudoLabelsKept = Literal["all", "agreed", "none"]


class PseudoLabels(Record, frozen=True, kw_only=True):
    """What became of training samples whose only answer is the incumbent's.

    `asked` training samples with a right answer were answered by heads that learned the others together with all of the
    incumbent's answers, with those that were agreed with, or with none; `right` counts how many rightly. Both are empty
    where the way was stated, or where there are too few samples to measure.
    """

    way: PseudoLabelsKept
    right_answers: int
    """Training samples with a right answer."""
    pseudo: int
    """Those with the incumbent's only."""
    agreed: int
    """Of them: those that heads which learned the others do not contradict."""
    asked: int = 0
    right: dict[PseudoLabelsKept, int] = {}

    @property
    def learned(self) -> int:
        """Pseudo-labels that are learned from."""
        return {"all": self.pseudo, "agreed": self.agreed, "none": 0}[self.way]

    @property
    def text(self) -> str:
        """One sentence for people."""
        said = (
            f"{self.learned:,} of {self.pseudo:,} answers of the incumbent to messages without a right one are learned "
            f"from ({self.way})"
        )
        if not self.asked:
            return said
        found = ", ".join(f"{name} {right / self.asked:.1%}" for name, right in self.right.items())
        return f"{said}: of {self.asked:,} training samples that were left out, heads have right with {found}"


class Paraphrases(Record, frozen=True, kw_only=True):
    """Training messages that a model wrote. `left_out` counts messages by reason; dollars are of all runs."""

    model: str
    endpoint: str
    classes: int
    """Rare classes that were to be written for."""
    written: int
    kept: int
    left_out: dict[str, int] = {}
    requests: int = 0
    spent_usd: Decimal = Decimal(0)
    stopped: str | None = None
    """Why it ended before everything was asked; None where it is whole."""
    share: float
    """Of the training samples, those that it wrote."""

    @property
    def text(self) -> str:
        """One sentence for people."""
        said = (
            f"{self.kept:,} of {self.written:,} messages that {self.model} wrote for {self.classes:,} rare classes are "
            f"learned from: {self.share:.1%} of the training samples ({self.requests:,} requests, "
            f"${self.spent_usd:.4f})"
        )
        if self.left_out:
            said += "; left out: " + ", ".join(f"{count:,} {why}" for why, count in self.left_out.items())
        return said if self.stopped is None else f"{said}; ended early: {self.stopped}"


class Teaching(StoredRecord, frozen=True, kw_only=True):
    """All of it for one candidate. `dataset_id` is of the dataset it was trained on, made from the project's."""

    kind: ClassVar[str] = "teaching"

    id: str
    dataset_id: str
    pseudo_labels: PseudoLabels | None = None
    paraphrases: Paraphrases | None = None
    texts: int = 0
    """Messages without an answer that were learned from."""
    made_from: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What pages and cards say of it."""
        parts = [one.text for one in (self.pseudo_labels, self.paraphrases) if one is not None]
        if self.texts:
            parts.append(f"{self.texts:,} messages without an answer are learned from")
        return tuple(parts)
