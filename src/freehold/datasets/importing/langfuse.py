"""Langfuse: observations and traces, from the interface, from blob storage or from its API; JSON, JSON lines, CSV.

Source of the shape: Langfuse's pages "Blob storage export field reference", "Export from UI" and "How do I export a
single trace or session" (langfuse.com/docs, read 2026-11) and the types `Observation` and `ObservationV2` of its
JavaScript reference. The API says ``traceId`` where blob storage says ``trace_id``; ``input`` and ``output`` are
objects, or the JSON text of them. A trace whose generations are listed in it gives those, else its own input and
output; so does each trace of a session.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from freehold.datasets.importing.chats import exchange
from freehold.datasets.importing.files.reading import SourceRow
from freehold.datasets.importing.importer import Importer, Mapping, first, outcome_of
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    NotWanted,
    RecordOutcome,
    as_json,
    as_object,
    check_exchange,
    counted,
    moment,
    text_or_none,
)
from freehold.types.config import DataConfig

_KINDS = frozenset({"GENERATION", "SPAN", "EVENT", "AGENT", "TOOL", "CHAIN", "RETRIEVER", "EVALUATOR", "EMBEDDING",
                    "GUARDRAIL"})  # fmt: skip
_MAPPING: Mapping = {
    "asked": "input (of generations)",
    "answer": "output",
    "tools": "input.tools or modelParameters.tools",
    "when": "startTime",
    "conversation": "sessionId, else traceId",
    "user": "userId",
    "slices": "metadata",
}


def claims(record: dict[str, Any]) -> bool:
    if isinstance(record.get("trace"), dict) and isinstance(record.get("observations"), list):
        return True
    if isinstance(record.get("traces"), list) and record.keys() & {"projectId", "project_id", "createdAt"}:
        return True
    ids = record.keys() & {"traceId", "trace_id", "sessionId", "session_id", "projectId", "project_id"}
    if "run_type" in record or "dotted_order" in record or "call_type" in record:
        return False
    if str(record.get("type")) in _KINDS and ids:
        return True
    is_trace = bool(record.keys() & {"observations", "release", "bookmarked", "environment"})
    return is_trace and bool(ids) and bool(record.keys() & {"input", "output", "observations"})


class _Converter:
    mapping = _MAPPING

    def feed(self, row: SourceRow) -> Iterator[RecordOutcome]:
        value = row.value
        traces = value.get("traces") if value is not None else None
        if value is not None and isinstance(
            traces, list
        ):  # a session: its traces are turns of one conversation
            shared = {"sessionId": value.get("id")}
            for trace in traces:
                inner = {**shared, **trace} if isinstance(trace, dict) else None
                size = row.size // len(traces)
                yield from self.feed(row._replace(value=inner, size=size, problem="a trace is not an object"))
            return
        if value is not None:
            inner = value.get("trace")
            trace = inner if isinstance(inner, dict) else value
            listed = as_json(value.get("observations") or trace.get("observations"))
            generations = [
                one
                for one in (listed if isinstance(listed, list) else ())
                if isinstance(one, dict) and one.get("type") == "GENERATION"
            ]
            if generations:
                for one in generations:
                    size = row.size // len(generations)
                    yield outcome_of(
                        row._replace(value=one, size=size), lambda one: _convert(row.line, one, trace)
                    )
                return
        yield outcome_of(row, lambda value: _convert(row.line, value, value))

    def finish(self) -> tuple[RecordOutcome, ...]:
        return ()


def _convert(line: int, record: dict[str, Any], trace: dict[str, Any]) -> Imported:
    kind = str(record.get("type") or "")
    if kind and kind != "GENERATION":
        raise NotWanted(f"an observation of type {kind}, no call of a model")
    if str(record.get("level")) == "ERROR":
        raise NotWanted("the call failed")
    parameters = as_object(first(record, "modelParameters", "model_parameters"))
    asked, said = as_json(record.get("input")), as_json(record.get("output"))
    if asked is None:
        raise BadRecord("input is missing")
    if said is None:
        raise BadRecord("output is missing")
    model = first(record, "model", "providedModelName", "provided_model_name")
    if isinstance(asked, list):
        asked = {"messages": asked}
    if isinstance(asked, dict):
        asked = {**parameters, **asked}
    found = exchange(asked, said, model=text_or_none(model))
    if found.response is None:
        raise BadRecord("output is empty")
    messages = check_exchange(found.request["messages"], found.response["choices"][0]["message"])
    conversation = first(record, "sessionId", "session_id") or first(trace, "sessionId", "session_id")
    user = first(record, "userId", "user_id") or first(trace, "userId", "user_id")
    return Imported(
        line=line,
        id=text_or_none(record.get("id")),
        request={**found.request, "messages": messages},
        response=found.response,
        usage=found.usage or counted(first(record, "usageDetails", "usage_details", "usage")),
        at=moment(first(record, "startTime", "start_time", "timestamp")),
        conversation_id=text_or_none(conversation or first(record, "traceId", "trace_id")),
        user=text_or_none(user),
        metadata=_flat(as_object(record.get("metadata"))) | _named(record, trace),
    )


def _named(record: dict[str, Any], trace: dict[str, Any]) -> dict[str, Any]:
    name = first(record, "traceName", "trace_name") or (trace.get("name") if trace is not record else None)
    prompt = first(record, "promptName", "prompt_name")
    named = {"trace_name": name, "observation": record.get("name"), "prompt": prompt}
    return {key: value for key, value in named.items() if value is not None}


def _flat(metadata: dict[str, Any]) -> dict[str, Any]:
    """What people put there; the SDK's own attributes and resource are left out."""
    return {
        key: value
        for key, value in metadata.items()
        if key not in ("attributes", "resourceAttributes", "scope") and not key.startswith("resource")
    }


IMPORTER = Importer("langfuse", "Langfuse export", claims, lambda data, columns: _start(data))


def _start(data: DataConfig) -> _Converter:
    return _Converter()
