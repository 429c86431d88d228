"""Samples, the immutable datasets made of them, and the data card that says what is in one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from freehold.types.asking import RecordedAsking
from freehold.types.record import Record, StoredRecord

SplitName = Literal["train", "validation", "held_out"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "held_out")


class Message(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a conversation, as the OpenAI chat API spells it.

    `weight` belongs to training only and is never sent to a model: 0 for an assistant message that is not to be
    learned, above 0 for one that is. None: the last answer is learned, those before it are not.
    """

    role: str
    content: Any = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    weight: float | None = None


class Sample(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One unit of a task: what is asked, what the incumbent answered, what is right.

    `id` is the content id of `messages` and `tools`. `group` is the
    independent unit that must not be torn across splits (conversation, user). `gold` is None where it has not been said
    what is right. `completion` is the target as messages where it is more than text (tool calls, a weight). `metadata`
    has ``refusal`` as true where the API marked the incumbent's answer as one; `incumbent` is then its text. `disliked`
    says that people found the answer wrong, and not what is right: it is not learned.
    """

    id: str
    messages: tuple[Message, ...]
    incumbent: str | None = None
    gold: str | None = None
    group: str | None = None
    tools: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    trace_id: str | None = None
    metadata: dict[str, Any] = {}
    completion: tuple[Message, ...] | None = None
    disliked: bool = False
    asking: RecordedAsking | None = None
    """How the recorded request asked. `id` does not depend on it."""

    @property
    def target(self) -> str | None:
        """What a model should learn to answer: gold where there is one, else the incumbent's answer."""
        return self.gold if self.gold is not None else self.incumbent

    @property
    def answer(self) -> tuple[Message, ...]:
        """The target as messages; empty where there is none."""
        if self.completion is not None:
            return self.completion
        return () if self.target is None else (Message(role="assistant", content=self.target),)


class Split(Record, frozen=True, kw_only=True):
    """One part of a dataset: a JSON-lines file of samples."""

    name: SplitName
    file: str
    samples: int
    groups: int
    sha256: str


class Dataset(StoredRecord, frozen=True, kw_only=True):
    """The manifest of an immutable dataset. `id` is the content id of the splits' hashes and the recipe."""

    kind: ClassVar[str] = "dataset"

    id: str
    name: str
    path: str
    splits: tuple[Split, ...]
    recipe: dict[str, Any]
    made_from: tuple[str, ...]
    version: str
    dropped: dict[str, int] = {}
    notes: tuple[str, ...] = ()
    incumbent_model: str | None = None
    targets_from: dict[str, int] = {}
    """How many training targets are gold and how many are the incumbent's answers (its terms then count)."""

    def split(self, name: SplitName) -> Split:
        return next(split for split in self.splits if split.name == name)


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
    label_shifts: tuple[str, ...] = ()
    """Labels that are not as frequent in what is held out, or late, as in the rest; `warnings` holds them too."""
    terms: tuple[str, ...] = ()
