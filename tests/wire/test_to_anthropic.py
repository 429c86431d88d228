"""OpenAI's chat API, translated to Anthropic's."""

import base64
import json

import pytest

from freehold.wire import openai
from freehold.wire.errors import ApiError
from freehold.wire.to_anthropic import MAX_TOKENS, StreamToOpenai, request_from_openai

SCHEMA = {"type": "object", "properties": {"order": {"type": "integer"}}}
ASKED = {"model": "m", "messages": [{"role": "user", "content": "where?"}]}


def translated(**more):
    return json.loads(request_from_openai(json.dumps({**ASKED, **more}).encode()))


def test_turns_are_joined_by_role_and_system_stands_apart():
    call = {"id": "t1", "type": "function", "function": {"name": "find", "arguments": '{"order": 7}'}}
    asked = translated(
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
    asked = translated(
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
    assert "tool_choice" not in translated(tool_choice="none"), "a choice without tools is an error there"


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
def test_what_it_has_no_word_for_is_refused(more, words):
    with pytest.raises(ApiError, match=words) as error:
        translated(**more)
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


@pytest.mark.parametrize(
    "size",
    [1, 7],
)
def test_a_stream_says_the_same_however_it_is_cut(size):
    request = json.dumps({**ASKED, "stream_options": {"include_usage": True}}).encode()
    stream = StreamToOpenai(request)
    told = b"".join(stream.feed(EVENTS[at : at + size]) for at in range(0, len(EVENTS), size)) + stream.rest()
    answer = openai.read_stream(told)
    message = answer.body["choices"][0]["message"]
    assert message["content"] == "Let me look." and answer.finish_reason == "tool_calls" and answer.ended
    assert message["tool_calls"][0]["function"] == {"name": "find", "arguments": '{"order": 7}'}
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 3)
    assert answer.body["model"] == "m"


def test_usage_is_told_only_to_who_asked_and_a_cut_stream_has_no_end():
    assert b"usage" not in StreamToOpenai(json.dumps(ASKED).encode()).feed(EVENTS)
    stream = StreamToOpenai(json.dumps(ASKED).encode())
    assert b"[DONE]" not in stream.feed(EVENTS[: EVENTS.index(b"event: message_stop")])
    with pytest.raises(ApiError, match="broke off"):
        stream.rest()
    with pytest.raises(ApiError, match="Overloaded"):
        stream.feed(event("error", error={"type": "overloaded_error", "message": "Overloaded"}))


def test_turns_and_texts_that_say_nothing_are_left_out_as_the_messages_api_refuses_them():
    asked = translated(
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


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"\xff\xd8\xff\xe0", "jpeg"), (b"\x89PNG\r\n\x1a\n", "png")],
)
def test_the_type_of_a_picture_is_what_it_is(start, kind):
    """Ollama's clients tell none, and OpenAI's may tell another: the API in between looks itself."""
    data = base64.b64encode(start + bytes(20)).decode()
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    (block,) = translated(messages=[{"role": "user", "content": [part]}])["messages"][0]["content"]
    assert block["source"] == {"type": "base64", "media_type": f"image/{kind}", "data": data}
