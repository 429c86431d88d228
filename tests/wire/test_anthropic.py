"""Anthropic's Messages API and OpenAI's chat API, each told as the other: requests, answers and streams."""

import base64
import json

import pytest

from freehold.wire import openai
from freehold.wire.anthropic import (
    AnthropicStreamFromOpenai,
    answer_from_openai,
    listed_model,
    listed_models,
    read_answer,
    read_stream,
    request_to_openai,
)
from freehold.wire.anthropic_endpoints import MAX_TOKENS, StreamToOpenai, request_from_openai
from freehold.wire.errors import ApiError

REQUEST = b'{"model": "house", "messages": []}'
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q": "lamp"}'}}


def completion(message, finish="stop"):
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    return json.dumps(
        {"id": "1", "model": "m", "choices": [{"message": message, "finish_reason": finish}], "usage": usage}
    ).encode()


def chunk(delta, finish=None, **more):
    body = {
        "id": "1",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def told(stream, size=10_000):
    """The translated stream, fed in pieces of `size`."""
    translation = AnthropicStreamFromOpenai(REQUEST)
    out = b"".join(translation.feed(stream[at : at + size]) for at in range(0, len(stream), size))
    return out + translation.rest()


def test_an_answer_has_text_calls_and_usage_under_the_name_that_was_asked_for():
    message = {"role": "assistant", "content": "see", "tool_calls": [CALL]}
    found = json.loads(answer_from_openai(completion(message, "tool_calls"), REQUEST))
    assert found["model"] == "house" and found["stop_reason"] == "tool_use"
    assert found["content"] == [
        {"type": "text", "text": "see"},
        {"type": "tool_use", "id": "c1", "name": "find", "input": {"q": "lamp"}},
    ]
    assert found["usage"] == {"input_tokens": 9, "output_tokens": 3}


def test_arguments_that_are_not_json_are_an_error_of_the_model():
    broken = {**CALL, "function": {"name": "find", "arguments": "{"}}
    with pytest.raises(ApiError, match="not JSON") as caught:
        answer_from_openai(completion({"tool_calls": [broken]}), REQUEST)
    assert caught.value.status == 502


@pytest.mark.parametrize("size", [1, 7])
def test_a_stream_and_its_translation_say_the_same_however_it_is_cut(size):
    function = CALL["function"]
    stream = (
        chunk({"role": "assistant", "content": "se"})
        + chunk({"content": "e"})
        + chunk(
            {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "find", "arguments": '{"q": '}}]}
        )
        + chunk({"tool_calls": [{"index": 0, "function": {"arguments": function["arguments"][6:]}}]})
        + chunk({}, "tool_calls", usage={"prompt_tokens": 9, "completion_tokens": 3})
        + b"data: [DONE]\n\n"
    )
    answer = read_stream(told(stream, size))
    message = answer.body["choices"][0]["message"]
    assert answer.ended and answer.finish_reason == "tool_calls"
    assert message["content"] == "see" and message["tool_calls"] == [CALL]
    assert answer.usage is not None and answer.usage.completion_tokens == 3


