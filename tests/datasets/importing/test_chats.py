"""Requests and answers of every API, as tools log them, become chat."""

import json

import pytest
from tests.datasets.importing.exports import GENERATION, SAID, answer, one, read

from freehold.datasets.importing import RejectedRecord
from freehold.datasets.importing.chats import answer_of, messages_of, request_of
from freehold.datasets.importing.records import BadRecord

ASKED = [{"role": "user", "content": "where is it"}]


def message(said):
    body, _ = answer_of(said)
    return body["choices"][0]["message"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ("  ", "the request is empty"),
        ({}, "the request is missing"),
        (None, "the request is missing"),
        ({"prompt": 3}, "prompt is int"),
        ({"messages": 3}, "not a list"),
        ({"messages": [3]}, r"messages\[0\] is not an object"),
    ],
)
def test_what_no_chat_can_hold_is_a_bad_record(asked, reason):
    with pytest.raises(BadRecord, match=reason):
        request_of(asked)


@pytest.mark.parametrize(
    "said",
    [
        "here",
        {"role": "assistant", "content": "here"},
        {"choices": [{"message": {"role": "assistant", "content": "here"}}]},
        {"choices": [{"text": "here"}]},
        {"output": "here"},
        [*ASKED, {"role": "assistant", "content": "here"}],
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "here"}]},
        {"lc": 1, "type": "constructor", "id": ["x", "AIMessage"], "kwargs": {"content": "here"}},
    ],
)
def test_an_answer_is_read_from_every_form(said):
    assert message(said)["content"] == "here"


@pytest.mark.parametrize(
    ("said", "reason"), [({"choices": []}, "no choices"), ({"error": {"code": 429}}, "the call failed")]
)
def test_a_body_without_an_answer_is_a_bad_record(said, reason):
    with pytest.raises(BadRecord, match=reason):
        answer_of(said)


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ({"type": "human", "content": "x"}, "user"),
        ({"type": "human", "data": {"content": "x"}}, "user"),
        (
            {"lc": 1, "type": "constructor", "id": ["a", "SystemMessage"], "kwargs": {"content": "x"}},
            "system",
        ),
        ({"from": "gpt", "value": "x"}, "assistant"),
        ({"type": "ChatMessage", "kwargs": {"role": "critic", "content": "x"}}, "critic"),
    ],
)
def test_messages_of_langchain_and_sharegpt(given, role):
    assert messages_of([[given]]) == [{"role": role, "content": "x"}]


def chunk(finish=None, **delta):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": [choice]}


STREAM = [chunk(role="assistant", content="on its"), chunk(content=" way"), chunk("stop")]


BLOCKS = [
    {"type": "text", "text": "let me see"},
    {"type": "tool_use", "id": "c1", "name": "find", "input": {"q": "lamp"}},
]


@pytest.mark.parametrize(
    "said",
    [
        STREAM,
        {"streamed_data": STREAM},
        "".join(f"data: {json.dumps(one)}\n\n" for one in STREAM) + "data: [DONE]\n\n",
        [
            {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 3}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "on its way"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        ],
        [{"type": "reasoning", "id": "r", "summary": []},
         {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "on its way"}]}],
        [{"type": "text", "text": "on its way"}],
    ],
    ids=["chunks", "helicone", "text", "anthropic", "items", "blocks"],
)  # fmt: skip
def test_answers_in_pieces_are_put_together(tmp_path, said):
    _, found = one(tmp_path, {**GENERATION, "output": said})
    assert answer(found) == SAID


def test_blocks_and_items_keep_their_tool_calls(tmp_path):
    item = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"q":"lamp"}'}
    for said in (BLOCKS, [item]):
        _, found = one(tmp_path, {**GENERATION, "output": said})
        (call,) = answer(found)["tool_calls"]
        assert call["function"] == {"name": "find", "arguments": '{"q":"lamp"}'}


@pytest.mark.parametrize("said", [STREAM[:2], "data: {}\n\n"])
def test_a_stream_that_broke_off_is_no_answer(tmp_path, said):
    _, (bad,) = read(tmp_path, {**GENERATION, "output": said})
    assert isinstance(bad, RejectedRecord) and "stream" in bad.reason
