"""What is done to a request before a model is asked, so that the application sends its own as before."""

from __future__ import annotations

from typing import ClassVar, Literal

from freehold.types.record import Record, StoredRecord


class ExampleIndex(Record, frozen=True, kw_only=True):
    """Training samples of which the `k` nearest come before the question, as earlier turns of the conversation."""

    path: str
    """Folder with the samples and what finds them."""
    sha256: str
    samples: int
    k: int
    order: Literal["nearest_first", "nearest_last"] = "nearest_last"
    retriever: Literal["bm25", "encoder"] = "bm25"


class Preparation(StoredRecord, frozen=True, kw_only=True):
    """How requests are prepared for one model. `id` is the content id of everything that changes a request."""

    kind: ClassVar[str] = "preparation"

    id: str
    base_model: str
    dataset_id: str
    system_was: str | None = None
    """The application's system prompt that `system` was made from. A request with another one is sent as it came."""
    system: str | None = None
    """What stands in its place. None: as the application sent it."""
    system_as_user: bool = False
    """The system prompt opens the first user message, for models that were not taught a system role."""
    reminder: str | None = None
    """Ends the last user message."""
    examples: ExampleIndex | None = None
    made_from: tuple[str, ...] = ()