def test_a_message_is_read_as_a_completion():
    body = {
        "type": "message", "id": "msg_1", "model": "claude", "stop_reason": "max_tokens",
        "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "c1", "name": "f", "input": {"q": 1}}],
        "usage": {"input_tokens": 4, "output_tokens": 2, "cache_read_input_tokens": 1},
    }  # fmt: skip
    answer = read_answer(json.dumps(body).encode())
    assert answer.ended and answer.finish_reason == "length"
    assert answer.body["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"q":1}'
    assert answer.usage is not None and answer.usage.cached_prompt_tokens == 1


def test_a_page_of_models_is_the_one_that_was_asked_for():
    lines = [listed_model(name, 0) for name in "abcde"]

    def page(**query):
        made = listed_models(lines, {name: [value] for name, value in query.items()})
        return "".join(one["id"] for one in made["data"]), made["has_more"]

    assert page(limit="2") == ("ab", True) and page(limit="5") == ("abcde", False)
    assert page(limit="2", after_id="b") == ("cd", True) and page(limit="2", after_id="d") == ("e", False)
    assert page(limit="2", before_id="d") == ("bc", True) and page(limit="9", before_id="d") == ("abc", False)
    for limit in ("0", "1001", "x", "-1", "", "0000000050000", "000000005" + "0" * 5000):
        with pytest.raises(ApiError, match="limit"):
            page(limit=limit)


BEGUN = json.dumps(
    {
        "model": "house",
        "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "one, two"}],
    }
).encode()


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (["one, two", ", three"], ", three"),
        (["one", ", ", "two, th", "ree"], ", three"),
        (["one, two, three"], ", three"),
        (["three"], "three"),
        (["one, two"], ""),
    ],
)
def test_nor_in_a_stream(pieces, told):
    translation = AnthropicStreamFromOpenai(BEGUN, repeats_begun=True)
    events = b""
    for piece in pieces:
        chunk = {"id": "c", "choices": [{"index": 0, "delta": {"content": piece}}]}
        events += translation.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")
    events += translation.feed(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
    events += translation.rest()
    data = [json.loads(line[6:]) for line in events.splitlines() if line.startswith(b"data: ")]
    said = "".join(one["delta"]["text"] for one in data if one["type"] == "content_block_delta")
    assert said == told and data[-1]["type"] == "message_stop"


ASKED = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "where?"}]}
GONE_ON = [*ASKED["messages"], {"role": "assistant", "content": "It is"}]


def translated(*, begun=None, **more):
    return json.loads(request_to_openai(json.dumps({**ASKED, **more}).encode(), begun=begun))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking with a budget is not possible"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "clear_tool_uses"),
        ({"output_config": {"task_budget": {"total": 9}}}, "task_budget is not possible"),
        ({"speed": "fast"}, "speed is not possible"),
        ({"messages": [{"role": "critic", "content": "x"}]}, "role critic"),
        ({"messages": GONE_ON}, "begins the answer"),
        ({"system": [{"type": "image"}]}, "block of type image"),
    ],
)
def test_what_it_has_no_word_for_is_refused(more, words):
    with pytest.raises(ApiError, match=words) as error:
        translated(**more)
    assert error.value.status == 400


@pytest.mark.parametrize(
    "more",
    [
        {"thinking": {"type": "disabled"}},
        {"thinking": {"type": "adaptive"}},
        {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}},
        {"service_tier": "auto", "mcp_servers": [], "speed": None},
    ],
)
def test_what_says_nothing_about_the_answer_is_no_reason_to_refuse(more):
    assert translated(**more) == translated()


def test_effort_and_forms_are_words_of_both():
    schema = {"type": "object"}
    chat = translated(output_config={"effort": "low", "format": {"type": "json_schema", "schema": schema}})
    assert chat["reasoning_effort"] == "low"
    assert chat["response_format"]["json_schema"]["schema"] == schema
    older = translated(output_format={"type": "json_schema", "schema": schema})
    assert older["response_format"] == chat["response_format"]


def test_an_answer_begun_by_the_client_is_gone_on_with_where_that_can_be():
    assert translated(messages=GONE_ON, begun={})["messages"][-1] == GONE_ON[-1]
    assert translated(messages=GONE_ON, begun={"continue_final_message": True})["continue_final_message"]


SCHEMA = {"type": "object", "properties": {"order": {"type": "integer"}}}
CHAT = {"model": "m", "messages": [{"role": "user", "content": "where?"}]}


def to_anthropic(**more):
    return json.loads(request_from_openai(json.dumps({**CHAT, **more}).encode()))


def test_turns_are_joined_by_role_and_system_stands_apart():
    call = {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"order": 7}'}}
    asked = to_anthropic(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "where?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "t1", "content": "lost"},
            {"role": "user", "content": [{"type": "text", "text": "and now?"}]},
        ]
    )
    assert asked["system"] == "Be brief." and asked["max_tokens"] == MAX_TOKENS
    assert [turn["role"] for turn in asked["messages"]] == ["user", "assistant", "user"]
    assert asked["messages"][1]["content"] == [
        {"type": "tool_use", "id": "t1", "name": "find", "input": {"order": 7}}
    ]
    assert [block["type"] for block in asked["messages"][2]["content"]] == ["tool_result", "text"]


