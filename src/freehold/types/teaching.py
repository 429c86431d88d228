"""What a candidate learned from besides right answers: pseudo-labels, messages without an answer."""

from __future__ import annotations

from typing import ClassVar

from freehold.types.record import Record, StoredRecord


class PseudoLabels(Record, frozen=True, kw_only=True):
    """What became of training samples whose only answer is the incumbent's: the `agreed` of them are learned, which
    heads that learned the right answers do not contradict."""

    right_answers: int
    """Training samples with a right answer."""
    pseudo: int
    """Those with the incumbent's only."""
    agreed: int

    @property
    def text(self) -> str:
        """One sentence for people."""
        return (
            f"{self.agreed:,} of {self.pseudo:,} answers of the incumbent to messages without a right one are learned "
            f"from: heads that learned the {self.right_answers:,} right ones do not contradict them"
        )


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
