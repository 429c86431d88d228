"""Errors in the words of each API, and fields that are said twice."""

import json
from datetime import UTC, datetime

import pytest

from freehold.wire import openai
from freehold.wire.errors import (
    ApiError,
    RateState,
    anthropic_error,
    ollama_error,
    openai_error,
    told_error,
    unambiguous,
)


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
    assert json.loads(ollama_error(error, "r1").body) == {"error": "slow down"}
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
    assert [name for name, _ in ollama_error(error, "r1").headers] == ["content-type", "retry-after"]


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