def test_tools_schemas_and_limits_are_said_in_its_words():
    tool = {"type": "function", "function": {"name": "find", "parameters": SCHEMA}}
    form = {"type": "json_schema", "json_schema": {"name": "f", "schema": SCHEMA}}
    asked = to_anthropic(
        tools=[tool],
        tool_choice="required",
        parallel_tool_calls=False,
        stop="END",
        user="u1",
        response_format=form,
        max_completion_tokens=9,
        temperature=0.5,
    )
    assert asked["tools"] == [{"name": "find", "input_schema": SCHEMA}]
    assert asked["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert (asked["stop_sequences"], asked["metadata"]) == (["END"], {"user_id": "u1"})
    assert asked["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert (asked["max_tokens"], asked["temperature"]) == (9, 0.5)
    assert "tool_choice" not in to_anthropic(tool_choice="none"), "a choice without tools is an error there"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"n": 2}, "n is not possible"),
        ({"seed": 7}, "seed is not possible"),
        ({"temperature": 1.5}, "temperature of 0 to 1"),
        ({"response_format": {"type": "json_object"}}, "json_object is not possible"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input_audio"),
        ({"messages": [{"role": "critic", "content": "x"}]}, "role critic"),
        ({"messages": "hello"}, "must be a list"),
    ],
)
def test_what_anthropic_has_no_word_for_is_refused(more, words):
    with pytest.raises(ApiError, match=words) as error:
        to_anthropic(**more)
    assert error.value.status == 400


def event(kind, **body):
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **body}).encode())


EVENTS = (
    event("message_start", message={"id": "m1", "model": "x", "usage": {"input_tokens": 9}})
    + event("ping")
    + event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Let me look."})
    + event("content_block_stop", index=0)
    + event("content_block_start", index=1, content_block={"type": "tool_use", "id": "t1", "name": "find"})
    + event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": '{"order"'})
    + event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": ": 7}"})
    + event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 3})
    + event("message_stop")
)


@pytest.mark.parametrize("size", [1, 7])
def test_a_stream_says_the_same_however_it_is_cut(size):
    request = json.dumps({**CHAT, "stream_options": {"include_usage": True}}).encode()
    stream = StreamToOpenai(request)
    told = b"".join(stream.feed(EVENTS[at : at + size]) for at in range(0, len(EVENTS), size)) + stream.rest()
    answer = openai.read_stream(told)
    message = answer.body["choices"][0]["message"]
    assert message["content"] == "Let me look." and answer.finish_reason == "tool_calls" and answer.ended
    assert message["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"order": 7}'}
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 3)
    assert answer.body["model"] == "m"


def test_usage_is_told_only_to_who_asked_and_a_cut_stream_has_no_end():
    assert b"usage" not in StreamToOpenai(json.dumps(CHAT).encode()).feed(EVENTS)
    stream = StreamToOpenai(json.dumps(CHAT).encode())
    assert b"[DONE]" not in stream.feed(EVENTS[: EVENTS.index(b"event: message_stop")])
    with pytest.raises(ApiError, match="broke off"):
        stream.rest()
    with pytest.raises(ApiError, match="Overloaded"):
        stream.feed(event("error", error={"type": "overloaded_error", "message": "Overloaded"}))


def test_turns_and_texts_that_say_nothing_are_left_out_as_the_messages_api_refuses_them():
    asked = to_anthropic(
        messages=[
            {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "where?"}]},
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": None, "refusal": "I cannot."},
            {"role": "user", "content": "why?"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "So."}]},
            {"role": "user", "content": None},
        ]
    )
    assert [(turn["role"], turn["content"]) for turn in asked["messages"]] == [
        (role, [{"type": "text", "text": text}])
        for role, text in (
            ("user", "where?"),
            ("assistant", "I cannot."),
            ("user", "why?"),
            ("assistant", "So."),
        )
    ]


@pytest.mark.parametrize(("start", "kind"), [(b"\xff\xd8\xff\xe0", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png")])
def test_the_type_of_a_picture_is_what_it_is(start, kind):
    """OpenAI's clients may tell another: the API in between looks itself."""
    data = base64.b64encode(start + bytes(20)).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    (block,) = to_anthropic(messages=[{"role": "user", "content": [part]}])["messages"][0]["content"]
    assert block["source"] == {"type": "base64", "media_type": f"image/{kind}", "data": data}
