"""Helicone's export of requests: JSON, JSON lines or CSV.

Source of the shape: Helicone's export tool (github.com/Helicone/helicone, ``examples/export/typescript``) and the
type `HeliconeRequest` of its API (docs.helicone.ai, "Get Requests", read 2026-11): ``request_body`` and
``response_body`` as they went over the wire, ``request_user_id``, ``request_properties``, ``feedback_rating``.
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
    as_object,
    check_exchange,
    counted,
    moment,
    text_or_none,
)
from freehold.types.config import DataConfig


def claims(record: dict[str, Any]) -> bool:
    has_body = "request_body" in record or "response_body" in record
    return has_body and bool(record.keys() & {"request_id", "response_id", "request_created_at"})


def _convert(line: int, record: dict[str, Any], data: DataConfig) -> Imported:
    status = first(record, "response_status", "status")
    if status is not None and not str(status).startswith("2"):
        raise NotWanted(f"the call failed with status {status}")
    asked, said = as_object(record.get("request_body")), as_object(record.get("response_body"))
    embedded = asked.get("input") if not asked.keys() & {"messages", "prompt"} else None
    if isinstance(embedded, list) and all(isinstance(one, str) for one in embedded):
        raise NotWanted("a call of an embedding model")
    if not asked or not said:
        raise BadRecord("no bodies: export with --include-body, as JSON lines")
    found = exchange(asked, said, model=first(record, "response_model", "request_model", "model"))
    answer = None if found.response is None else found.response["choices"][0]["message"]
    if answer is None:
        raise BadRecord("response_body holds no answer")
    messages = check_exchange(found.request["messages"], answer)
    properties = as_object(first(record, "request_properties", "properties"))
    session = next((v for k, v in properties.items() if k.lower() == "helicone-session-id"), None)
    rating = record.get("feedback_rating")
    return Imported(
        line=line,
        id=text_or_none(first(record, "request_id", "response_id")),
        request={**found.request, "messages": messages},
        response=found.response,
        usage=found.usage or counted(record),
        at=moment(first(record, "request_created_at", "response_created_at")) or answered_at(said),
        conversation_id=text_or_none(session),
        user=text_or_none(first(record, "request_user_id", "helicone_user")),
        total_ms=float(record["delay_ms"]) if isinstance(record.get("delay_ms"), int | float) else None,
        metadata={k: v for k, v in properties.items() if k.lower() != "helicone-session-id"},
        desirable=rating if isinstance(rating, bool) else None,
    )


IMPORTER = Importer(
    "helicone",
    "Helicone export",
    claims,
    each(
        _convert,
        {
            "asked": "request_body",
            "answer": "response_body",
            "when": "request_created_at",
            "conversation": "request_properties.Helicone-Session-Id",
            "user": "request_user_id",
            "liked": "feedback_rating",
            "slices": "request_properties",
        },
    ),
)
