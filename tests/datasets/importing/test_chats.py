"""Requests and answers of every API, as tools log them, become chat."""

import pytest

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
