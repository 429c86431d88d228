"""OpenAI's stored chat completions, as its API lists them, with the messages that were sent.

Source of the shape: OpenAI's API reference, "List stored Chat Completions" and "Get the messages in a stored chat
completion" (developers.openai.com, read 2026-11). The list holds answers, tools and metadata; the messages come from
a second call, whose result is expected with them as ``messages`` (or ``input``). The import guide has the script.
"""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing.chats import exchange, messages_of
from freehold.datasets.importing.importer import Importer, each, first
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    as_json,
    as_object,
    check_exchange,
    moment,
    text_or_none,
)
from freehold.types.config import DataConfig


def claims(record: dict[str, Any]) -> bool:
    inner = record.get("completion")
    if isinstance(inner, dict) and inner.get("object") == "chat.completion":
        return True
    return record.get("object") == "chat.completion"


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    stored = record["completion"] if isinstance(record.get("completion"), dict) else record
    given = as_json(first(record, "messages", "input"))
    if isinstance(given, dict):  # the second call's page as it came
        given = given.get("data", given)
    if not isinstance(given, list) or not given:
        raise BadRecord("the completion is here without the messages that were sent (see the import guide)")
    messages = [_sent(message) for message in messages_of(given)]
    found = exchange({**stored, "messages": messages}, stored, model=stored.get("model"))
    if found.response is None:
        raise BadRecord("the completion has no answer")
    checked = check_exchange(found.request["messages"], found.response["choices"][0]["message"])
    metadata = as_object(stored.get("metadata"))
    return Imported(
        line=line,
        id=text_or_none(stored.get("id")),
        request={**found.request, "messages": checked},
        response=found.response,
        usage=found.usage,
        at=moment(stored.get("created")),
        conversation_id=text_or_none(first(metadata, "conversation_id", "session_id", "thread_id")),
        user=text_or_none(first(stored, "input_user", "user") or metadata.get("user_id")),
        metadata=metadata,
    )


def _sent(message: dict[str, Any]) -> dict[str, Any]:
    """A stored message as it was sent: its own id is not part of it, and parts stand for the flattened text."""
    parts = message.get("content_parts")
    kept = {
        key: value
        for key, value in message.items()
        if key not in ("id", "content_parts") and value is not None
    }
    kept.setdefault("content", None)
    return kept | ({"content": parts} if parts else {})


IMPORTER = Importer(
    "stored_completions",
    "OpenAI stored completions",
    claims,
    each(
        _convert,
        {
            "asked": "messages (or input), fetched for each completion",
            "answer": "choices[0].message",
            "tools": "tools",
            "answer's schema": "response_format",
            "when": "created",
            "conversation": "metadata.conversation_id",
        },
    ),
)
