"""OpenAI's chat API: bodies that are read and changed, schemas, and errors in the words of each API."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.wire import openai
from freehold.wire.base_url import takes_completion_limit, with_completion_limit
from freehold.wire.errors import ApiError, RateState, anthropic_error, openai_error, told_error, unambiguous
from freehold.wire.output_schema import is_held, problem_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_splice_changes_only_what_it_is_told(body):
    spliced = json.loads(openai.splice(json.dumps(body).encode(), {"model": "new"}))
    assert spliced == {**body, "model": "new"}


def test_splice_keeps_the_bytes_of_other_values():
    body = b'{"n": 1.10, "big": 12345678901234567890123, "u": "\\u00e9", "model": "old"}'
    spliced = openai.splice(body, {"model": "new", "lora": msgspec.Raw(b"[ 1 ]")})
    assert spliced == b'{"n":1.10,"big":12345678901234567890123,"u":"\\u00e9","model":"new","lora":[ 1 ]}'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":[]}', b'{"a":1}x'])
def test_peek_refuses_what_is_no_request(body):
    with pytest.raises(ApiError) as error:
        openai.peek(body)
    assert error.value.status == 400


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": [1], "delta": {}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {}}]}}, {"message": {"tool_calls": 5}}]},
        {"choices": [{"logprobs": 5}, {"logprobs": {"content": []}}]},
    ],
)
def test_a_stream_of_another_shape_never_ended(chunk):
    data = json.dumps(chunk).encode()
    assert openai.read_stream(b"data: " + data + b"\n\ndata: [DONE]\n\n") == (None, None, None, False)


def test_what_a_streams_first_chunk_leaves_null_comes_with_a_later_one():
    sure = {"content": [{"token": "Hi", "logprob": -0.1}]}
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    chunks = [
        {"delta": {"role": "assistant", "tool_calls": [{"index": 0, "function": None}]}, "logprobs": None},
        {"delta": {"content": "Hi", "tool_calls": [call]}, "logprobs": sure, "finish_reason": "stop"},
    ]
    data = b"".join(b"data: " + json.dumps({"choices": [chunk]}).encode() + b"\n\n" for chunk in chunks)
    answer = openai.read_stream(data)
    assert answer.ended
    choice = answer.body["choices"][0]
    assert choice["logprobs"] == sure
    assert choice["message"]["tool_calls"][0]["function"] == call["function"]


def test_a_conversations_beginning_is_bounded_and_the_same_however_it_goes_on():
    first = {"role": "user", "content": "hi"}
    system = {"role": "system", "content": 'be, [brief} \\" \u00e4'}

    def start(*messages):
        return openai.conversation_start(json.dumps({"model": "m", "messages": messages}).encode())

    short = start(system, first)
    assert (
        short
        == start(system, first, {"role": "assistant", "content": "x" * 200_000})
        == start(system, first, *({"role": "assistant", "content": "y"} for _ in range(9_000)))
    )
    assert short == json.dumps(system).encode() + b"\n" + json.dumps(first).encode()
    for hostile in (b"1," * 4_000_000 + b"1", b'"' + b"x" * 4_000_000 + b'"', b"[" * 500 + b"]" * 500):
        body = b'{"messages":[' + hostile + b"]}"
        assert len(openai.conversation_start(body)) <= 70_000


OWN = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("base_url", "model", "newer"),
    [
        (OWN, "o3-mini", True),
        (OWN, "openai/gpt-5.1", True),
        (OWN, "gpt-4o", False),
        (OWN, "gpt-oss-120b", False),
        ("https://api.openai.com/v1", "gpt-4o", True),
        ("https://x.openai.azure.com/openai/deployments/mine?api-version=1", "mine", True),
        ("https://api.mistral.ai/v1", "mistral-large", False),
    ],
)
def test_who_is_told_the_newer_name(base_url, model, newer):
    assert takes_completion_limit(base_url, model) is newer


def test_the_limit_stands_under_the_newer_name():
    body = b'{"model":"o3","max_tokens":5,"x":1e3}'
    assert with_completion_limit(body) == b'{"model":"o3","max_completion_tokens":5,"x":1e3}'
    plain = json.dumps({"model": "o3"}).encode()
    assert with_completion_limit(plain) is plain


NESTED = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["red", "blue"]},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}, "minItems": 1, "maxItems": 3},
        "size": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
    },
    "required": ["colour"],
    "additionalProperties": False,
    "$defs": {"part": {"type": ["string", "null"], "maxLength": 5}},
}


@pytest.mark.parametrize(
    "schema", [NESTED, {}, True, {"type": "array", "items": [{}, {}]}, {"$ref": "#"}, {"prefixItems": [{}]}]
)
def test_what_is_a_schema(schema):
    assert problem_of(schema) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strin"}, "#: type 'strin' is not one of"),
        ({"properties": []}, "properties is not an object of schemas"),
        ({"required": "a"}, "required is not a list of names"),
        ({"items": "x"}, "#/items is a text"),
        ({"maxLength": "5"}, "maxLength is not a count"),
        ({"$ref": "#/$defs/missing"}, "does not lead into the schema"),
        ({"$ref": "https://example.com/schema"}, "does not lead into the schema"),
    ],
)
def test_what_is_none(schema, words):
    assert words in problem_of(schema)


@pytest.mark.parametrize(
    ("schema", "held"),
    [
        (NESTED, True),
        ({"type": "integer", "minimum": 5}, True),
        ({"type": "number", "minimum": 5}, False),
        ({"properties": {"a": {"type": "string", "pattern": "^a+$"}}}, False),
        ({"items": {"uniqueItems": True}}, False),
        ({"not": {}}, False),
        ({"$defs": {"a": {"multipleOf": 2}}}, False),
        ({"properties": {"not": {"type": "string"}}}, True),
    ],
)
def test_what_a_grammar_holds(schema, held):
    assert is_held(schema) is held


def test_errors_in_each_shape():
    error = ApiError(429, "slow down", code="rate_limit_exceeded", retry_after_s=2.4)
    assert json.loads(openai_error(error, "r1").body)["error"] == {
        "message": "slow down",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert json.loads(anthropic_error(error, "r1").body) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "slow down"},
        "request_id": "r1",
    }
    assert dict(openai_error(error, "r1").headers)["retry-after"] == "3", (
        "who comes too early is refused again"
    )


def test_a_limit_is_told_in_the_headers_of_each_api():
    rate = RateState(kind="tokens", limit=1000, remaining=40, reset_s=12.25)
    error = ApiError(429, "slow down", retry_after_s=5, rate=rate)
    told = dict(openai_error(error, "r1").headers)
    assert told["x-ratelimit-limit-tokens"] == "1000"
    assert (told["x-ratelimit-remaining-tokens"], told["x-ratelimit-reset-tokens"]) == ("40", "12.250s")
    told = dict(anthropic_error(error, "r1").headers)
    assert told["anthropic-ratelimit-tokens-limit"] == "1000"
    reset = datetime.fromisoformat(told["anthropic-ratelimit-tokens-reset"])
    assert 0 <= (reset - datetime.now(UTC)).total_seconds() <= 13


def test_what_an_endpoint_says_is_told_with_its_code_and_field():
    told = told_error(400, b'{"error": {"message": "full", "code": "x", "param": "n"}}')
    assert (told.status, told.message, told.code, told.param) == (400, "full", "x", "n")
    assert told_error(404, b'{"error": "no such model"}').message == "no such model"
    llama = told_error(
        501, b'{"error": {"code": 501, "message": "no embeddings", "type": "not_supported_error"}}'
    )
    assert (llama.status, llama.code, llama.param) == (400, "unsupported_model", "model")


def test_an_error_that_cannot_be_read_is_told_in_words():
    for body in (b'{"error": {"message": "\xff"}}', b'{"error": null}', b"[" * 5000, b"null", b"[]", b"",
                 b'{"error": {"message": 5}}'):  # fmt: skip
        assert told_error(500, body).message == "the model's endpoint answered with an error"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"cheap","model":"dear"}',
        b'{"model":"cheap","mod\\u0065l":"dear"}',
        b'{ "messages": [], "model": "cheap", "mod\\u0065l" : "dear" }',
    ],
)
def test_a_field_that_is_there_twice_is_sent_on_once_as_it_was_read_here(body):
    once = unambiguous(body)
    assert once.count(b"dear") == 1 and b"cheap" not in once and json.loads(once)["model"] == "dear"
    assert openai.peek(body).model == openai.peek(once).model == "dear"


def test_an_unambiguous_body_keeps_its_bytes():
    body = b'{ "model" : "m", "messages": [{"role": "user", "content": "1.0"}], "x": 1e999 }'
    assert unambiguous(body) is body
    assert unambiguous(b"[1, 2, \\u00e9]") == b"[1, 2, \\u00e9]"
    kept = unambiguous(b'{"model":"m","metadata":{"model":1.50},"x":1e999}')
    assert kept == b'{"model":"m","metadata":{"model":1.50},"x":1e999}'
