"""Spans of OpenTelemetry and OpenInference."""

import json

import pytest
from tests.datasets.importing.exports import ASKED, CALL, TOOL, answer, attribute, read, spans

from freehold.datasets.importing import PassedOver, RejectedRecord

PARTS = [
    {"role": "user", "parts": [{"type": "text", "content": "lamp?"}]},
    {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": "c1", "name": "find", "arguments": {"q": "lamp"}}],
    },
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": {"found": "yes"}}]},
]


BASE = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 9}


@pytest.mark.parametrize("encode", [json.dumps, lambda value: value])
def test_opentelemetry_message_attributes(tmp_path, encode):
    chat = {
        **BASE,
        "gen_ai.input.messages": encode(PARTS),
        "gen_ai.output.messages": encode(
            [{"role": "assistant", "parts": [{"type": "text", "content": "yes"}]}]
        ),
        "gen_ai.system_instructions": encode([{"type": "text", "content": "Be kind."}]),
        "gen_ai.tool.definitions": encode(
            [{"type": "function", "name": "find", "parameters": {"type": "object"}}]
        ),
        "gen_ai.conversation.id": "k",
    }
    format, rows = read(tmp_path, spans(chat, {"http.method": "GET"}))
    found, passed = rows
    assert (format, found.conversation_id, found.total_ms) == ("opentelemetry", "k", 500)
    assert [m["role"] for m in found.request["messages"]] == ["system", "user", "assistant", "tool"]
    assert found.request["messages"][3] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": '{"found":"yes"}',
    }
    assert found.request["tools"][0]["function"]["name"] == "find"
    assert answer(found)["content"] == "yes"
    assert isinstance(passed, PassedOver)


def test_opentelemetry_span_events_and_numbered_attributes(tmp_path):
    events = [
        {"name": "gen_ai.system.message", "attributes": [attribute("content", "Be kind.")]},
        {"name": "gen_ai.user.message", "attributes": [attribute("content", "lamp?")]},
        {
            "name": "gen_ai.choice",
            "attributes": [attribute("message", '{"content":"yes","role":"assistant"}')],
        },
    ]
    _, (found,) = read(tmp_path, spans(BASE, events=events))
    assert [m["content"] for m in found.request["messages"]] == ["Be kind.", "lamp?"]
    assert answer(found)["content"] == "yes"
    numbered = {
        **BASE,
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "lamp?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.tool_calls.0.name": "find",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"q":1}',
        "llm.request.functions.0.name": "find",
    }
    _, (found,) = read(tmp_path, spans(numbered))
    assert answer(found)["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"q":1}'}
    assert found.request["tools"][0]["function"] == {"name": "find"}


def test_opentelemetry_log_records_are_joined_by_span(tmp_path):
    def record(name, body, span="s1"):
        return {"traceId": "t1", "spanId": span, "eventName": name, "body": attribute("", body)["value"]}

    logged = [
        record("gen_ai.user.message", {"content": "lamp?"}),
        record("gen_ai.user.message", {"content": "unanswered"}, "s2"),
        record("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"content": "yes"}}),
    ]
    _, rows = read(tmp_path, {"resourceLogs": [{"scopeLogs": [{"logRecords": logged}]}]})
    found, left = rows
    assert (found.conversation_id, answer(found)["content"]) == ("t1", "yes")
    assert isinstance(left, RejectedRecord) and "no gen_ai.choice" in left.reason


def test_openinference_spans(tmp_path):
    asked, said = "llm.input_messages", "llm.output_messages.0.message"
    call = f"{said}.tool_calls.0.tool_call"
    llm = {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "session.id": "s1", "llm.token_count.prompt": 7,
        f"{asked}.0.message.role": "system", f"{asked}.0.message.content": "Be kind.",
        f"{asked}.1.message.role": "user",
        f"{asked}.1.message.contents.0.message_content.type": "text",
        f"{asked}.1.message.contents.0.message_content.text": "where is my lamp",
        f"{said}.role": "assistant", f"{call}.id": "c1", f"{call}.function.name": "find",
        f"{call}.function.arguments": '{"q": "lamp"}',
        "llm.tools.0.tool.json_schema": json.dumps(TOOL),
    }  # fmt: skip
    format, (found, chain) = read(tmp_path, spans(llm, {**llm, "openinference.span.kind": "CHAIN"}))
    assert format == "opentelemetry" and isinstance(chain, PassedOver)
    assert found.request == {"model": "gpt-4o", "messages": ASKED, "tools": [TOOL]}
    assert answer(found)["tool_calls"] == [CALL]
    assert (found.conversation_id, found.usage.prompt_tokens) == ("s1", 7)
