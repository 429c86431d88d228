"""OpenTelemetry spans and log records of calls to models, as OTLP JSON (the collector's file exporter, SDK exporters).

Sources of the shapes: the GenAI semantic conventions (github.com/open-telemetry/semantic-conventions,
``docs/gen-ai``): now ``gen_ai.input.messages``, ``gen_ai.output.messages``, ``gen_ai.system_instructions`` and
``gen_ai.tool.definitions`` on spans or on the event ``gen_ai.client.inference.operation.details``; up to v1.36 one
event a message (``gen_ai.user.message`` … ``gen_ai.choice``), as span events or log records; before that
``gen_ai.content.prompt`` and ``gen_ai.content.completion``. OpenLLMetry's numbered attributes
(``gen_ai.prompt.0.role``) and OpenInference's are read too. Log records are joined by span.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from freehold.datasets.importing import openinference
from freehold.datasets.importing.chats import answer_of, messages_of
from freehold.datasets.importing.files.reading import SourceRow
from freehold.datasets.importing.importer import Importer, Mapping, first, outcome_of
from freehold.datasets.importing.records import (
    BadRecord,
    Imported,
    NotWanted,
    RecordOutcome,
    as_json,
    check_exchange,
    counted,
    moment,
    text_or_none,
)

_MAPPING: Mapping = {
    "asked": "gen_ai.input.messages, gen_ai.system_instructions, or gen_ai.*.message events",
    "answer": "gen_ai.output.messages, or the gen_ai.choice event",
    "tools": "gen_ai.tool.definitions",
    "model": "gen_ai.response.model or gen_ai.request.model",
    "when": "startTimeUnixNano",
    "conversation": "gen_ai.conversation.id or session.id, else traceId",
    "user": "user.id or enduser.id",
}
_DETAILS = "gen_ai.client.inference.operation.details"
_CHATS = frozenset({"chat", "text_completion", "generate_content", "completion", "message", "None", ""})


def claims(record: dict[str, Any]) -> bool:
    return isinstance(record.get("resourceSpans"), list) or isinstance(record.get("resourceLogs"), list)


class _Converter:
    mapping = _MAPPING

    def __init__(self) -> None:
        self._logged: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def feed(self, row: SourceRow) -> Iterator[RecordOutcome]:
        if row.value is None:
            yield outcome_of(row, lambda _: _never())
            return
        for span in _inner(row.value.get("resourceSpans"), "scopeSpans", "spans"):
            yield outcome_of(row._replace(value=span, size=0), lambda span: _span(row.line, span))
        for record in _inner(row.value.get("resourceLogs"), "scopeLogs", "logRecords"):
            yield from self._log(row, record)

    def finish(self) -> Iterator[RecordOutcome]:
        for records in self._logged.values():
            row = SourceRow(records[0]["row"].line, {}, 0)
            yield outcome_of(row, lambda _: _no_choice())
        self._logged.clear()

    def _log(self, row: SourceRow, record: dict[str, Any]) -> Iterator[RecordOutcome]:
        attributes = _attributes(record.get("attributes"))
        name = str(record.get("eventName") or attributes.get("event.name") or attributes.get("name") or "")
        body = _value(record.get("body") or {})
        event = {"name": name, **attributes, **(body if isinstance(body, dict) else {}), "row": row}
        if name == _DETAILS:
            yield outcome_of(row._replace(value=record, size=0), lambda _: _event(row.line, record, event))
            return
        if not name.startswith("gen_ai."):
            return
        key = (str(record.get("traceId")), str(record.get("spanId")))
        kept = self._logged.setdefault(key, [])
        kept.append(event)
        if name == "gen_ai.choice":
            del self._logged[key]
            yield outcome_of(
                row._replace(value=record, size=0),
                lambda _: _imported(
                    row.line, key[1], key[0], attributes, kept, record.get("timeUnixNano"), None
                ),
            )


def _never() -> Imported:
    raise BadRecord("cannot be read")


def _no_choice() -> Imported:
    raise BadRecord("messages of a call, but no gen_ai.choice event with its answer")


def _inner(groups: Any, middle: str, name: str) -> Iterable[dict[str, Any]]:
    for group in groups if isinstance(groups, list) else ():
        scopes = group.get(middle) if isinstance(group, dict) else None
        for scope in scopes if isinstance(scopes, list) else ():
            listed = scope.get(name) if isinstance(scope, dict) else None
            for one in listed if isinstance(listed, list) else ():
                if isinstance(one, dict):
                    yield one


def _attributes(listed: Any) -> dict[str, Any]:
    """OTLP's list of keys and typed values as a plain object."""
    return {
        str(one.get("key")): _value(one.get("value"))
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict)
    }


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "kvlistValue" in value:
        return _attributes((value["kvlistValue"] or {}).get("values"))
    if "arrayValue" in value:
        return [_value(one) for one in (value["arrayValue"] or {}).get("values") or ()]
    if "intValue" in value:
        return int(value["intValue"])
    return next((value[name] for name in ("stringValue", "boolValue", "doubleValue") if name in value), None)


