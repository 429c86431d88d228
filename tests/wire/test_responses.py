"""Chat completions as answers of OpenAI's Responses API."""

import json

import pytest

from freehold.wire.responses import ResponsesStreamFromOpenai, answer_from_openai

CHAT = {
    "id": "chatcmpl-1",
    "created": 5,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Berlin"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5},
}
ASKED = {
    "model": "m",
    "input": "where?",
    "max_tool_calls": 3,
    "truncation": "auto",
    "reasoning": {"effort": "low"},
}


def answered(chat=CHAT, **more):
    return json.loads(answer_from_openai(json.dumps(chat).encode(), json.dumps(ASKED | more).encode()))


def test_an_answer_repeats_what_was_asked_and_says_that_nothing_is_stored():
    said = answered()
    assert (said["max_tool_calls"], said["truncation"], said["reasoning"]["effort"]) == (3, "auto", "low")
    assert said["store"] is False and said["previous_response_id"] is None and said["background"] is False
    assert said["id"] == "resp_fh_chatcmpl-1" and said["output"][0]["id"] == "msg_fh_chatcmpl-1"


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("content_filter", "incomplete", "content_filter"),
    ],
)
def test_why_an_answer_is_incomplete(finish, status, reason):
    said = answered({**CHAT, "choices": [{**CHAT["choices"][0], "finish_reason": finish}]})
    assert said["status"] == status and (said["incomplete_details"] or {}).get("reason") == reason


def test_a_stream_names_the_ids_of_its_answer():
    stream = ResponsesStreamFromOpenai(json.dumps(ASKED).encode())
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": "Ber"}}],
    }
    end = {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "content_filter"}]}
    out = stream.feed(b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in (chunk, end)))
    events = [
        json.loads(line[6:]) for line in (out + stream.rest()).splitlines() if line.startswith(b"data: ")
    ]
    assert events[0]["response"]["id"] == "resp_fh_c1"
    assert {event["item_id"] for event in events if "item_id" in event} == {"msg_fh_c1"}
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "content_filter"}
