"""Request and response as an application logged them, each as the chat API spells them."""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing.chats import exchange
from freehold.datasets.importing.importer import Importer, common, each
from freehold.datasets.importing.records import BadRecord, Imported, answered_at, as_json, check_exchange
from freehold.types.config import DataConfig


def claims(record: dict[str, Any]) -> bool:
    return isinstance(as_json(record.get("request")), dict)


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    request, response = as_json(record.get("request")), as_json(record.get("response"))
    if not isinstance(request, dict):
        raise BadRecord("request is not an object")
    if response is None and record.get("gold") is None:
        raise BadRecord("neither a response nor a gold answer")
    if response is not None and not isinstance(response, dict):
        raise BadRecord("response is not an object")
    found = exchange(request, response)
    fields = common(record)
    fields["at"] = fields["at"] or answered_at(response)
    answer = None if found.response is None else found.response["choices"][0]["message"]
    messages = check_exchange(found.request["messages"], answer, has_gold=fields["gold"] is not None)
    return Imported(
        line=line,
        # The whole request is kept: it says how the application asks.
        request={**request, **found.request, "messages": messages},
        response=None if found.response is None else {**(response or {}), **found.response},
        usage=found.usage,
        **fields,
    )


IMPORTER = Importer(
    "pairs",
    "request/response pairs",
    claims,
    each(
        _convert,
        {
            "asked": "request.messages",
            "answer": "response.choices[0].message",
            "right answer": "gold",
            "conversation": "conversation_id",
            "when": "at, timestamp or created_at, else response.created",
            "user": "user",
        },
    ),
)
