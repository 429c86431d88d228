"""Requests and answers of every API, as tools log them, become chat."""

import json

import pytest
from tests.datasets.importing.exports import GENERATION, SAID, answer, one, read

from freehold.datasets.importing import RejectedRecord
from freehold.datasets.importing.chats import answer_of, messages_of, request_of
from freehold.datasets.importing.records import BadRecord
from freehold.types.trace import Usage

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


GEMINI = {
    "request": {
        "model": "models/gemini-2.5-flash",
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "where is my lamp"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "find", "args": {"q": "lamp"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "find", "response": {"at": "hall"}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "find", "parameters": {"type": "object"}}]}],
        "generationConfig": {"temperature": 0.2, "maxOutputTokens": 64},
    },
    "response": {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [{"text": "thinking", "thought": True}, {"text": "in the "}, {"text": "hall"}],
                },
                "finishReason": "MAX_TOKENS",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 90,
            "cachedContentTokenCount": 60,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 16,
            "totalTokenCount": 110,
        },
        "modelVersion": "gemini-2.5-flash",
    },
}


def test_a_call_of_gemini_is_a_chat_with_its_counts(tmp_path):
    _, read = one(tmp_path, GEMINI)
    asked = read.request
    assert [turn["role"] for turn in asked["messages"]] == ["system", "user", "assistant", "tool"]
    call = asked["messages"][2]["tool_calls"][0]
    assert call["function"] == {"name": "find", "arguments": '{"q":"lamp"}'}
    assert asked["messages"][3] == {"role": "tool", "tool_call_id": call["id"], "content": '{"at":"hall"}'}
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("gemini-2.5-flash", 0.2, 64)
    assert asked["tools"][0]["function"]["name"] == "find"
    said = read.response["choices"][0]
    assert (said["message"]["content"], said["finish_reason"]) == ("in the hall", "length")
    assert read.usage == Usage(
        prompt_tokens=90, completion_tokens=20, cached_prompt_tokens=60, reasoning_tokens=16
    )


def test_ollama_s_own_answers_are_read_with_their_counts(tmp_path):
    request = {"model": "qwen3:8b", "messages": [{"role": "user", "content": "hello"}], "stream": False}
    call = {"function": {"name": "find", "arguments": {"q": "lamp"}}}
    counts = {"done": True, "done_reason": "stop", "prompt_eval_count": 11, "eval_count": 3}
    _, read = one(
        tmp_path,
        {
            "request": request,
            "response": {"message": {"role": "assistant", "content": "", "tool_calls": [call]}, **counts},
        },
    )
    assert read.response["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"q":"lamp"}'
    assert read.usage == Usage(prompt_tokens=11, completion_tokens=3)
    _, generated = one(
        tmp_path,
        {"request": {"model": "qwen3:8b", "prompt": "hello"}, "response": {"response": "hi", **counts}},
    )
    assert generated.response["choices"][0]["message"]["content"] == "hi"
    assert generated.usage == Usage(prompt_tokens=11, completion_tokens=3)


def test_a_stream_of_gemini_s_chunks_is_one_answer(tmp_path):
    chunks = [
        {
            "candidates": [{"content": {"parts": [{"text": "in the "}]}}],
            "usageMetadata": {"promptTokenCount": 5},
        },
        {
            "candidates": [{"content": {"parts": [{"text": "hall"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3},
        },
    ]
    _, read = one(tmp_path, {"request": GEMINI["request"], "response": {"streamed_data": chunks}})
    assert read.response["choices"][0]["message"]["content"] == "in the hall"
    assert read.usage == Usage(prompt_tokens=5, completion_tokens=3)


def test_its_sdk_s_snake_case_is_read_too(tmp_path):
    record = {
        "request": {
            "model": "gemini-2.5-flash",
            "contents": "hello",
            "config": {"system_instruction": "Be kind.", "max_output_tokens": 9},
        },
        "response": {
            "candidates": [{"content": {"parts": [{"text": "hi"}]}, "finish_reason": "STOP"}],
            "usage_metadata": {"prompt_token_count": 5, "candidates_token_count": 2},
        },
    }
    _, read = one(tmp_path, record)
    assert [turn["content"] for turn in read.request["messages"]] == ["Be kind.", "hello"]
    assert read.request["max_tokens"] == 9
    assert read.usage == Usage(prompt_tokens=5, completion_tokens=2)
