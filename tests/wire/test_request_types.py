"""What is wrong with a request, told in OpenAI's words or Anthropic's."""

import json

import pytest

from freehold.wire.errors import ApiError
from freehold.wire.request_types import check_types

TURNS = [{"role": "user", "content": "x"}]
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
GOOD = {
    "chat": {"messages": TURNS, "stop": "x", "tools": [TOOL], "tool_choice": "auto", "temperature": 0},
    "completions": {"prompt": "x", "max_tokens": 5},
    "embeddings": {"input": ["x"], "encoding_format": "base64"},
    "responses": {"input": "x", "text": {"format": {"type": "text"}}},
    "messages": {"messages": TURNS, "max_tokens": 5, "stop_sequences": ["x"]},
    "count_tokens": {"messages": TURNS},
}


def error_of(kind, **more):
    with pytest.raises(ApiError) as error:
        check_types(kind, json.dumps({**GOOD[kind], **more}).encode())
    return error.value


@pytest.mark.parametrize("kind", GOOD)
def test_what_its_api_says_passes(kind):
    check_types(kind, json.dumps(GOOD[kind] | {"unknown": {"field": 1}}).encode())


@pytest.mark.parametrize(
    ("kind", "more", "param", "code"),
    [
        ("chat", {"messages": []}, "messages", "empty_array"),
        ("chat", {"messages": "hello"}, "messages", "invalid_type"),
        ("chat", {"messages": ["x"]}, "messages[0]", "invalid_type"),
        ("chat", {"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ("chat", {"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ("chat", {"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        ("chat", {"stop": 5}, "stop", "invalid_type"),
        ("chat", {"stop": ["x", 5]}, "stop[1]", "invalid_type"),
        ("chat", {"tools": {}}, "tools", "invalid_type"),
        ("chat", {"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ("chat", {"tools": [{}]}, "tools[0].type", "missing_required_parameter"),
        ("chat", {"tool_choice": "any"}, "tool_choice", "invalid_value"),
        ("chat", {"tools": None, "tool_choice": "required"}, "tool_choice", None),
        ("chat", {"response_format": "json"}, "response_format", "invalid_type"),
        ("chat", {"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            "chat",
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        (
            "chat",
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        ("chat", {"temperature": "0.5"}, "temperature", "invalid_type"),
        ("completions", {"prompt": 5}, "prompt", "invalid_type"),
        ("completions", {"prompt": []}, "prompt", "empty_array"),
        ("embeddings", {"input": ""}, "input", "empty_array"),
        ("embeddings", {"encoding_format": "hex"}, "encoding_format", "invalid_value"),
        ("responses", {"input": []}, "input", "empty_array"),
        ("responses", {"tools": [{"type": "function"}]}, "tools[0].name", "missing_required_parameter"),
        (
            "responses",
            {"text": {"format": {"type": "json_schema", "name": "x"}}},
            "text.format.schema",
            "missing_required_parameter",
        ),
    ],
)
def test_what_is_wrong_is_named_by_its_path(kind, more, param, code):
    error = error_of(kind, **more)
    assert (error.status, error.param, error.code) == (400, param, code)
    assert param.split(".")[-1].partition("[")[0] in error.message


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"max_tokens": None}, "max_tokens: expected `int`"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"stop_sequences": "x"}, "stop_sequences: expected `array"),
        ({"tools": [{"name": "x"}]}, "tools.0.input_schema: Field required"),
    ],
)
def test_clients_of_anthropics_api_read_its_spelling(more, words):
    assert error_of("messages", **more).message.startswith(words)


def test_anthropics_length_is_required_and_a_count_needs_none():
    with pytest.raises(ApiError, match="max_tokens: Field required"):
        check_types("messages", json.dumps({"messages": TURNS}).encode())
    check_types("count_tokens", json.dumps({"messages": TURNS}).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b'{"messages": [' * 5, b"\xff"])
def test_what_is_no_object_is_said_to_be_none(body):
    with pytest.raises(ApiError) as error:
        check_types("chat", body)
    assert error.value.status == 400
