"""Request and response as an application logged them, each as the chat API spells them."""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing.chats import exchange
from freehold.datasets.importing.importer import Importer, common, each
from freehold.datasets.importing.records import BadRecord, Imported, answered_at, as_json, check_exchange
from freehold.types.config import DataConfig

_ASKED = (
    "model", "messages", "system", "tools", "functions", "response_format", "parallel_tool_calls", "tool_choice",
    "temperature", "top_p", "max_tokens", "max_completion_tokens", "stop", "reasoning_effort", "seed",
)  # fmt: skip
"""Keys of a chat request that may lie in the record itself."""


def claims(record: dict[str, Any]) -> bool:
    return isinstance(as_json(record.get("request")), dict) or _is_flat(record)


def _is_flat(record: dict[str, Any]) -> bool:
    """The request's keys lie in the record itself, next to the response: so gateways' call-backs are dumped."""
    response = as_json(record.get("response"))
    answers = isinstance(response, dict) and any(key in response for key in ("choices", "content", "output"))
    return "request" not in record and answers and isinstance(as_json(record.get("messages")), list)


def _request_in(record: dict[str, Any]) -> Any:
    if not _is_flat(record):
        return as_json(record.get("request"))
    return {
        key: as_json(record[key]) if key in ("messages", "tools") else record[key]
        for key in _ASKED
        if key in record
    }


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    request, response = _request_in(record), as_json(record.get("response"))
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
