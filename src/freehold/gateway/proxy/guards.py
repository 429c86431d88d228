"""What must hold before a client sees a candidate's answer; where it does not, the next target is asked.

Covered: answers and tool arguments against the schema the request carries (`structured_output`), asked for once more
with the engine held to it; prompts that do not fit the context, as the engine counts them with its own tokenizer
(llama.cpp, vLLM and remote APIs say so themselves, Ollama would cut them and is asked beforehand).
Not covered: other servers that cut a prompt without a word; do not put such an endpoint behind a route.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from freehold.gateway.http.response import ClientError, Opened
from freehold.gateway.http.upstreams import failure
from freehold.gateway.proxy import structured_output
from freehold.gateway.proxy.exchange import Exchange
from freehold.gateway.proxy.state import WorkerState
from freehold.types.endpoint import Endpoint
from freehold.wire import ollama
from freehold.wire.errors import ApiError

_CONTEXT_SIGNS = (
    b"context_length_exceeded",
    b"exceed_context_size",
    b"context length",
    b"context size",
    b"prompt is too long",
)
CONTEXT_STATUSES = frozenset((400, 413, 422))


class NextTarget(Exception):
    """The client has nothing yet, and another target shall be asked. The text says why."""


class Asked(NamedTuple):
    """What an endpoint was sent. `hide_usage`: usage was asked for that the client did not ask for."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes
    hide_usage: bool


async def whole(endpoint: Endpoint, opened: Opened) -> bytes:
    """An answer to its end. Raises `UpstreamFailure`."""
    try:
        return await opened.whole()
    except ClientError as error:
        raise failure(endpoint, error) from error


async def hold_promise(
    state: WorkerState,
    exchange: Exchange,
    endpoint: Endpoint,
    promise: structured_output.Promise,
    asked: Asked,
    opened: Opened,
    data: bytes,
    *,
    last: bool,
) -> bytes:
    """An answer that keeps its promise: this one, or one more with the engine held to it.

    Raises `NextTarget`, or at the `last` one `ApiError`.
    """

    def judge(data: bytes) -> structured_output.Broken | None:
        answer = structured_output.answer_of(exchange, endpoint, data, streamed=opened.is_stream)
        return structured_output.broken(promise, answer)

    def count(outcome: str) -> None:
        state.meters.count("freehold_guard_events", exchange.route_name, "schema", outcome)

    found = judge(data)
    if found is None:
        count("held")
        return data
    again = structured_output.constrained(promise, found, endpoint, asked.body)
    if again is not None:
        count("retried")
        second = await state.upstreams.open(endpoint, asked.path, asked.headers, again)
        try:
            data = await whole(endpoint, second)
        finally:
            await second.close()
        if second.status < 300 and second.is_stream == opened.is_stream:
            found = judge(data)
            if found is None:
                count("held_constrained")
                return data
    count("refused" if last else "fallback")
    if not last:
        raise NextTarget("schema")
    raise ApiError(502, f"the model broke its promise: {found.why}", code="schema_violation")


def is_context_error(status: int, body: bytes) -> bool:
    """Does an endpoint say that the prompt does not fit?"""
    return status in CONTEXT_STATUSES and any(sign in body.lower() for sign in _CONTEXT_SIGNS)


def hold_context(state: WorkerState, exchange: Exchange, status: int, body: bytes, *, last: bool) -> None:
    """Raise where an endpoint says that the prompt does not fit: `NextTarget`, or at the `last` one `ApiError`."""
    route = exchange.route
    if (route is not None and not route.guard.context) or not is_context_error(status, body):
        return
    outcome = "refused" if last else "fallback"
    state.meters.count("freehold_guard_events", exchange.route_name, "context", outcome)
    if not last:
        raise NextTarget("context")
    raise _context_error(body)


def may_be_cut(endpoint: Endpoint, body: bytes) -> bool:
    """Must an endpoint be asked whether a prompt fits? A token has at least one byte, so a short body always does."""
    return endpoint.engine_kind.cuts_prompts and len(body) > (endpoint.context_tokens or 0) > 0


async def check_fits(
    state: WorkerState, exchange: Exchange, endpoint: Endpoint, headers: Any, body: bytes, *, last: bool
) -> None:
    """Ask Ollama whether it would cut a prompt. It keeps what it read, so the request itself costs little more.

    Raises what `hold_context` raises, and `UpstreamFailure`.
    """
    opened = await state.upstreams.open(endpoint, "/api/chat", headers, ollama.probe_from_openai(body))
    try:
        answer = await whole(endpoint, opened)
    finally:
        await opened.close()
    hold_context(state, exchange, opened.status, answer, last=last)


def _context_error(body: bytes) -> ApiError:
    """The same in OpenAI's words."""
    try:
        said = msgspec.json.decode(body)["error"]
        said = said["message"] if isinstance(said, dict) else said
    except (msgspec.DecodeError, KeyError, TypeError):
        said = "the prompt does not fit the model's context"
    return ApiError(400, str(said), code="context_length_exceeded", param="messages")
