"""Traces: what an application asked and what came back."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from freehold.types.deferral import DeferralDecision
from freehold.types.record import Record

REPEATED = "cache"
"""The endpoint and the decision of an answer that the gateway gave again from its memory."""
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
