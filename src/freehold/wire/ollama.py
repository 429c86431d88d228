"""The one request that Ollama is asked through its own API: whether a prompt fits, and how many tokens it has."""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.wire.errors import ApiError


def probe_from_openai(body: bytes) -> bytes:
    """The chat request that reads the same prompt and writes one token, and is an error where it does not fit.

    Through OpenAI's API Ollama silently cuts a prompt over the context; only its own API can be asked not to.
    """
    chat = msgspec.json.decode(body)
    messages = []
    given = chat.get("messages") or [{"role": "user", "content": chat.get("prompt")}]
    for message in given:
        content = message.get("content")
        said = {"role": message.get("role"), "content": content if isinstance(content, str) else ""}
        if isinstance(content, list):
            parts = [part for part in content if isinstance(part, dict)]
            said["content"] = "\n".join(part["text"] for part in parts if part.get("type") == "text")
            urls = [part["image_url"]["url"] for part in parts if part.get("type") == "image_url"]
            if images := [url.partition(",")[2] for url in urls if url.startswith("data:")]:
                said["images"] = images
        if message.get("tool_calls"):
            said["tool_calls"] = [
                {
                    "function": {
                        "name": call["function"].get("name"),
                        "arguments": _arguments(call["function"]),
                    }
                }
                for call in message["tool_calls"]
            ]
        messages.append(said)
    asked = {"model": chat.get("model"), "messages": messages, "options": {"num_predict": 1}}
    if chat.get("tools"):
        asked["tools"] = chat["tools"]
    return msgspec.json.encode({**asked, "stream": False, "truncate": False, "shift": False})


def probed_tokens(body: bytes) -> int | None:
    """How many tokens the prompt of a probe had."""
    counted = msgspec.json.decode(body).get("prompt_eval_count")
    return counted if isinstance(counted, int) else None


def _arguments(function: dict[str, Any]) -> Any:
    try:
        return msgspec.json.decode(function.get("arguments") or "{}")
    except (msgspec.DecodeError, TypeError):
        raise ApiError(502, "the model called a tool with arguments that are not JSON") from None
