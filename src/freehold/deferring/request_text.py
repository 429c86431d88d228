"""What a router reads of a request. Without numbers: a process that only cuts a long request to this starts quickly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

READ_CHARACTERS = 4096
"""Of a longer text the first and the last half of this many are read."""


def request_text(request: Mapping[str, Any]) -> str:
    """What a router reads of a chat request: the user's turns, the newest first; empty where they hold no text.

    What the application says itself is the same in all its requests. Parts that are no text (images) are passed over.
    """
    messages = request.get("messages")
    turns: list[str] = []
    length = 0
    for message in reversed(messages if isinstance(messages, Sequence) else ()):
        if isinstance(message, Mapping) and message.get("role") == "user" and length <= READ_CHARACTERS:
            text = _content_text(message.get("content"))
            turns.append(text)
            length += len(text)
    text = "\n".join(turns).strip()
    if len(text) <= READ_CHARACTERS:
        return text
    half = READ_CHARACTERS // 2
    return f"{text[:half]}\n{text[-half:]}"


def _content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(
        part["text"] for part in parts if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    )
