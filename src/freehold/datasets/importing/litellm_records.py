"""LiteLLM: its standard JSON records (S3, GCS, Azure buckets, callbacks) and its table of spend records.

Sources of the shapes: LiteLLM's page "StandardLoggingPayload Specification" and "Getting Started with UI Logs"
(docs.litellm.ai, read 2026-11), and the table ``LiteLLM_SpendLogs`` of its migrations (github.com/BerriAI/litellm).
Spend records hold prompts only where ``store_prompts_in_spend_logs`` was on.
"""

from __future__ import annotations

from typing import Any

from freehold.datasets.importing.chats import exchange
from freehold.datasets.importing.importer import Importer, each, first
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    NotWanted,
    answered_at,
    as_json,
    as_object,
    check_exchange,
    counted,
    moment,
    text_or_none,
)
from freehold.types.config import DataConfig

_CHATS = frozenset({"completion", "acompletion", "text_completion", "atext_completion", "responses", "aresponses",
                    "anthropic_messages", "anthropic_messages_handler", "generate_content",
                    "agenerate_content", ""})  # fmt: skip


def claims(record: dict[str, Any]) -> bool:
    record = record.get("standard_logging_object") or record
    if not isinstance(record, dict) or "call_type" not in record:
        return False
    return bool(
        record.keys() & {"proxy_server_request", "response_cost", "request_id", "model_group", "spend"}
    )


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    inner = record.get("standard_logging_object")
    record = inner if isinstance(inner, dict) else record
    kind = str(record.get("call_type") or "")
    if kind not in _CHATS:
        raise NotWanted(f"a call of type {kind}")
    metadata = as_object(record.get("metadata"))
    if "failure" in (record.get("status"), metadata.get("status")):
        raise NotWanted("the call failed")
    body = as_object(record.get("proxy_server_request"))
    body = as_object(body.get("body")) or body
    given = as_json(record.get("messages"))
    parameters = as_object(record.get("model_parameters"))
    model = first(record, "model", "model_group")
    if body and body.keys() & {"messages", "input", "prompt"}:
        asked: Any = {**parameters, **body}
    elif isinstance(given, dict) and given:
        asked = {**parameters, **given, "model": model}
    elif given:
        asked = {**parameters, "messages": given, "model": model}
    else:
        raise BadRecord("no prompt: LiteLLM keeps it only with store_prompts_in_spend_logs: true")
    said = as_json(record.get("response"))
    if "redacted-by-litellm" in str(asked)[:4000] or "redacted-by-litellm" in str(said)[:4000]:
        raise BadRecord("prompt or answer was redacted by LiteLLM")
    found = exchange(asked, said, model=model)
    if found.response is None:
        raise BadRecord("no response")
    messages = check_exchange(found.request["messages"], found.response["choices"][0]["message"])
    requester = metadata.get("requester_metadata")
    return Imported(
        line=line,
        id=text_or_none(first(record, "request_id", "id", "litellm_call_id")),
        request={**found.request, "messages": messages},
        response=found.response,
        usage=found.usage or counted(metadata.get("usage_object")) or counted(record),
        at=moment(record.get("startTime")) or answered_at(said),
        total_ms=_milliseconds(record),
        conversation_id=text_or_none(first(record, "session_id", "trace_id")),
        user=text_or_none(first(record, "end_user", "user")),
        metadata=requester if isinstance(requester, dict) else {},
    )


def _milliseconds(record: dict[str, Any]) -> float | None:
    begin, end = moment(record.get("startTime")), moment(record.get("endTime"))
    return None if begin is None or end is None else (end - begin).total_seconds() * 1000


IMPORTER = Importer(
    "litellm",
    "LiteLLM records",
    claims,
    each(
        _convert,
        {
            "asked": "proxy_server_request, else messages",
            "answer": "response",
            "when": "startTime",
            "conversation": "session_id or trace_id",
            "user": "end_user",
            "slices": "metadata.requester_metadata",
        },
    ),
)
