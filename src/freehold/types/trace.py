"""Traces: what an application asked and what came back; and how they are searched."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from freehold.types.deferral import DeferralDecision
from freehold.types.record import Record

Completeness = Literal["complete", "client_aborted", "upstream_cut"]


ServiceTier = Literal["batch", "flex", "priority"]
"""How urgently an API answered, where that has its own price."""


class Usage(Record, frozen=True, kw_only=True):
    """Tokens of one answer, as the upstream counted them; None is not told.

    `prompt_tokens` are all of the prompt, `completion_tokens` all that was generated. The others are parts of these:
    of the prompt, what was read from the upstream's cache (`cached_prompt_tokens`), what was written to it
    (`cache_write_tokens`, and of those what is kept for an hour) and what is sound; of the completion, hidden
    reasoning and sound.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_prompt_tokens: int | None = None
    audio_completion_tokens: int | None = None
    service_tier: ServiceTier | None = None


class Trace(Record, frozen=True, kw_only=True):
    """One request and its answer, after redaction.

    `request` is the request's JSON body; `response` the (for streams: reassembled) response body, both as
    the OpenAI chat API spells them, whatever API the client spoke. Only complete traces may become samples.
    `gold` is a right answer that was given later, `metadata` are the caller's own fields (user, language …).
    `source` says how it came: ``gateway``, ``import:FILE#LINE``, and `imported_at` when this version of a file's
    record was brought in. `kind` is which API was asked. `arm` is where the request was sent, `share` the probability
    with which this key was sent there, `assignment_key` a hash of the key. `api_key` is the name of the gateway's key
    it was asked with, `upstream_id` the request id that the upstream answered with (``x-request-id``). `fallback` says
    why another endpoint than the arm's had to answer. `desirable` says whether the answer was liked. `deferral`
    is what a rule of deferral decided on this request, or would have on one that was mirrored; the
    endpoint is who answered.
    """

    id: str
    at: datetime
    source: str
    model: str
    request: dict[str, Any]
    response: dict[str, Any] | None
    completeness: Completeness = "complete"
    finish_reason: str | None = None
    status: int = 200
    streamed: bool = False
    route: str | None = None
    endpoint: str | None = None
    decision: str | None = None
    kind: Literal["chat", "completions", "embeddings"] = "chat"
    arm: Literal["incumbent", "candidate"] = "incumbent"
    share: float | None = None
    fallback: str | None = None
    assignment_key: str | None = None
    parent_id: str | None = None
    conversation_id: str | None = None
    user: str | None = None
    api_key: str | None = None
    upstream_id: str | None = None
    ttft_ms: float | None = None
    total_ms: float | None = None
    usage: Usage | None = None
    gold: str | None = None
    metadata: dict[str, Any] = {}
    desirable: bool | None = None
    imported_at: datetime | None = None
    deferral: DeferralDecision | None = None


class TraceQuery(Record, frozen=True, kw_only=True):
    """Which traces are wanted: those that meet everything given, newest arrival first.

    `user` is who the request, its metadata or a header names, `api_key` the name of the gateway's key, `status` one
    status (``404``), a class (``4xx``, ``5xx``) or ``error`` (5xx, cut off, or answered by another than the arm's
    endpoint), `arm` where the request was sent and `endpoint` who answered it, `upstream_id` the upstream's request id
    or its answer's, `slower_than_ms` the time to the end of the answer. `text` are words that all must stand in what
    was asked or answered, without instructions (system messages); "several words" are found in that order, ``word*`` is
    the beginning of a word. `after` is the `next` of the page before, `most` how many a page holds.
    """

    text: str | None = None
    user: str | None = None
    api_key: str | None = None
    status: str | None = None
    arm: Literal["incumbent", "candidate"] | None = None
    endpoint: str | None = None
    upstream_id: str | None = None
    conversation_id: str | None = None
    route: str | None = None
    model: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    slower_than_ms: float | None = None
    own_only: bool = False
    complete_only: bool = False
    after: int | None = None
    most: int = 50


class TraceSummary(Record, frozen=True, kw_only=True):
    """One request without its content. `place` is its place in the order of arrival; times are in milliseconds."""

    place: int
    id: str
    at: datetime
    source: str
    model: str
    route: str | None
    endpoint: str | None
    arm: str
    parent_id: str | None
    status: int
    completeness: Completeness
    error: bool
    fallback: str | None
    user: str | None
    api_key: str | None
    conversation_id: str | None
    upstream_id: str | None
    ttft_ms: float | None
    total_ms: float | None
    prompt_tokens: int | None
    completion_tokens: int | None


class TracePage(Record, frozen=True, kw_only=True):
    """One page of what a search found. `next` goes into the next query as `after`; None after the last page.

    A `cut` page ended for the time it took, before it was
    full: the next one goes on where it ended.
    """

    traces: tuple[TraceSummary, ...]
    next: int | None
    cut: bool = False


class TrafficBucket(Record, frozen=True, kw_only=True):
    """Requests of one stretch of time that begins at `at`, by where they were sent. `mirrored` were sent to the
    candidate as well; `errors` are of the others."""

    at: datetime
    incumbent: int = 0
    candidate: int = 0
    mirrored: int = 0
    errors: int = 0


class ArmTraffic(Record, frozen=True, kw_only=True):
    """What one side did: times in milliseconds, of answers that are not errors; None where there were none.

    The percentiles are read from a histogram whose classes are 12 % wide: they are right within 6 %.
    """

    requests: int = 0
    errors: int = 0
    fallbacks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


class RecordedTraffic(Record, frozen=True, kw_only=True):
    """All recorded traffic of a route, or of all, in equal stretches of `bucket_s` seconds, oldest first."""

    bucket_s: int
    buckets: tuple[TrafficBucket, ...]
    incumbent: ArmTraffic
    candidate: ArmTraffic
    mirrored: ArmTraffic