def _span(line: int, span: dict[str, Any]) -> Imported:
    attributes = openinference.translated(_attributes(span.get("attributes")))
    events = [
        {"name": str(event.get("name")), **_attributes(event.get("attributes"))}
        for event in span.get("events") or ()
        if isinstance(event, dict)
    ]
    operation = str(attributes.get("gen_ai.operation.name", attributes.get("llm.request.type", "")))
    kind = attributes.get(openinference.KIND)  # agents and chains repeat what their calls say
    speaks = kind in (None, "LLM") and any(key.startswith(("gen_ai.", "llm.request")) for key in attributes)
    if not speaks or operation not in _CHATS:
        raise NotWanted("a span that is not a chat with a model")
    status = span.get("status")
    if isinstance(status, dict) and status.get("code") in (2, "STATUS_CODE_ERROR"):
        raise NotWanted("the call failed")
    begin, end = span.get("startTimeUnixNano"), span.get("endTimeUnixNano")
    total = (int(end) - int(begin)) / 1e6 if begin and end else None
    known = (text_or_none(span.get("spanId")), text_or_none(span.get("traceId")))
    return _imported(line, *known, attributes, events, begin, total)


def _event(line: int, record: dict[str, Any], event: dict[str, Any]) -> Imported:
    return _imported(
        line,
        text_or_none(record.get("spanId")),
        text_or_none(record.get("traceId")),
        event,
        [],
        record.get("timeUnixNano"),
        None,
    )


def _imported(
    line: int,
    span_id: str | None,
    trace_id: str | None,
    attributes: dict[str, Any],
    events: list[dict[str, Any]],
    begin: Any,
    total_ms: float | None,
) -> Imported:
    for event in events:
        if event["name"] == _DETAILS:
            attributes = {**attributes, **event}
    asked, answer = _content(attributes, events)
    if not asked:
        raise BadRecord(
            "the span says nothing of its messages: turn content capture on in the instrumentation"
        )
    if answer is None:
        raise BadRecord("no answer in gen_ai.output.messages or gen_ai.choice")
    model = first(attributes, "gen_ai.response.model", "gen_ai.request.model") or ""
    request: dict[str, Any] = {
        "model": str(model),
        "messages": check_exchange(asked, answer["choices"][0]["message"]),
    }
    tools = as_json(attributes.get("gen_ai.tool.definitions")) or _numbered_tools(attributes)
    if isinstance(tools, list) and tools:
        request["tools"] = [_tool(one) for one in tools if isinstance(one, dict)]
    return Imported(
        line=line,
        id=span_id,
        request=request,
        response=answer,
        usage=counted(_counts(attributes)),
        at=moment(int(begin)) if begin else None,
        total_ms=total_ms,
        conversation_id=text_or_none(first(attributes, "gen_ai.conversation.id", "session.id") or trace_id),
        user=text_or_none(first(attributes, "user.id", "enduser.id")),
    )


_PROMPT = {"cache_read": ("cache_read.input_tokens", "cache_read_input_tokens", "cached_tokens",
                          "details.cache_read_tokens", "input_cached_tokens"),
           "cache_creation": ("cache_creation.input_tokens", "cache_creation_input_tokens",
                              "details.cache_write_tokens"),
           "audio": ("details.input_audio_tokens", "input_audio_tokens")}  # fmt: skip
_COMPLETION = {"reasoning": ("reasoning.output_tokens", "reasoning_tokens", "details.reasoning_tokens"),
               "audio": ("details.output_audio_tokens", "output_audio_tokens")}  # fmt: skip


