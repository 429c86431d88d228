"""Targets of the wire: streams of events, and every translation between two APIs, in both directions.

What holds: requests end as bytes or as `ApiError`, through the wrappers the gateway calls them by; streams as bytes,
`ApiError` or an error of `UNREADABLE`, which the gateway turns into one; a stream means the same however it is cut.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
from tests.fuzz.draw import Draw, changed, flipped, pieces, text_of
from tests.fuzz.target import Target

from freehold.gateway.proxy import translation
from freehold.gateway.proxy.translation import UNREADABLE, Translation
from freehold.wire import anthropic, openai, responses, sse
from freehold.wire.errors import ApiError, told_error

_TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"q": 1}'}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}

CHAT: dict[str, Any] = {
    "model": "m", "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.5, "max_tokens": 9,
    "stop": ["x"], "tools": [_TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}, "user": "u",
    "response_format": _SCHEMA, "reasoning_effort": "low", "metadata": {"k": "v"},
    "messages": [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, _PICTURE]},
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "3"},
    ],
}  # fmt: skip
MESSAGES: dict[str, Any] = {
    "model": "m", "max_tokens": 9, "stream": True, "system": [{"type": "text", "text": "be kind"}],
    "stop_sequences": ["x"], "thinking": {"type": "adaptive"}, "metadata": {"user_id": "u"},
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    "context_management": {"edits": [{"type": "clear_thinking_1"}]},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"},
         {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "…"},
         {"type": "tool_use", "id": "c1", "name": "f", "input": {"q": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text",
         "text": "3"}], "is_error": True}]},
    ],
}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "model": "m", "stream": True, "instructions": "be kind", "max_output_tokens": 9, "temperature": 0.5,
    "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}], "metadata": {"k": "v"},
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
    "reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"],
    "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}}},
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"},
         {"type": "input_image", "image_url": "data:,"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "3"}, {"type": "reasoning"},
    ],
}  # fmt: skip
EMBED: dict[str, Any] = {"model": "m", "input": ["a", "b"], "dimensions": 3}
_USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}
COMPLETION: dict[str, Any] = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "m", "usage": _USAGE,
    "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": "a",
                 "tool_calls": [_CALL]}, "logprobs": {"content": []}}],
}  # fmt: skip
MESSAGE: dict[str, Any] = {
    "id": "x", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
    "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}],
    "usage": {"input_tokens": 9, "output_tokens": 3, "cache_read_input_tokens": 1},
}  # fmt: skip
RESPONSE: dict[str, Any] = {
    "id": "x", "object": "response", "model": "m", "status": "completed",
    "output": [{"type": "message", "content": [{"type": "output_text", "text": "a"}]},
               {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}],
    "usage": {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 1}},
}  # fmt: skip
EMBEDDINGS: dict[str, Any] = {"data": [{"index": 0, "embedding": [0.1, 0.2]}], "usage": _USAGE, "count": 3}


def _chunk(**delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


CHAT_STREAM: list[Any] = [
    _chunk(role="assistant", content=""), _chunk(content="Hel"), _chunk(content="lo"),
    _chunk(tool_calls=[{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]),
    _chunk(tool_calls=[{"index": 0, "function": {"arguments": '{"q'}}]),
    _chunk(tool_calls=[{"index": 0, "function": {"arguments": '":1}'}}]),
    {**_chunk(), "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {**_chunk(), "choices": [], "usage": _USAGE}, "[DONE]",
]  # fmt: skip
MESSAGE_STREAM: list[Any] = [
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": MESSAGE["content"][1]},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
    {"type": "message_stop"},
]  # fmt: skip
RESPONSE_STREAM: list[Any] = [
    {"type": "response.created"},
    {"type": "response.completed", "response": RESPONSE},
]

_TRANSLATIONS: tuple[tuple[Translation, Any, Any, Any], ...] = (
    *((one, MESSAGES, COMPLETION, CHAT_STREAM) for one in translation._MESSAGES_CONTINUED.values()),
    (translation._RESPONSES, RESPONSES, COMPLETION, CHAT_STREAM),
    (translation._TO_ANTHROPIC, CHAT, MESSAGE, MESSAGE_STREAM),
    (translation._RESPONSES_TO_ANTHROPIC, RESPONSES, MESSAGE, MESSAGE_STREAM),
    *((one, MESSAGES, EMBEDDINGS, CHAT_STREAM) for one in translation._COUNTS.values() if one is not None),
)


def stream_of(draw: Draw, chunks: list[Any]) -> bytes:
    """A changed list of chunks as events, each ended in one of the ways the format allows."""
    given = changed(draw, chunks)
    end = draw.one_of((b"\n\n", b"\n\n", b"\r\n\r\n", b"\r\r"))
    named = draw.below(2)
    parts = []
    for chunk in given if isinstance(given, list) else [given]:
        text = (
            chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else json.dumps(chunk).encode()
        )
        kind = chunk.get("type") if isinstance(chunk, dict) else None
        head = (
            f"event: {kind}".encode("utf-8", "surrogatepass") + end[: len(end) // 2]
            if named and isinstance(kind, str)
            else b""
        )
        parts.append(head.replace(b"\r\n\r\n", b"\r\n") + b"data: " + text + end)
    return flipped(draw, b"".join(parts))


def requests(data: bytes) -> None:
    draw = Draw(data)
    one, seed, _, _ = draw.one_of(_TRANSLATIONS)
    body = text_of(draw, seed)
    with contextlib.suppress(ApiError):
        openai.peek(body)  # what the gateway does first with each request
        msgspec.json.decode(one.request(body))


def answers(data: bytes) -> None:
    draw = Draw(data)
    one, seed, answer, _ = draw.one_of(_TRANSLATIONS)
    request = json.dumps(seed).encode()
    body = text_of(draw, answer)
    with contextlib.suppress(ApiError):
        msgspec.json.decode(one.answer(body, request))
    told_error(500, body)


def streams(data: bytes) -> None:
    draw = Draw(data)
    one, seed, _, chunks = draw.one_of(_TRANSLATIONS)
    request = json.dumps(seed).encode()
    try:
        filter_ = one.stream(request)
    except ApiError:
        return
    stream = stream_of(draw, chunks)
    try:
        for piece in pieces(draw, stream):
            filter_.feed(piece)
        filter_.rest()
    except (ApiError, *UNREADABLE):
        filter_.broken(b'{"error": {"message": "x", "code": null}}')


def events(data: bytes) -> None:
    """The parser of events: whole, and as it comes in pieces, with the same outcome."""
    draw = Draw(data)
    stream = stream_of(draw, draw.one_of((CHAT_STREAM, MESSAGE_STREAM))) if draw.below(2) else draw.rest()
    cut = pieces(draw, stream)
    list(sse.events(stream))
    whole, running = _objects([stream]), _objects(cut)
    if isinstance(whole, list) and isinstance(running, list) and repr(whole) != repr(running):
        raise AssertionError(f"cut in pieces a stream says {running}, whole {whole}")
    usage = sse.UsageFilter()
    sent = b"".join(usage.feed(piece) for piece in cut) + usage.rest()
    if len(sent) > len(stream) or (b'"choices":' not in stream and sent != stream):
        raise AssertionError("the usage filter changed a stream without usage")


def _objects(parts: list[bytes]) -> list[Any] | None:
    reader = sse.JsonEvents()
    try:
        return [one for part in parts for one in reader.feed(part)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def assembled(data: bytes) -> None:
    """What the observer, guards and bills read: an answer or a stream put together, whatever it holds."""
    draw = Draw(data)
    reader = draw.one_of((openai, anthropic, responses))
    if draw.below(2):
        reader.read_stream(stream_of(draw, draw.one_of((CHAT_STREAM, MESSAGE_STREAM, RESPONSE_STREAM))))
    else:
        reader.read_answer(text_of(draw, draw.one_of((COMPLETION, MESSAGE, RESPONSE))))


def _seeds(count: int) -> tuple[bytes, ...]:
    return tuple(bytes([n]) + bytes(12) for n in range(count))


TARGETS = (
    Target("sse", events, "server-sent events, whole and in pieces", (b"\1\0" + b"\0" * 9, b"\0data: x\n\n")),
    Target("wire-requests", requests, "requests of all APIs", _seeds(len(_TRANSLATIONS))),
    Target("wire-answers", answers, "answers of all APIs", _seeds(len(_TRANSLATIONS))),
    Target("wire-streams", streams, "streams of all APIs", _seeds(len(_TRANSLATIONS))),
    Target("wire-assembled", assembled, "answers put together for traces", _seeds(3)),
)
