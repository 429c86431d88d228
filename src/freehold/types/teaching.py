"""What a candidate learned from besides right answers: pseudo-labels, messages without an answer."""

from __future__ import annotations

from typing import ClassVar, Literal

from freehold.types.record import Record, StoredRecord

PseudoLabelsKept = Literal["all", "agreed", "none"]


class PseudoLabels(Record, frozen=True, kw_only=True):
    """What became of training samples whose only answer is the incumbent's.

    `asked` training samples with a right answer were answered by heads that learned the others together with all of the
    incumbent's answers, with those that were agreed with, or with none; `right` counts how many rightly. Both are empty
    where there are too few samples to measure.
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


class Teaching(StoredRecord, frozen=True, kw_only=True):
    """All of it for one candidate. `dataset_id` is of the dataset it was trained on, made from the project's."""

    kind: ClassVar[str] = "teaching"

    id: str
    dataset_id: str
    pseudo_labels: PseudoLabels | None = None
    texts: int = 0
    """Messages without a trusted answer that were given to it; an encoder learns from them where labels have few
    samples."""
    made_from: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What pages and cards say of it."""
        parts = [] if self.pseudo_labels is None else [self.pseudo_labels.text]
        if self.texts:
            parts.append(
                f"{self.texts:,} messages without a trusted answer are given to it, for the stage that few samples a "
                "label ask for"
            )
        return tuple(parts)
