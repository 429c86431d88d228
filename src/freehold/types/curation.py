"""What is done to samples before they are learned from, and what was found: the data card."""

from __future__ import annotations

from typing import Any, Literal

from freehold.types.record import Record


class Replaced(Record, frozen=True, kw_only=True):
    """Finds of one kind: how often, how many different values, in how many samples."""

    found: int
    different: int
    samples: int


class NearDuplicates(Record, frozen=True, kw_only=True):
    """Questions that are nearly the same. `across` were taken out of a split because another holds them (``train:
    held_out``), `within` repeated one of the same split, `in_held_out` are repeats that stay: traffic repeats."""

    threshold: float
    across: dict[str, int] = {}
    within: dict[str, int] = {}
    in_held_out: int = 0
    common_pieces: int = 0
    """Pieces of text that many questions share (an instruction before each), which do not count as likeness."""


class LabelConflict(Record, frozen=True, kw_only=True):
    """Two samples that ask (nearly) the same and are to be answered differently."""

    question: str
    other_question: str
    gold: str
    other_gold: str
    sample_ids: tuple[str, str]
    similarity: float
    incumbent_sides_with: Literal["gold", "other_gold"] | None = None


class Doubt(Record, frozen=True, kw_only=True):
    """A training sample whose answer a model kept finding unlikely while it learned the others.

    `probability` is of the whole answer where answers are labels, else the mean of its tokens; before the sample was
    learned once more. `looks` counts the passes it is the mean of.
    """

    sample_id: str
    question: str
    answer: str
    probability: float
    looks: int
    incumbent: str | None = None
    """What the incumbent answered, where that is known and something else."""


class Doubts(Record, frozen=True, kw_only=True):
    """Answers a trained model disagrees with, the least likely first."""

    adapter_id: str
    dataset_id: str
    labels: bool
    """Whether answers are labels; else all are unlikely to some degree, and the list is only an order."""
    samples: int
    first_pass_only: bool
    found: int
    doubts: tuple[Doubt, ...]


class Lengths(Record, frozen=True, kw_only=True):
    """Characters, at quantiles."""

    median: int
    p95: int
    longest: int


class SplitProfile(Record, frozen=True, kw_only=True):
    """What one split holds. `labels` are the most frequent answers, `different_answers` how many there are;
    `kept_for_evaluation` are of files that are held out whole."""

    samples: int
    question_characters: Lengths
    answer_characters: Lengths
    turns: dict[str, int] = {}
    with_tools: int = 0
    languages: dict[str, int] = {}
    different_answers: int = 0
    labels: dict[str, int] = {}
    kept_for_evaluation: int = 0


class Origin(Record, frozen=True, kw_only=True):
    """Where traces came from: a file or the gateway, and which model answered."""

    source: str
    model: str
    traces: int


class DataCard(Record, frozen=True, kw_only=True):
    """What a dataset is: what is in it, where it is from, what was done to it, under whose terms it stands."""

    dataset_id: str
    name: str
    splits: dict[str, SplitProfile]
    origins: tuple[Origin, ...]
    first_at: str | None
    last_at: str | None
    personal_data: str
    """How it was looked for: ``library``, ``library with names``, ``patterns``, ``off``."""
    replaced: dict[str, Replaced]
    near_duplicates: NearDuplicates | None
    left_out: dict[str, int]
    label_conflicts: int
    first_conflicts: tuple[LabelConflict, ...]
    targets_from: dict[str, int]
    incumbent_model: str | None
    incumbent_right: dict[str, Any] = {}
    """`scored` samples with both answers, `right` among them, `scorer`, and `not_learned`: answers set aside."""
    warnings: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
