from freehold.types.asking import RecordedAsking


def test_what_a_request_said_is_kept_and_what_the_api_would_not_take_is_not():
    request = {
        "model": "m",
        "messages": [],
        "temperature": 0,
        "top_p": None,
        "max_completion_tokens": 7,
        "stop": "x",
        "seed": "many",
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
    }
    said = RecordedAsking.of(request)
    assert said == RecordedAsking(
        temperature=0.0,
        max_tokens=7,
        stop="x",
        tool_choice=request["tool_choice"],
        parallel_tool_calls=False,
    )
    assert list(said.said) == ["temperature", "max_tokens", "stop", "tool_choice", "parallel_tool_calls"]
    assert RecordedAsking.of({"max_tokens": 5, "max_completion_tokens": 7}).max_tokens == 5


def test_a_request_that_said_nothing_has_none():
    assert RecordedAsking.of({"model": "m", "messages": []}) is None
