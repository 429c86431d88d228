"""Answers that tools log in pieces: a stream's chunks, a message's blocks, a response's items.

Sources of the shapes: the streams of OpenAI's chat and Responses APIs and of Anthropic's messages (`freehold.wire`);
Helicone's ``streamed_data`` (github.com/Helicone/helicone).
"""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.datasets.importing.records import BadRecord
from freehold.wire import anthropic, openai, responses
from freehold.wire.openai import AssembledAnswer

_EVENTS = frozenset(
    {"message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"}
)
_BLOCKS = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})
_ITEMS = frozenset({"message", "function_call", "reasoning"})


def joined(said: Any) -> AssembledAnswer | None:
    """The answer whose pieces `said` is; None where it is something else. Raises `BadRecord` for a stream cut off."""
    if isinstance(said, dict) and "streamed_data" in said and "choices" not in said:
        said = said["streamed_data"]
    if isinstance(said, str) and said.lstrip().startswith(("data: {", "data:{", "event: ")):
        return _stream(said.encode("utf-8", "replace"))
    if not isinstance(said, list) or not said or not all(isinstance(one, dict) for one in said):
        return None
    if any(one.get("type") in _EVENTS or _is_chunk(one) for one in said):
        return _stream(b"".join(b"data: " + msgspec.json.encode(one) + b"\n\n" for one in said))
    if any("role" in one and one.get("type") != "message" for one in said):
        return None
    kinds = {str(one.get("type")) for one in said}
    if kinds <= _BLOCKS:
        message = {"type": "message", "role": "assistant", "content": said}
        return anthropic.read_answer(msgspec.json.encode(message))
    if kinds <= _ITEMS and ("function_call" in kinds or any(_written(one) for one in said)):
        response = {"object": "response", "status": "completed", "output": said}
        return responses.read_answer(msgspec.json.encode(response))
    return None


def _is_chunk(one: dict[str, Any]) -> bool:
    choices = one.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return one.get("object") == "chat.completion.chunk" or (isinstance(first, dict) and "delta" in first)


def _written(item: dict[str, Any]) -> bool:
    content = item.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and part.get("type") == "output_text" for part in content
    )


def _stream(stream: bytes) -> AssembledAnswer:
    for read in (openai.read_stream, anthropic.read_stream, responses.read_stream):
        found = read(stream)
        if found.body is not None and found.body.get("choices"):
            if not found.ended:
                raise BadRecord("the answer's stream was cut off before its end")
            return found
    raise BadRecord("the answer's stream holds no answer")
