"""OpenAI's fine-tuning files, and everything else whose lines hold one conversation.

Source of the shape: OpenAI's guides "Supervised fine-tuning" and "Reinforcement fine-tuning" (developers.openai.com,
read 2026-11) and the `openai` package's types: ``messages`` with an optional `weight` of 0 or 1 on assistant
messages, ``tools``, ``parallel_tool_calls``, formerly ``functions``; reinforcement files end with the user and carry
``reference_answer``. ShareGPT's ``conversations`` of ``{"from", "value"}`` are read too.
"""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing.chats import messages_of, request_of
from freehold.datasets.importing.importer import Importer, common, each, first
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    answer_text,
    as_json,
    check_exchange,
    completion,
    counted,
)
from freehold.datasets.messages import modern
from freehold.types.config import DataConfig

_RIGHT = ("gold", "reference_answer", "expected", "ideal", "label", "answer")
_USED = frozenset({"messages", "conversations", "tools", "functions", "response_format", "parallel_tool_calls",
                   "model", "id", "conversation_id", "user", "metadata", "gold", "system", "tool_choice",
                   "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop",
                   "reasoning_effort"})  # fmt: skip


def claims(record: dict[str, Any]) -> bool:
    given = as_json(first(record, "messages", "conversations"))
    return isinstance(given, list)


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    turns = modern(messages_of(first(record, "messages", "conversations") or []))
    if isinstance(record.get("system"), str) and (not turns or turns[0].get("role") != "system"):
        turns = [{"role": "system", "content": record["system"]}, *turns]
    fields = common(record)
    asked = {
        key: value for key, value in record.items() if key not in ("messages", "conversations", "system")
    }
    if not turns:
        raise BadRecord("messages is missing or empty")
    answer = turns[-1] if turns[-1].get("role") == "assistant" else None
    if answer is None:
        fields["gold"] = answer_text(first(record, *_RIGHT))
        if fields["gold"] is None:
            check_exchange(turns, None)
            raise BadRecord("the last message is not from the assistant, and there is no right answer")
        fields["metadata"] |= _rest(record, _RIGHT)
    else:
        turns = turns[:-1]
        if not turns:
            raise BadRecord("no user message before the assistant's answer")
        fields["metadata"] |= _rest(record, ())
    messages = check_exchange(turns, answer, has_gold=fields["gold"] is not None)
    request = request_of({**asked, "messages": []}) | {"messages": messages}
    return Imported(
        line=line,
        request=request,
        response=None if answer is None else completion(answer),
        usage=counted(record.get("usage")),
        **fields,
    )


def _rest(record: dict[str, Any], used: tuple[str, ...]) -> dict[str, Any]:
    """Other flat fields, to slice by."""
    return {
        key: value
        for key, value in record.items()
        if key not in _USED and key not in used and isinstance(value, str | int | float | bool)
    }


IMPORTER = Importer(
    "openai",
    "OpenAI fine-tuning or chat messages",
    claims,
    each(
        _convert,
        {
            "asked": "messages (all but the last)",
            "answer": "messages (the last, from the assistant)",
            "right answer": "gold or reference_answer",
            "tools": "tools (or functions)",
            "answer's schema": "response_format",
            "learned or not": "messages[].weight",
            "conversation": "conversation_id",
            "user": "user",
        },
    ),
)
