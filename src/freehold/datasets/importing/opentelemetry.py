"""OpenTelemetry spans and log records of calls to models, as OTLP JSON (the collector's file exporter, SDK exporters).

Sources of the shapes: the GenAI semantic conventions (github.com/open-telemetry/semantic-conventions,
``docs/gen-ai``): now ``gen_ai.input.messages``, ``gen_ai.output.messages``, ``gen_ai.system_instructions`` and
``gen_ai.tool.definitions`` on spans or on the event ``gen_ai.client.inference.operation.details``; up to v1.36 one
event a message (``gen_ai.user.message`` … ``gen_ai.choice``), as span events or log records; before that
``gen_ai.content.prompt`` and ``gen_ai.content.completion``; OpenLLMetry's numbered attributes
(``gen_ai.prompt.0.role``). Log records are joined by span. OpenInference's attributes (Arize Phoenix and others; its
pages "Semantic Conventions", "Messages" and "Tool and Function Calling", arize-ai.github.io/openinference, read
2026-11) are read as OpenLLMetry's. Not covered: images, which are named by their type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from freehold.datasets.importing.chats import answer_of, messages_of
from freehold.datasets.importing.importer import Bodies, Paths, pick, tool
from freehold.datasets.importing.records import BadRecord, NotWanted, as_json, as_object
from freehold.rows.reading import Row
from freehold.wire.openai import function_call

_DETAILS = "gen_ai.client.inference.operation.details"
_CHATS = frozenset({"chat", "text_completion", "generate_content", "completion", "message", "None", ""})


def _claims(record: dict[str, Any]) -> bool:
    return isinstance(record.get("resourceSpans"), list) or isinstance(record.get("resourceLogs"), list)


def _spans(rows: Iterable[Row]) -> Iterator[Row]:
    """Spans, and log records joined by span, each as one row."""
    logged: dict[tuple[str, str], tuple[Row, list[dict[str, Any]]]] = {}
    for row in rows:
        if row.value is None:
            yield row
            continue
        for span in _inner(row.value.get("resourceSpans"), "scopeSpans", "spans"):
            yield row._replace(value={"span": span}, size=0)
        for record in _inner(row.value.get("resourceLogs"), "scopeLogs", "logRecords"):
            try:
                attributes, body = _attributes(record.get("attributes")), _value(record.get("body"))
            except (AttributeError, TypeError, ValueError, RecursionError):
                yield row._replace(value=None, problem="attributes are not as OTLP spells them")
                continue
            named = str(
                record.get("eventName") or attributes.get("event.name") or attributes.get("name") or ""
            )
            event = {"name": named, **attributes, **(body if isinstance(body, dict) else {})}
            key = (str(record.get("traceId")), str(record.get("spanId")))
            if named == _DETAILS:
                yield row._replace(value={"log": record, "attributes": event, "events": []}, size=0)
            elif named.startswith("gen_ai."):
                events = logged.setdefault(key, (row, []))[1]
                events.append(event)
                if named == "gen_ai.choice":
                    del logged[key]
                    value = {"log": record, "attributes": attributes, "events": events}
                    yield row._replace(value=value, size=0)
    for row, _ in logged.values():
        yield row._replace(value={}, size=0)


def _bodies(found: dict[str, Any]) -> Bodies:
    """What a span or log record says; its attributes are put where the paths below lead."""
    if not found:
        raise BadRecord("messages of a call, but no gen_ai.choice event with its answer")
    record = found.get("log") or found["span"]
    if "span" in found:
        listed = [event for event in record.get("events") or () if isinstance(event, dict)]
        events = [{"name": str(one.get("name")), **_attributes(one.get("attributes"))} for one in listed]
        attributes = _of_openinference(_attributes(record.get("attributes")))
        operation = str(attributes.get("gen_ai.operation.name", attributes.get("llm.request.type", "")))
        kind = attributes.get(_KIND)  # agents and chains repeat what their calls say
        speaks = any(key.startswith(("gen_ai.", "llm.request")) for key in attributes)
        if not speaks or kind not in (None, "LLM") or operation not in _CHATS:
            raise NotWanted("a span that is not a chat with a model")
        if pick(record, "status.code") in (2, "STATUS_CODE_ERROR"):
            raise NotWanted("the call failed")
    else:
        attributes, events = found["attributes"], found["events"]
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
    tools = as_json(attributes.get("gen_ai.tool.definitions")) or _numbered_tools(attributes)
    tools = [_tool(one) for one in tools if isinstance(one, dict)] if isinstance(tools, list) else []
    begin, end = (record.get(name) for name in ("startTimeUnixNano", "endTimeUnixNano"))
    begin = begin if "span" in found else record.get("timeUnixNano")
    found |= attributes | {"spanId": record.get("spanId"), "traceId": record.get("traceId")}
    found["startTimeUnixNano"] = int(begin) if begin else None
    found |= {"counts": _counts(attributes), "ms": (int(end) - int(begin)) / 1e6 if begin and end else None}
    return Bodies({"messages": asked, **({"tools": tools} if tools else {})}, answer)


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
        return pick(attributes, " | ".join(f"gen_ai.usage.{name}" for name in names))

    return {
        "input_tokens": told(("input_tokens", "prompt_tokens")),
        "output_tokens": told(("output_tokens", "completion_tokens")),
        "total_tokens": pick(attributes, "gen_ai.usage.total_tokens | llm.usage.total_tokens"),
        "input_tokens_details": {ours: told(names) for ours, names in _PROMPT.items()},
        "output_tokens_details": {ours: told(names) for ours, names in _COMPLETION.items()},
        "service_tier": pick(
            attributes, "openai.response.service_tier | gen_ai.openai.response.service_tier"
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
                function_call(one.get("id"), one.get("name"), str(one.get("arguments") or "{}"))
                for _, one in sorted(calls.items())
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


_KIND = "openinference.span.kind"
_MESSAGE = re.compile(r"llm\.(input|output)_messages\.(\d+)\.message\.(.+)")
_PART = re.compile(r"contents\.(\d+)\.message_content\.(type|text)")
_CALL = re.compile(r"tool_calls\.(\d+)\.tool_call\.(?:function\.)?(id|name|arguments)")
_TOOL = re.compile(r"llm\.tools\.(\d+)\.tool\.json_schema")
_SAME = {
    "llm.model_name": "gen_ai.request.model",
    "llm.token_count.prompt": "gen_ai.usage.prompt_tokens",
    "llm.token_count.completion": "gen_ai.usage.completion_tokens",
    "llm.token_count.total": "gen_ai.usage.total_tokens",
    "llm.token_count.prompt_details.cache_read": "gen_ai.usage.cache_read.input_tokens",
    "llm.token_count.prompt_details.cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.audio": "gen_ai.usage.input_audio_tokens",
    "llm.token_count.completion_details.reasoning": "gen_ai.usage.reasoning.output_tokens",
    "llm.token_count.completion_details.audio": "gen_ai.usage.output_audio_tokens",
}


def _of_openinference(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a span, with OpenInference's messages, tools and counts under the other names as well."""
    if _KIND not in attributes:
        return attributes
    found: dict[str, Any] = {}
    parts: dict[str, dict[int, dict[str, Any]]] = {}
    tools: dict[int, Any] = {}
    for key, value in attributes.items():
        if key in _SAME:
            found[_SAME[key]] = value
        elif tool := _TOOL.fullmatch(key):
            tools[int(tool[1])] = as_object(value)
        elif message := _MESSAGE.fullmatch(key):
            place = f"gen_ai.{'prompt' if message[1] == 'input' else 'completion'}.{message[2]}"
            field = message[3]
            if part := _PART.fullmatch(field):
                parts.setdefault(f"{place}.content", {}).setdefault(int(part[1]), {})[part[2]] = value
            elif call := _CALL.fullmatch(field):
                found[f"{place}.tool_calls.{call[1]}.{call[2]}"] = value
            elif field in ("role", "content", "tool_call_id"):
                found[f"{place}.{field}"] = value
    for key, listed in parts.items():
        found.setdefault(key, _parts_text([listed[at] for at in sorted(listed)]))
    if tools:
        found["gen_ai.tool.definitions"] = [tools[at] for at in sorted(tools)]
    return {**found, **attributes}


def _parts_text(parts: list[dict[str, Any]]) -> Any:
    """Text parts as one text; with others among them, a list in which these are named."""
    if all(part.get("type", "text") == "text" for part in parts):
        return "".join(str(part.get("text") or "") for part in parts)
    return [
        {"type": part.get("type", "text")} | ({"text": part["text"]} if "text" in part else {})
        for part in parts
    ]


OPENTELEMETRY = tool(
    "opentelemetry",
    "OpenTelemetry GenAI (OTLP JSON)",
    _claims,
    Paths(
        _bodies,
        asked="gen_ai.input.messages, gen_ai.system_instructions, or gen_ai.*.message events",
        answer="gen_ai.output.messages, or the gen_ai.choice event",
        tools="gen_ai.tool.definitions",
        at="startTimeUnixNano",
        conversation="gen_ai.conversation.id | session.id | traceId",
        user="user.id | enduser.id",
        id="spanId",
        model="gen_ai.response.model | gen_ai.request.model",
        usage="counts",
        ms="ms",
    ),
    calls=_spans,
)
