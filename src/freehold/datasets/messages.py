"""Messages of the chat API, in every spelling it allows, as the one spelling that samples have; and what they ask.

Covered: assistant turns that call tools and have no ``content``; refusals; ``function_call`` and role ``function``
(the API before November 2023); content in parts; a tool's result without content; pictures and sounds, named by a
hash. Not covered: whether the order of turns makes sense (`freehold.datasets.importing.records` checks that).

A request of one turn asks what its last user message says. A step of a conversation asks that in its context:
"thanks!" after ten turns is another question than "thanks!" after two. So of a step all is compared that was said to
the model, in order: user messages and the values of tool results (names of their fields are the tool's words and in
every result). The model's own turns don't count: they are answers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from freehold.types.dataset import Message, Sample

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=\s]{64,}")


def text_of(content: Any) -> str | None:
    """A message's content as text: its text parts (or the parts of a refusal) joined, None where there is none."""
    if isinstance(content, list):
        parts = (part for part in content if isinstance(part, dict))
        return "".join(str(part.get("text") or part.get("refusal") or "") for part in parts)
    return content if isinstance(content, str) else None


def blanked_text(content: Any) -> str:
    """A message's content as text, with a hash where a picture, a sound or a file is: it says which, in few bytes."""
    if isinstance(content, list):
        return "".join(_part(part) for part in content)
    if not isinstance(content, str):
        return ""
    return (
        _DATA_URL.sub(lambda found: _mark("data", found[0].encode()), content)
        if "base64," in content
        else content
    )


def _part(part: Any) -> str:
    if isinstance(part, dict):
        text = part.get("text") or part.get("refusal")
        if isinstance(text, str):
            return blanked_text(text)
        return _mark(str(part.get("type") or "part"), msgspec.json.encode(part))
    return blanked_text(part)


def _mark(kind: str, content: bytes) -> str:
    return f"[{kind} {hashlib.blake2b(content, digest_size=8).hexdigest()}]"


def response_message(response: dict[str, Any]) -> dict[str, Any] | None:
    """The assistant's message in a response body, None when there is none."""
    choices = response.get("choices") or []
    message = choices[0].get("message") if choices and isinstance(choices[0], dict) else None
    if not isinstance(message, dict):
        return None
    return modern([message])[0] if message.get("function_call") else message


def message_text(message: dict[str, Any]) -> str | None:
    """A message as one string: tool calls as compact JSON, else its text, else the text of its refusal."""
    if message.get("tool_calls"):
        return msgspec.json.encode(message["tool_calls"]).decode()
    text = text_of(message.get("content"))
    return text or refusal_of(message) or text


def refusal_of(message: dict[str, Any]) -> str | None:
    """The text with which a model refused (the API's ``refusal``, beside the content or as its only parts)."""
    if isinstance(refusal := message.get("refusal"), str) and refusal.strip():
        return refusal
    content = message.get("content")
    if isinstance(content, list) and any(isinstance(part, dict) and part.get("refusal") for part in content):
        return text_of(content)
    return None


def chat_messages(given: Sequence[Any]) -> tuple[Message, ...]:
    """Messages as samples have them. Raises `msgspec.ValidationError` for what the chat API does not allow."""
    return tuple(chat_message(message) for message in modern(list(given)))


def chat_message(given: Any) -> Message:
    """One message: content that is absent is None, a refusal is what was said, an empty tool result is empty text.

    Raises `msgspec.ValidationError`.
    """
    if isinstance(given, dict) and not given.get("content"):
        role = given.get("role")
        content = refusal_of(given) if role == "assistant" else "" if role == "tool" else given.get("content")
        calls = role == "assistant" and given.get("tool_calls")
        if content is None and not calls and "content" not in given:
            raise msgspec.ValidationError("a message without `content` that calls no tools")
        given = {**given, "content": content}
    return msgspec.convert(given, Message)


def modern(messages: list[Any]) -> list[Any]:
    """`function_call` and role ``function`` (OpenAI's API before November 2023) as tool calls and role ``tool``."""
    if not any(
        isinstance(m, dict) and (m.get("function_call") or m.get("role") == "function") for m in messages
    ):
        return messages
    turns: list[Any] = []
    made = 0
    for message in messages:
        turn = message
        if isinstance(message, dict) and message.get("function_call"):
            made += 1
            turn = {key: value for key, value in message.items() if key != "function_call"}
            turn["tool_calls"] = [
                {"id": f"call_{made}", "type": "function", "function": message["function_call"]}
            ]
        elif isinstance(message, dict) and message.get("role") == "function":
            turn = {"role": "tool", "tool_call_id": f"call_{made}", "content": message.get("content")}
        turns.append(turn)
    return turns


STANDS_ALONE = 40
"""A last message of this many characters is a question by itself, where nothing says that it is a step of a
conversation: the turns before it may be a prompt's examples, chosen for each question."""
TELLS = 24
"""A last turn of fewer characters ("yes, please") tells nothing by itself: the context before it decides."""


def all_asked(sample: Sample) -> str:
    """Everything the user said."""
    return "\n".join(text_of(one.content) or "" for one in sample.messages if one.role == "user")


def normalized_question(sample: Sample, *, step: bool = False) -> str:
    """What is compared exactly, lower case, spaces collapsed: the last user message, or the whole context.

    `step` says that the sample is known to be a step of a conversation.
    """
    last = next((m for m in reversed(sample.messages) if m.role == "user"), None)
    alone = "" if last is None else _plain(blanked_text(last.content))
    if not is_step(sample) or (not step and len(alone) >= STANDS_ALONE and sample.messages[-1] is last):
        return alone
    return "\x1e".join(_plain(text) for text in _said_to_model(sample.messages))


def asked_context(sample: Sample) -> str:
    """What is compared for near duplicates: all that was said to the model."""
    return "\n".join(_said_to_model(sample.messages))


def last_turn(sample: Sample) -> str:
    """What was said to the model since it last spoke."""
    begin = 0
    for place, message in enumerate(sample.messages):
        if message.role == "assistant":
            begin = place + 1
    return "\n".join(_said_to_model(sample.messages[begin:]))


def is_step(sample: Sample) -> bool:
    """Whether the model has answered before in what the sample asks."""
    return any(message.role in ("assistant", "tool") for message in sample.messages)


def _said_to_model(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        if message.role == "user":
            yield blanked_text(message.content)
        elif message.role == "tool":
            yield " ".join(_values(blanked_text(message.content)))


def _values(text: str) -> Iterator[str]:
    """What a tool's result says: the values of a JSON document, else the text."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            yield from _leaves(msgspec.json.decode(text))
            return
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            pass
    yield text


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif value is not None:
        yield str(value)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
