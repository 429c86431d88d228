"""Samples and the immutable datasets made of them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from freehold.types.record import Record, StoredRecord

SplitName = Literal["train", "validation", "held_out"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "held_out")


class Message(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a conversation, as the OpenAI chat API spells it.

    `weight` belongs to training only and is never sent to a model: 0 for an assistant message that is not to be
    learned, above 0 for one that is. None leaves it to `train_on`.
    """

    role: str
    content: Any
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    weight: float | None = None


class TeacherToken(Record, frozen=True, kw_only=True):
    """One token of the incumbent's answer: its text, and the likeliest texts there with their log-probabilities
    (nats), itself included."""

    text: str
    top: tuple[tuple[str, float], ...]


class Sample(Record, frozen=True, kw_only=True, omit_defaults=True):
    """One unit of a task: what is asked, what the incumbent answered, what is right.

    `id` is the content id of `messages` and `tools` (of a preference: of its answers as well). `group` is the
    independent unit that must not be torn across splits (conversation, user). `gold` is None where it has not been said
    what is right. `completion` is the target as messages where it is more than text (tool calls, a weight).

    Preferences: the target is the better answer and `rejected` the worse one (DPO); `desirable` says of a lone
    answer whether it was liked (KTO). Both are None for everything else.
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
    rejected: tuple[Message, ...] | None = None
    desirable: bool | None = None
    teacher: tuple[TeacherToken, ...] | None = None
    """What the incumbent thought of its answer, where its log-probabilities were recorded."""

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
    preferences: dict[str, int] = {}
    """How many training samples are `pairs` (a better and a worse answer), `liked` and `disliked` single answers."""

    def split(self, name: SplitName) -> Split:
        return next(split for split in self.splits if split.name == name)
