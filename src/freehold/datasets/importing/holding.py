"""What records hold, in words: which of the things that a trace may have are there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from freehold.datasets.importing.importer import Mapping
from freehold.datasets.importing.records import Imported

_HELD_AS = {
    "answer": "answer",
    "right answer": "right answer",
    "tools": "tools",
    "answer's schema": "an answer's schema",
    "learned or not": "weights of messages",
    "liked": "a like or dislike",
    "when": "time",
    "conversation": "conversation",
    "user": "user",
}
"""What a line of a mapping needs records to hold; lines that are not here hold of all records."""


def holds(found: Imported) -> Iterator[str]:
    """What one record has."""
    messages = found.request["messages"]
    answer: dict[str, Any] = {}
    if found.response:
        yield "answer"
        answer = found.response["choices"][0]["message"]
    if found.gold is not None:
        yield "right answer"
    if sum(message.get("role") == "user" for message in messages) > 1:
        yield "several turns"
    if found.request.get("tools"):
        yield "tools"
    if answer.get("tool_calls"):
        yield "tool calls in the answer"
    if answer.get("refusal"):
        yield "refusals"
    if found.request.get("response_format"):
        yield "an answer's schema"
    if answer.get("weight") is not None or any(message.get("weight") is not None for message in messages):
        yield "weights of messages"
    if found.desirable is not None:
        yield "a like or dislike"
    for name in ("conversation_id", "user", "at"):
        if getattr(found, name) is not None:
            yield {"conversation_id": "conversation", "user": "user", "at": "time"}[name]


def present(mapping: Mapping, held: Collection[str]) -> Mapping:
    """The lines of a mapping that some record bore out. Answers that were taken for right ones say so."""
    shown: Mapping = {}
    for people, source in mapping.items():
        if people == "answer" and "answer" not in held and "right answer" in held:
            people = "right answer"
        if _HELD_AS.get(people) in (None, *held):
            shown.setdefault(people, source)
    return shown
