"""A trace as an OpenTelemetry span with the attributes of the GenAI semantic conventions (1.37 and later).

A span per request, as OTLP's JSON encoding spells it. Content (messages, tools) is an opt-in of the conventions, and
here too. Attributes that the conventions lack begin with ``freehold.``.

Source: opentelemetry.io, "Semantic conventions for generative client AI spans"; OTLP 1.x, JSON encoding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from freehold.types.trace import Trace

_OPERATIONS = {"chat": "chat", "completions": "text_completion", "embeddings": "embeddings"}
_CLIENT, _ERROR = 3, 2
_REQUEST = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
}


def spans_document(traces: Sequence[Trace], *, version: str, content: bool) -> dict[str, Any]:
    """One OTLP ``TracesData`` document."""
    resource = {"attributes": _attributes({"service.name": "freehold", "service.version": version})}
    scope = {"name": "freehold.gateway", "version": version}
    spans = [span(trace, content=content) for trace in traces]
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}


def span(trace: Trace, *, content: bool) -> dict[str, Any]:
    """One span. A mirrored request is a child of the request it mirrors."""
    operation = _OPERATIONS[trace.kind]
    whole = _id(trace.id)
    root = _id(trace.parent_id) if trace.parent_id else whole
    end = trace.at + timedelta(milliseconds=trace.total_ms or 0.0)
    found: dict[str, Any] = {
        "traceId": root,
        "spanId": whole[16:],
        "name": f"{operation} {trace.model}",
        "kind": _CLIENT,
        "startTimeUnixNano": _nanoseconds(trace.at),
        "endTimeUnixNano": _nanoseconds(end),
        "attributes": _attributes(_values(trace, operation, content=content)),
    }
    if trace.parent_id:
        found["parentSpanId"] = root[16:]
    if (trouble := _trouble(trace)) is not None:
        found["status"] = {"code": _ERROR, "message": trouble}
    return found


def _values(trace: Trace, operation: str, *, content: bool) -> dict[str, Any]:
    request, response = trace.request, trace.response or {}
    usage = trace.usage
    choices = [choice for choice in response.get("choices") or () if isinstance(choice, dict)]
    reasons = [str(choice["finish_reason"]) for choice in choices if choice.get("finish_reason")]
    form = request.get("response_format")
    kind = form.get("type") if isinstance(form, dict) else None
    stop = request.get("stop")
    values: dict[str, Any] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": maker_of(trace.model),
        "gen_ai.request.model": trace.model,
        "gen_ai.response.model": response.get("model"),
        "gen_ai.response.id": response.get("id"),
        "gen_ai.response.finish_reasons": reasons or None,
        "gen_ai.usage.input_tokens": usage.prompt_tokens if usage else None,
        "gen_ai.usage.output_tokens": usage.completion_tokens if usage else None,
        "gen_ai.usage.cache_read.input_tokens": usage.cached_prompt_tokens if usage else None,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens if usage else None,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens if usage else None,
        "gen_ai.conversation.id": trace.conversation_id,
        "gen_ai.request.choice.count": request.get("n") if request.get("n") not in (None, 1) else None,
        "gen_ai.request.stop_sequences": [stop] if isinstance(stop, str) else stop,
        "gen_ai.output.type": {"json_object": "json", "json_schema": "json", "text": "text"}.get(str(kind)),
        "http.response.status_code": trace.status,
        "error.type": _trouble(trace),
        "freehold.trace.id": trace.id,
        "freehold.route": trace.route,
        "freehold.endpoint": trace.endpoint,
        "freehold.arm": trace.arm,
        "freehold.share": trace.share,
        "freehold.completeness": trace.completeness,
        "freehold.fallback": trace.fallback,
        "freehold.mirrored": True if trace.parent_id else None,
        "freehold.ttft_ms": trace.ttft_ms,
    }
    for key, name in _REQUEST.items():
        value = request.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            values[name] = value
    feedback = trace.metadata.get("feedback")
    if isinstance(feedback, dict):
        values["freehold.feedback.thumb"] = feedback.get("thumb")
    if content:
        values |= _content(trace, choices)
    return values


def _content(trace: Trace, choices: list[dict[str, Any]]) -> dict[str, Any]:
    messages = [one for one in trace.request.get("messages") or () if isinstance(one, dict)]
    asked = [one for one in messages if one.get("role") not in ("system", "developer")]
    system = [part for one in messages if one.get("role") in ("system", "developer") for part in _parts(one)]
    said = [
        {
            **_message(choice["message"]),
            "finish_reason": choice.get("finish_reason") or "unknown",
        }
        for choice in choices
        if isinstance(choice.get("message"), dict)
    ]
    tools = trace.request.get("tools")
    return {
        "gen_ai.input.messages": _json([_message(one) for one in asked]) if asked else None,
        "gen_ai.system_instructions": _json(system) if system else None,
        "gen_ai.output.messages": _json(said) if said else None,
        "gen_ai.tool.definitions": _json(tools) if tools else None,
        "freehold.gold": trace.gold,
    }


def _message(message: dict[str, Any]) -> dict[str, Any]:
    return {"role": str(message.get("role")), "parts": list(_parts(message))}


def _parts(message: dict[str, Any]) -> Iterable[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        yield {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return
    if isinstance(content, str):
        yield {"type": "text", "content": content}
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and part.get("type") == "text":
                yield {"type": "text", "content": part.get("text")}
            elif isinstance(part, dict):
                yield part
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {} if isinstance(call, dict) else {}
        yield {
            "type": "tool_call",
            "id": call.get("id") if isinstance(call, dict) else None,
            "name": function.get("name"),
            "arguments": function.get("arguments"),
        }


def _trouble(trace: Trace) -> str | None:
    if trace.status >= 400:
        return str(trace.status)
    return None if trace.completeness == "complete" else trace.completeness


def maker_of(model: str) -> str:
    """The conventions' name of who makes a model, as far as the model's name tells; else ``freehold``."""
    name = model.lower().removeprefix("ft:")
    for prefix, maker in (
        ("gpt-", "openai"),
        ("o1", "openai"),
        ("o3", "openai"),
        ("o4", "openai"),
        ("text-embedding", "openai"),
        ("claude", "anthropic"),
        ("gemini", "gcp.gemini"),
    ):
        if name.startswith(prefix):
            return maker
    return "freehold"


def _attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any(value)} for key, value in values.items() if value is not None]


def _any(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}  # OTLP's JSON has 64-bit integers as text
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any(one) for one in value]}}
    return {"stringValue": str(value)}


def _id(text: str | None) -> str:
    """32 hex digits for a trace's id; ids that are none (imported ones) are hashed."""
    plain = (text or "").replace("-", "").lower()
    if len(plain) == 32 and all(digit in "0123456789abcdef" for digit in plain):
        return plain
    import hashlib

    return hashlib.blake2b(plain.encode(), digest_size=16).hexdigest()


def _nanoseconds(at: datetime) -> str:
    return str(round(at.timestamp() * 1e6) * 1000)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
