"""From the raw bytes of an exchange to a trace."""

from __future__ import annotations

import json
import math
import zlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from freehold.gateway.capture.redaction import Redactor
from freehold.gateway.messages import CapturedExchange, ResponseKind
from freehold.types.trace import Trace
from freehold.wire import anthropic, openai, responses
from freehold.wire.errors import UNREADABLE, ApiError
from freehold.wire.openai import AssembledAnswer

# A small answer may decompress to any size; more than this is not stored.
_DECOMPRESSED_MAX = 32 * 1024 * 1024
# More digits than this are a number of no use, and int() refuses thousands of them.
_DIGITS_MAX = 18


def to_trace(captured: CapturedExchange, *, redactor: Redactor | None) -> Trace | None:
    """The trace of an exchange; None when its bytes cannot be read. Raises what the redactor raises.

    A stream that stopped without a finish reason counts as cut, however the connection ended: only a finished answer
    may become a sample.
    """
    try:
        request = _decoded(captured.request)
    except UNREADABLE:
        return None
    body = decompressed(captured.response, captured.content_encoding)
    if body is None or not isinstance(request, dict):
        return None
    try:
        request = _as_chat(captured, request)
    except (ApiError, *UNREADABLE):
        return None
    answer = answer_in(body, captured.response_kind, streamed=captured.streamed)
    completeness = captured.completeness
    response = answer.body
    # Some providers tell an error of the model under the status 200.
    failed = (
        captured.status < 300 and response is not None and response.get("error") and "choices" not in response
    )
    if completeness == "complete" and (failed or not answer.ended):
        completeness = "upstream_cut"
    if response is not None:
        # What llama.cpp was asked to tell for a stop sequence: the prompt and its settings once more.
        response.pop("__verbose", None)
    metadata = request.get("metadata")
    user, session, model = captured.user, captured.conversation_id, captured.model
    if redactor is not None:
        request, response, metadata = redactor(request), redactor(response), redactor(metadata)
        user, session = redactor(user), redactor(session)
        model = redactor(model) if "@" in model else model
    return Trace(
        id=captured.id,
        at=datetime.fromtimestamp(captured.at_ms / 1000, UTC),
        source="gateway",
        kind=captured.kind if captured.kind in ("completions", "embeddings") else "chat",
        model=model,
        request=request,
        response=response,
        completeness=completeness,
        finish_reason=answer.finish_reason,
        status=captured.status,
        streamed=captured.streamed,
        route=captured.route,
        endpoint=captured.endpoint,
        decision=captured.decision,
        arm="candidate" if captured.arm == "candidate" else "incumbent",
        share=captured.share,
        fallback=captured.fallback,
        assignment_key=captured.assignment_key,
        parent_id=captured.parent_id,
        conversation_id=session,
        user=user,
        api_key=captured.api_key,
        upstream_id=captured.upstream_id,
        ttft_ms=captured.ttft_ms,
        total_ms=captured.total_ms,
        usage=answer.usage,
        metadata=metadata if isinstance(metadata, dict) else {},
        deferral=captured.deferral,
    )


def _decoded(body: bytes) -> Any:
    """JSON as the most tolerant upstream may read it: a number that is none here, or too large, must not keep a request
    from being kept. It becomes a text. Half of a surrogate pair, which cannot be written, becomes a question mark."""
    try:
        return msgspec.json.decode(body)
    except UNREADABLE:
        value = json.loads(
            body.decode(), parse_constant=str, parse_float=_number_or_text, parse_int=_number_or_text
        )
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))


def _number_or_text(text: str) -> float | int | str:
    if text.lstrip("-").isdecimal() and len(text) <= _DIGITS_MAX:
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else text


def _as_chat(captured: CapturedExchange, request: dict[str, Any]) -> dict[str, Any]:
    """The request as the chat API spells it, whatever API the client spoke."""
    if captured.kind == "messages":
        request = msgspec.json.decode(anthropic.read_request(captured.request))
    elif captured.kind == "responses":
        request = msgspec.json.decode(responses.read_request(captured.request))
    return request


def answer_in(body: bytes, response_kind: ResponseKind, *, streamed: bool) -> AssembledAnswer:
    """The answer put together from what an upstream sent, in whose API's words it did."""
    if response_kind == "anthropic":
        return anthropic.read_stream(body) if streamed else anthropic.read_answer(body)
    if response_kind == "responses":
        return responses.read_stream(body) if streamed else responses.read_answer(body)
    if streamed:
        return openai.read_stream(body)
    return openai.read_answer(body)


def decompressed(body: bytes, encoding: str | None) -> bytes | None:
    """A body as it was before it was compressed; None where it is longer than that, or cannot be read."""
    if encoding in (None, "identity"):
        return body
    if encoding != "gzip":
        return None
    unpacker: Any = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        data: bytes = unpacker.decompress(body, _DECOMPRESSED_MAX)
    except zlib.error:
        return None
    return None if unpacker.unconsumed_tail else data
