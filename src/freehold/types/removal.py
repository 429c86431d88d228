"""What an endpoint did under load, and what commands tell that take something away."""

from __future__ import annotations

from typing import ClassVar

from freehold.types.record import Record, StoredRecord


class Quantiles(Record, frozen=True, kw_only=True):
    """Of one measured quantity, in milliseconds: the smallest value that this share does not exceed."""

    n: int
    p50: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None


class LoadLevel(Record, frozen=True, kw_only=True):
    """One number of streams, held for `seconds`: each stream asks again as soon as it has its answer.

    Rates count what was finished or received within the time; `errors` maps a kind (``status 429``,
    ``unreachable``, ``cut off``, ``error in the stream``) to how often. `inter_token_ms` is over the gaps between
    streamed pieces.
    """

    streams: int
    seconds: float
    requests: int
    errors: dict[str, int]
    requests_per_second: float
    prompt_tokens_per_second: float
    completion_tokens_per_second: float
    ttft_ms: Quantiles
    inter_token_ms: Quantiles
    total_ms: Quantiles


class LoadReport(StoredRecord, frozen=True, kw_only=True):
    """All levels of one run. `knee_streams` is the fewest streams that give 90 % of the best tokens/s.

    `workload` says what was asked: where prompts are from, tokens per prompt and answer as the endpoint counted.
    """

    kind: ClassVar[str] = "load_report"

    id: str
    at: str
    version: str
    url: str
    model: str
    workload: str
    prompt_tokens: float | None
    completion_tokens: float | None
    levels: tuple[LoadLevel, ...]
    knee_streams: int | None
    machine: str | None = None


class Removed(Record, frozen=True, kw_only=True):
    """Something that is gone, and the room it took."""

    name: str
    freed_bytes: int | None = None
    """None for what takes no room to speak of."""
    files_stay_at: str | None = None
    """Where files lie that were read in place: they are forgotten, not deleted."""


class RevokedKeys(Record, frozen=True, kw_only=True):
    """Keys that end. `left` are in force after it; with `open` the gateway asks for no key any more."""

    revoked: int
    left: int
    open: bool
