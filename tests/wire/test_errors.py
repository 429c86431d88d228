import json
from datetime import UTC, datetime

from freehold.wire.errors import ApiError, RateState, anthropic_error, ollama_error, openai_error


def test_errors_in_each_shape():
    error = ApiError(429, "slow down", code="rate_limit_exceeded", retry_after_s=2.4)
    assert json.loads(openai_error(error).body)["error"] == {
        "message": "slow down",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert json.loads(anthropic_error(error).body) == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "slow down"},
    }
    assert json.loads(ollama_error(error).body) == {"error": "slow down"}
    assert dict(openai_error(error).headers)["retry-after"] == "3", "who comes too early is refused again"


def test_a_limit_is_told_in_the_headers_of_each_api():
    rate = RateState(kind="tokens", limit=1000, remaining=40, reset_s=12.25)
    error = ApiError(429, "slow down", retry_after_s=5, rate=rate)
    told = dict(openai_error(error).headers)
    assert told["x-ratelimit-limit-tokens"] == "1000"
    assert (told["x-ratelimit-remaining-tokens"], told["x-ratelimit-reset-tokens"]) == ("40", "12.250s")
    told = dict(anthropic_error(error).headers)
    assert told["anthropic-ratelimit-tokens-limit"] == "1000"
    reset = datetime.fromisoformat(told["anthropic-ratelimit-tokens-reset"])
    assert 0 <= (reset - datetime.now(UTC)).total_seconds() <= 13
    assert [name for name, _ in ollama_error(error).headers] == ["content-type", "retry-after"]
