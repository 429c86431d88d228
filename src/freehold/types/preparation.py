"""What is done to a request before a model is asked, so that the application sends its own as before."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from freehold.types.record import Record, StoredRecord, content_id

Retriever = Literal["bm25", "encoder"]
ExampleOrder = Literal["nearest_first", "nearest_last"]


class Example(Record, frozen=True, kw_only=True):
    """A training sample as it is shown: what a user asked, and what is answered. `id` is the sample's."""

    id: str
    question: str
    answer: str


class ExampleIndex(Record, frozen=True, kw_only=True):
    """Training samples of which the `k` nearest come before the question, as earlier turns of the conversation.

    No more of them than `context_tokens` hold besides the request and its answer: the farthest are left out first. A
    prompt's tokens are foretold as `tokens_per_byte` of its JSON.
    """

    path: str
    """Folder with the samples and what finds them."""
    sha256: str
    samples: int
    k: int
    order: ExampleOrder = "nearest_last"
    retriever: Retriever = "bm25"
    context_tokens: int = 2048
    answer_tokens: int = 256
    """Room for the answer where the request does not limit it."""
    tokens_per_byte: float = 0.6


class Preparation(StoredRecord, frozen=True, kw_only=True):
    """How requests are prepared for one model. `id` is the content id of everything that changes a request."""

    kind: ClassVar[str] = "preparation"

    id: str
    base_model: str
    dataset_id: str
    system_was: str | None = None
    """The application's system prompt that this was made for. A request with another one is sent as it came. None:
    made for requests without one where `system` is set, else for all."""
    system: str | None = None
    """What stands in its place. None: as the application sent it."""
    examples: ExampleIndex | None = None
    made_from: tuple[str, ...] = ()

    @classmethod
    def of(cls, **fields: Any) -> Preparation:
        """A preparation with these fields and the id they give it. Where its index lies is not part of the id."""
        made = cls(id="", **fields)
        index = made.examples
        plain = (
            made
            if index is None
            else msgspec.structs.replace(made, examples=msgspec.structs.replace(index, path=""))
        )
        return msgspec.structs.replace(made, id=content_id(msgspec.structs.replace(plain, made_from=())))


class ExampleSetting(Record, frozen=True, kw_only=True):
    """One way to show examples, as it was measured: the mean score over the `scored` of `asked` samples. `k` is 0 for
    the model without examples."""

    k: int
    order: ExampleOrder
    asked: int
    scored: int
    mean: float | None


class ExampleChoice(Record, frozen=True, kw_only=True):
    """The setting that was chosen, among which, and how many tokens the engine counted for a byte."""

    k: int
    order: ExampleOrder
    tokens_per_byte: float
    tried: tuple[ExampleSetting, ...] = ()
