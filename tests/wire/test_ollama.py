"""Ollama's API, translated to OpenAI's."""

import json

import pytest

from freehold.wire.errors import ApiError
from freehold.wire.ollama import chat_from_openai, chat_to_openai

ASKED = {"model": "m", "messages": [{"role": "user", "content": "where?"}]}


def translated(**more):
    return json.loads(chat_to_openai(json.dumps({**ASKED, **more}).encode()))


def call(name, **arguments):
    return {"function": {"name": name, "arguments": arguments}}


def result(text, **more):
    return {"role": "tool", "content": text, **more}


def test_results_of_tools_say_which_call_they_answer():
    """Ollama's have no ids; OpenAI's API refuses a result whose id no call has."""
    turns = [
        {"role": "assistant", "content": "", "tool_calls": [call("find", order=1), call("find", order=2)]},
        result("lost", tool_name="find"),
        result("sent", tool_name="find"),
        {"role": "assistant", "content": "", "tool_calls": [call("pay"), call("find", order=3)]},
        result("here", tool_name="find"),
        result("paid"),
    ]
    messages = translated(messages=turns)["messages"]
    calls = {one["id"]: one["function"] for turn in messages for one in turn.get("tool_calls", ())}
    assert len(calls) == 4
    told = [(calls[one["tool_call_id"]], one["content"]) for one in messages if one["role"] == "tool"]
    assert [(function["name"], function["arguments"], text) for function, text in told] == [
        ("find", '{"order":1}', "lost"),
        ("find", '{"order":2}', "sent"),
        ("find", '{"order":3}', "here"),
        ("pay", "{}", "paid"),
    ]


def test_a_result_that_answers_no_call_is_refused():
    with pytest.raises(ApiError, match="tool find answers no call"):
        translated(messages=[*ASKED["messages"], result("lost", tool_name="find")])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"think": True}, "thinking cannot be switched on"),
        ({"logprobs": True}, "logprobs is possible with /v1/chat/completions only"),
        ({"options": {"mirostat": 1}}, "option mirostat is not possible"),
    ],
)
def test_what_openai_has_no_word_for_is_refused(more, words):
    with pytest.raises(ApiError, match=words) as error:
        translated(**more)
    assert error.value.status == 400


def test_what_says_nothing_about_the_answer_is_no_reason_to_refuse():
    options = {"num_ctx": 9000, "num_gpu": 1, "mirostat": 0, "num_predict": -1}
    assert translated(options=options, think=False, keep_alive="5m", max_tokens=5) == translated()


@pytest.mark.parametrize(
    "spent",
    [1e305, -1],
)
def test_a_duration_that_is_none_is_not_told(spent):
    answer = {"choices": [{"message": {}}], "timings": {"prompt_ms": spent, "predicted_ms": 4}}
    made = chat_from_openai(json.dumps(answer).encode(), b'{"model": "m"}')
    assert "total_duration" not in json.loads(made)
