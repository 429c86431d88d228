"""Spans of traces, by the conventions and by their official reader."""

import json

import pytest
from tests.workflows.shift.shifting import mirrored, trace

from freehold.types.trace import Usage
from freehold.wire.otlp import span, spans_document

TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"order":1}'}}


def rich():
    return trace(
        1,
        request={
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Where is it?"}]},
                {"role": "assistant", "content": None, "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": "on its way"},
            ],
            "tools": [TOOL],
            "max_tokens": 50,
            "temperature": 0,
            "stop": "\n",
            "response_format": {"type": "json_object"},
        },
        response={
            "id": "r1",
            "model": "gpt-4o-2024-08-06",
            "choices": [
                {"message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}
            ],
        },
        usage=Usage(prompt_tokens=9, completion_tokens=3, cached_prompt_tokens=4),
        conversation_id="s1",
    )


def values(found):
    return {one["key"]: next(iter(one["value"].values())) for one in found["attributes"]}


def test_a_span_has_the_attributes_of_the_conventions():
    found = span(rich(), content=False)
    assert (found["name"], found["kind"]) == ("chat gpt-4o", 3)
    assert len(found["traceId"]) == 32 and found["spanId"] == found["traceId"][16:]
    assert int(found["endTimeUnixNano"]) - int(found["startTimeUnixNano"]) == 100_000_000
    said = values(found)
    assert said["gen_ai.operation.name"] == "chat" and said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.response.model"] == "gpt-4o-2024-08-06" and said["gen_ai.usage.input_tokens"] == "9"
    assert said["gen_ai.usage.cache_read.input_tokens"] == "4" and said["gen_ai.conversation.id"] == "s1"
    assert said["gen_ai.response.finish_reasons"] == {"values": [{"stringValue": "stop"}]}
    assert said["gen_ai.request.max_tokens"] == "50" and said["gen_ai.output.type"] == "json"
    assert "brief" not in json.dumps(found) and "way" not in json.dumps(found), "content is an opt-in"


def test_content_is_there_when_asked_for():
    said = values(span(rich(), content=True))
    asked = json.loads(said["gen_ai.input.messages"])
    assert asked[0] == {"role": "user", "parts": [{"type": "text", "content": "Where is it?"}]}
    assert asked[1]["parts"] == [
        {"type": "tool_call", "id": "c1", "name": "find", "arguments": '{"order":1}'}
    ]
    assert asked[2]["parts"][0]["type"] == "tool_call_response"
    assert json.loads(said["gen_ai.system_instructions"]) == [{"type": "text", "content": "Be brief."}]
    assert json.loads(said["gen_ai.tool.definitions"]) == [TOOL]
    assert json.loads(said["gen_ai.output.messages"])[0]["finish_reason"] == "stop"


def test_mirrored_and_failed_requests():
    own, mirror = mirrored(1)
    child = span(mirror, content=False)
    assert child["traceId"] == span(own, content=False)["traceId"]
    assert child["parentSpanId"] == span(own, content=False)["spanId"] != child["spanId"]
    failed = span(trace(2, status=503, response=None), content=True)
    assert failed["status"] == {"code": 2, "message": "503"} and values(failed)["error.type"] == "503"
    assert values(span(trace(3, completeness="upstream_cut"), content=False))["error.type"] == "upstream_cut"


def test_the_official_reader_takes_the_document():
    reader = pytest.importorskip("google.protobuf.json_format")
    messages = pytest.importorskip("opentelemetry.proto.trace.v1.trace_pb2")
    document = spans_document([rich(), *mirrored(5)], version="1", content=True)
    found = reader.Parse(json.dumps(_base64_ids(document)), messages.TracesData())
    assert len(found.resource_spans[0].scope_spans[0].spans) == 3


def _base64_ids(document):
    """OTLP's JSON has ids in hexadecimal, protobuf's own JSON in base64."""
    import base64

    for one in document["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for key in ("traceId", "spanId", "parentSpanId"):
            if key in one:
                one[key] = base64.b64encode(bytes.fromhex(one[key])).decode()
    return document
