"""A chat request prepared for one model. Pure: the same request, preparation and examples give the same request.

Covered: the system prompt replaced, where the client's is the one it was made from; the system prompt as part of the
first user message; examples as turns before the conversation, as many as the
context holds. Several system or developer messages at the beginning are one system prompt, in several pieces. Content
in parts stays in parts.
Not covered: system messages in the middle of a conversation, which stay where they are; what an example
says. A request is prepared whole, or goes as it came: see `unprepared`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from freehold.types.endpoint import Example, ExampleIndex, Preparation

Unprepared = Literal["other_system", "no_question", "not_text"]
UNPREPARED: dict[Unprepared, str] = {
    "other_system": "the system prompt is another one than the preparation was made for",
    "no_question": "there is no message of a user",
    "not_text": "the question holds something besides text, such as an image",
}
"""Why a request goes as it came, in words."""
_SYSTEM_ROLES = ("system", "developer")
_READ_AS_PROMPT = ("messages", "tools", "response_format")
TURN_TOKENS = 8
"""What a chat template may add around one message; most add 3 to 6."""


class PreparedRequest(NamedTuple):
    """A request as it is sent, and how many examples are in it."""

    body: dict[str, Any]
    examples: int = 0


def unprepared(body: dict[str, Any], preparation: Preparation) -> Unprepared | None:
    """Why a chat request cannot be prepared and goes as it came; None where it can be."""
    messages = body["messages"]
    leading = _leading(messages)
    if preparation.system is not None or preparation.system_was is not None:
        said = _texts(leading)
        if said is None or _plain("\n".join(said)) != _plain(preparation.system_was or ""):
            return "other_system"
    if preparation.examples is None:
        return None
    place = _last_user(messages)
    if place is None:
        return "no_question"
    return "not_text" if _text(messages[place]) is None else None


def question_of(body: dict[str, Any]) -> str:
    """The text of the last user message, which examples are found by; empty where there is none."""
    place = _last_user(body["messages"])
    return "" if place is None else _text(body["messages"][place]) or ""


def prepare(body: dict[str, Any], preparation: Preparation, found: Sequence[Example] = ()) -> PreparedRequest:
    """A request that can be prepared (see `unprepared`), as it is sent. `found` are examples, the nearest first."""
    messages = body["messages"]
    leading = _leading(messages)
    asked = list(messages[len(leading) :])
    if preparation.system is not None:
        role = leading[0]["role"] if leading else "system"
        leading = [{"role": role, "content": preparation.system}] if preparation.system else []
    index = preparation.examples
    shown = [] if index is None else _fitting(body, [*leading, *asked], index, found)
    if index is not None and index.order == "nearest_last":
        shown.reverse()
    asked = [*_turns(shown), *asked]
    return PreparedRequest({**body, "messages": [*leading, *asked]}, len(shown))


def prompt_bytes(body: dict[str, Any]) -> int:
    """The size of what a model reads of a request, as JSON."""
    return len(msgspec.json.encode([body.get(name) for name in _READ_AS_PROMPT]))


def is_chat(body: dict[str, Any]) -> bool:
    """Whether a body has messages as the chat API has them. Of others the endpoint says what is wrong with them."""
    messages = body.get("messages")
    return isinstance(messages, list) and all(
        isinstance(message, dict) and isinstance(message.get("role"), str) for message in messages
    )


def turn_tokens(example: Example, index: ExampleIndex) -> int:
    """Tokens that an example is foretold to take."""
    return 2 * TURN_TOKENS + math.ceil(_turn_bytes(example) * index.tokens_per_byte)


def _fitting(
    body: dict[str, Any], messages: list[Any], index: ExampleIndex, found: Sequence[Example]
) -> list[Example]:
    """The nearest examples that fit into the context besides the request and its answer."""
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    answer = limit if isinstance(limit, int) and limit > 0 else index.answer_tokens
    asked = math.ceil(prompt_bytes({**body, "messages": messages}) * index.tokens_per_byte)
    room = index.context_tokens - answer - asked - TURN_TOKENS * (len(messages) + 1)
    fitting: list[Example] = []
    for example in found[: index.k]:
        room -= turn_tokens(example, index)
        if room < 0:
            break
        fitting.append(example)
    return fitting


def _turns(examples: Sequence[Example]) -> list[dict[str, str]]:
    return [
        {"role": role, "content": text}
        for one in examples
        for role, text in (("user", one.question), ("assistant", one.answer))
    ]


def _turn_bytes(example: Example) -> int:
    return len(msgspec.json.encode(_turns([example])))


def _leading(messages: Sequence[Any]) -> list[Any]:
    """The system messages that a conversation begins with."""
    end = next(
        (place for place, one in enumerate(messages) if one["role"] not in _SYSTEM_ROLES), len(messages)
    )
    return list(messages[:end])


def _last_user(messages: Sequence[Any]) -> int | None:
    return next(
        (place for place in reversed(range(len(messages))) if messages[place]["role"] == "user"), None
    )


def _text(message: dict[str, Any]) -> str | None:
    """A message's text, its parts joined by line breaks; None where it is something else."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [
        part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        for part in content
    ]
    return "\n".join(texts) if all(isinstance(text, str) for text in texts) else None  # type: ignore[arg-type]


def _texts(messages: Sequence[Any]) -> list[str] | None:
    texts = [_text(message) for message in messages]
    return None if None in texts else texts  # type: ignore[return-value]


def _plain(text: str) -> str:
    return " ".join(text.split())
