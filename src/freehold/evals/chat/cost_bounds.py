"""What of a chat request leaves its cost without a bound that can be told before it is sent."""

from __future__ import annotations

from typing import Any

LIMITS = ("max_completion_tokens", "max_tokens")
"""Fields that limit the tokens of an answer. Which of two counts differs between APIs."""
_CALLED_HERE = ("function", "custom")
"""Kinds of tools whose calls are made by who asks. All others are run by the API that is asked."""


def unbounded(body: dict[str, Any]) -> str | None:
    """Why the most that a request can cost is not known, said of the request; None where it is."""
    if answer_tokens(body) is None:
        return "says no limit of tokens"
    if found := hosted_tools(body):
        return f"has the API itself run {', '.join(found)}"
    if "audio" in body or body.get("modalities") not in (None, [], ["text"]):
        return "asks for sound or pictures"
    if any(is_more_than_text(message) for message in body["messages"]):
        return "holds more than text"
    return None


def answer_tokens(body: dict[str, Any]) -> int | None:
    """The most tokens of an answer; None where no limit is said, or one that is none."""
    said = [body[name] for name in LIMITS if body.get(name) is not None]
    return int(max(said)) if said and all(is_count(one) for one in said) else None


def limited(body: dict[str, Any], tokens: int) -> dict[str, Any]:
    """The request with a limit of that many tokens, where it says none at all."""
    return body if any(body.get(name) is not None for name in LIMITS) else {**body, "max_tokens": tokens}


def is_count(value: Any) -> bool:
    """Whether it is a whole number of 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def hosted_tools(body: dict[str, Any]) -> list[str]:
    """What the API would run by itself, and may bill apart."""
    tools = body.get("tools") or []
    kinds = [_kind(one) for one in tools] if isinstance(tools, list) else ["?"]
    named = sorted({str(kind)[:40] for kind in kinds if kind not in _CALLED_HERE})
    return [*named, *(["web_search_options"] if "web_search_options" in body else [])]


def is_more_than_text(message: Any) -> bool:
    """Whether a message has a part that is not text: a picture by its address has more tokens than bytes."""
    content = message.get("content") if isinstance(message, dict) else None
    return isinstance(content, list) and any(_kind(part) not in ("text", "refusal") for part in content)


def _kind(one: Any) -> Any:
    return one.get("type") if isinstance(one, dict) else None
