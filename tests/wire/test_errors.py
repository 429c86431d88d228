import json

from freehold.wire.errors import ApiError, anthropic_error, ollama_error, openai_error


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
    assert dict(openai_error(error).headers)["retry-after"] == "2"