def _counts(attributes: dict[str, Any]) -> dict[str, Any]:
    """The span's token counts: by the conventions, what was cached and thought is a part of input and output."""

    def told(names: Iterable[str]) -> Any:
        return first(attributes, *(f"gen_ai.usage.{name}" for name in names))

    return {
        "input_tokens": told(("input_tokens", "prompt_tokens")),
        "output_tokens": told(("output_tokens", "completion_tokens")),
        "total_tokens": first(attributes, "gen_ai.usage.total_tokens", "llm.usage.total_tokens"),
        "input_tokens_details": {ours: told(names) for ours, names in _PROMPT.items()},
        "output_tokens_details": {ours: told(names) for ours, names in _COMPLETION.items()},
        "service_tier": first(
            attributes, "openai.response.service_tier", "gen_ai.openai.response.service_tier"
        ),
    }


def _content(
    attributes: dict[str, Any], events: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """What was asked and answered, from whichever generation of the conventions it is told in."""
    given = as_json(attributes.get("gen_ai.input.messages"))
    if given:
        turns = messages_of(given)
        system = as_json(attributes.get("gen_ai.system_instructions"))
        if system:
            parts = system if isinstance(system, list) else [{"type": "text", "content": str(system)}]
            turns = [*messages_of([{"role": "system", "parts": parts}]), *turns]
        said = as_json(attributes.get("gen_ai.output.messages"))
        return turns, answer_of(said)[0] if said else None
    turns, answer = [], None
    for event in events:
        name = event["name"]
        if name == "gen_ai.choice":
            message = as_json(event.get("message"))
            message = message if isinstance(message, dict) else {"content": message or event.get("content")}
            calls = as_json(message.get("tool_calls") or event.get("tool_calls"))
            if calls:
                message = {**message, "tool_calls": calls}
            answer = answer or answer_of({**message, "role": "assistant"})[0]
        elif name.startswith("gen_ai.") and name.endswith(".message"):
            turns.append(_turn(name.split(".")[1], event))
        elif name == "gen_ai.content.prompt":
            turns += messages_of(event.get("gen_ai.prompt"))
        elif name == "gen_ai.content.completion":
            answer = answer or answer_of(as_json(event.get("gen_ai.completion")))[0]
    if turns:
        return turns, answer
    turns = _numbered(attributes, "gen_ai.prompt.")
    said = _numbered(attributes, "gen_ai.completion.")
    return turns, answer_of({**said[0], "role": "assistant"})[0] if said else None


def _turn(role: str, event: dict[str, Any]) -> dict[str, Any]:
    content = event.get("content")
    turn: dict[str, Any] = {"role": str(event.get("role") or role), "content": content}
    calls = as_json(event.get("tool_calls"))
    if calls:
        turn["tool_calls"] = calls
    elif role != "tool" and content is None:
        raise BadRecord("an event without content: turn content capture on in the instrumentation")
    if role == "tool":
        turn["tool_call_id"] = event.get("id")
    return turn


def _numbered(attributes: dict[str, Any], prefix: str) -> list[dict[str, Any]]:
    """``gen_ai.prompt.0.role``, ``gen_ai.prompt.0.tool_calls.0.name`` and their like, as messages."""
    turns: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        number, _, field = key.removeprefix(prefix).partition(".")
        if not key.startswith(prefix) or not number.isdigit():
            continue
        turn = turns.setdefault(int(number), {"content": None})
        if field.startswith("tool_calls."):
            _, place, name = (*field.split(".", 2), "")[:3]
            calls = turn.setdefault("numbered", {})
            calls.setdefault(int(place) if place.isdigit() else 0, {})[name] = value
        elif field in ("role", "content", "tool_call_id"):
            turn[field] = as_json(value) if field == "content" else value
    for turn in turns.values():
        calls = turn.pop("numbered", None)
        if calls:
            turn["tool_calls"] = [
                {
                    "id": calls[at].get("id"),
                    "type": "function",
                    "function": {
                        "name": calls[at].get("name"),
                        "arguments": str(calls[at].get("arguments") or "{}"),
                    },
                }
                for at in sorted(calls)
            ]
    return [turns[at] for at in sorted(turns)]


def _numbered_tools(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    tools: dict[str, dict[str, Any]] = {}
    for key, value in attributes.items():
        if key.startswith("llm.request.functions."):
            number, _, field = key.removeprefix("llm.request.functions.").partition(".")
            tools.setdefault(number, {})[field] = as_json(value) if field == "parameters" else value
    return [tools[number] for number in sorted(tools)]


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if isinstance(tool.get("function"), dict):
        return tool
    kept = {name: tool[name] for name in ("name", "description", "parameters", "strict") if name in tool}
    return {"type": "function", "function": kept}


IMPORTER = Importer(
    "opentelemetry", "OpenTelemetry GenAI (OTLP JSON)", claims, lambda data, columns: _Converter()
)
