"""Requests and answers of every API, as tools log them, become chat."""

import json

import pytest

from freehold.datasets.importing.chats import answer_of, exchange, messages_of, request_of, role_of
from freehold.datasets.importing.records import BadRecord

ASKED = [{"role": "user", "content": "where is it"}]
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q":"lamp"}'}}


def message(said):
    body, _ = answer_of(said)
    return body["choices"][0]["message"]


def test_both_bodies_may_be_json_as_text():
    found = exchange(
        json.dumps({"model": "m", "messages": ASKED}), json.dumps({"role": "assistant", "content": "here"})
    )
    assert found.request["messages"] == ASKED and found.request["model"] == "m"
    assert found.response["choices"][0]["message"]["content"] == "here"


def test_the_shortest_requests_are_a_text_or_a_list():
    assert request_of("where is it", model="m") == {"model": "m", "messages": ASKED}
    assert request_of(ASKED, model="m") == {"model": "m", "messages": ASKED}
    assert request_of({"prompt": "where is it", "temperature": 0})["messages"] == ASKED


def test_bodies_of_other_apis_are_translated():
    anthropic = request_of({"model": "c", "system": "Be kind.", "messages": ASKED, "max_tokens": 9})
    assert [one["role"] for one in anthropic["messages"]] == ["system", "user"]
    responses = request_of({"model": "r", "input": "where is it"})
    assert responses["messages"][-1]["role"] == "user"


def test_parameters_that_change_the_answer_stay_and_old_functions_are_tools():
    found = request_of({"messages": ASKED, "temperature": 0, "seed": 1, "functions": [{"name": "find"}]})
    assert found["temperature"] == 0 and found["tools"] == [
        {"type": "function", "function": {"name": "find"}}
    ]


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


@pytest.mark.parametrize("said", [None, "", {}, []])
def test_nothing_said_is_no_answer(said):
    assert answer_of(said) == (None, None)


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


def test_an_old_function_call_is_a_tool_call():
    called = message(
        {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": "{}"}}
    )
    assert called["tool_calls"] == [
        {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    ]


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


def test_calls_and_results_of_typed_parts():
    given = [
        {"role": "assistant", "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "tool_call", "id": "c1", "name": "find", "arguments": {"q": "lamp"}},
        ]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "on its way"}]},
        {"role": "user", "parts": [{"type": "text", "content": "see"}, {"type": "image"}]},
    ]  # fmt: skip
    called, result, seen = messages_of(given)
    assert called == {"role": "assistant", "content": None, "tool_calls": [CALL]}
    assert result == {"role": "tool", "tool_call_id": "c1", "content": "on its way"}
    assert seen["content"] == [{"type": "text", "text": "see"}, {"type": "image"}]


def test_roles_have_many_names():
    assert [role_of(name) for name in ("Human", "bot", "observation", "critic", None)] == [
        "user", "assistant", "tool", "critic", "",
    ]  # fmt: skip
