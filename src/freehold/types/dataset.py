"""Samples and the immutable datasets made of them."""

from __future__ import annotations

from typing import Any, Literal

from freehold.types.record import Record

SplitName = Literal["train", "validation", "held_out"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "held_out")


class Message(Record, frozen=True, kw_only=True):
    """One message of a conversation, as the OpenAI chat API spells it."""

    role: str
    content: Any
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None


class Sample(Record, frozen=True, kw_only=True):
    """One unit of a task: what is asked, what the incumbent answered, what is right.

    `id` is the content id of `messages` and `tools`. `group` is the independent unit that must not be
    torn across splits (conversation, user). `gold` is None where nobody has said what is right.
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

    @property
    def target(self) -> str | None:
        """What a model should learn to answer: gold where there is one, else the incumbent's answer."""
        return self.gold if self.gold is not None else self.incumbent


class Split(Record, frozen=True, kw_only=True):
    """One part of a dataset: a JSON-lines file of samples."""

    name: SplitName
    file: str
    samples: int
    groups: int
    sha256: str


class Dataset(Record, frozen=True, kw_only=True):
    """The manifest of an immutable dataset. `id` is the content id of the splits' hashes and the recipe."""

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
