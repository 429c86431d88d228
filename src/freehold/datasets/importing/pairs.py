"""Request and response as an application logged them, in any API that `chats` reads.

A line of a batch job's input and the line of its output that has the same ``custom_id`` are a pair, too (OpenAI:
``body`` in both; Anthropic: ``params`` and ``result.message``): its tokens are billed at the batch price.
"""

from __future__ import annotations

from typing import Any

import msgspec

from freehold.datasets.importing.chats import exchange
from freehold.datasets.importing.importer import Importer, common, each
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    answered_at,
    as_json,
    check_exchange,
    counted,
)
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
    request, response, is_batch = _out_of_a_batch(request, response)
    if response is None and record.get("gold") is None:
        raise BadRecord("neither a response nor a gold answer")
    if response is not None and not isinstance(response, dict):
        raise BadRecord("response is not an object")
    found = exchange(request, response)
    usage = found.usage or counted(record.get("usage"))
    if is_batch and usage is not None:
        usage = msgspec.structs.replace(usage, service_tier="batch")
    fields = common(record)
    fields["at"] = fields["at"] or answered_at(response)
    answer = None if found.response is None else found.response["choices"][0]["message"]
    messages = check_exchange(found.request["messages"], answer, has_gold=fields["gold"] is not None)
    return Imported(
        line=line,
        # The whole request is kept: it says how the application asks.
        request={**request, **found.request, "messages": messages},
        response=None if found.response is None else {**(response or {}), **found.response},
        usage=usage,
        **fields,
    )


def _out_of_a_batch(request: dict[str, Any], response: Any) -> tuple[dict[str, Any], Any, bool]:
    """Both bodies, taken out of the lines of a batch job's files. Raises `BadRecord` for a request that failed."""
    if "custom_id" not in request:
        return request, response, False
    asked = request.get("body") or request.get("params")
    if not isinstance(asked, dict):
        raise BadRecord("a batch request without body or params")
    said = response if isinstance(response, dict) else {}
    inner = said.get("response")
    said = inner if isinstance(inner, dict) else said
    result = said.get("result")
    if isinstance(result, dict):
        said = result
    found = said.get("body") or said.get("message")
    if not isinstance(found, dict):
        raise BadRecord(
            f"the request failed in its batch: {str(said.get('error') or said.get('type'))[:200]}"
        )
    return asked, found, True


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
