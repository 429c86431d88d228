"""Samples, the parameters they were asked with, the immutable datasets made of them, and their data card."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Literal

import msgspec

from freehold.types.record import Record, StoredRecord


class RecordedAsking(Record, frozen=True, kw_only=True, omit_defaults=True):
    """The parameters of a recorded chat request, as OpenAI's API spells them; None where it named none.

    They belong to how a question is asked, never to which question it is. `max_tokens` is also what newer models call
    ``max_completion_tokens``.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: str | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    @classmethod
    def of(cls, request: dict[str, Any]) -> RecordedAsking | None:
        """What a recorded request said; None where it said nothing. A value the API would not take is left out."""
        told: dict[str, Any] = {}
        for name, kind in _kinds():
            value = request.get(name)
            if value is None and name == "max_tokens":
                value = request.get("max_completion_tokens")
            if value is None:
                continue
            try:
                told[name] = msgspec.convert(value, kind)
            except msgspec.ValidationError:
                continue
        return cls(**told) if told else None

    @property
    def demands_a_call(self) -> bool:
        """Whether a tool must be called: any, or the one that is named."""
        choice = self.tool_choice
        if not isinstance(choice, dict):
            return choice == "required"
        allowed = choice.get("allowed_tools", choice)
        mode = allowed.get("mode") if isinstance(allowed, dict) else None
        return mode == "required" or bool(choice.get("function") or choice.get("name"))

    @property
    def said(self) -> dict[str, Any]:
        """The parameters it names."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


@cache
def _kinds() -> tuple[tuple[str, Any], ...]:
    """The parameters and their types. Kept: msgspec reads the annotations again each time, half a millisecond for each
    record of a log."""
    return tuple((field.name, field.type) for field in msgspec.structs.fields(RecordedAsking))


def demands_a_call(request: dict[str, Any]) -> bool:
    """Whether a recorded request offers tools and says that one of them must be called."""
    asking = RecordedAsking.of(request) if request.get("tools") else None
    return asking is not None and asking.demands_a_call


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
