"""What a sample asks, as text that can be compared with what another asks.

A request of one turn asks what its last user message says. A step of a conversation asks that in its context: "thanks!"
after ten turns is another question than "thanks!" after two. So of a step all is compared that was said to the
model, in order: user messages and the values of tool results (names of their fields are the tool's words and in every
result). The model's own turns don't count: they are answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from freehold.datasets.messages import blanked_text, text_of
from freehold.types.dataset import Message, Sample

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
