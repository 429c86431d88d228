"""What a request asks, and messages as the chat API spells them."""

import json

import pytest

from freehold.datasets.messages import (
    all_asked,
    asked_context,
    chat_message,
    chat_messages,
    is_step,
    last_turn,
    message_text,
    modern,
    normalized_question,
    refusal_of,
    response_message,
    text_of,
)
from freehold.types.dataset import Message, Sample

LONG = "where is the lamp that I ordered on Tuesday for my sister?"


def sample(*turns):
    return Sample(id="0" * 32, messages=tuple(Message(role=role, content=said) for role, said in turns))


def test_one_turn_asks_what_its_last_message_says():
    one = sample(("system", "be brief"), ("user", "earlier"), ("user", " Refund   PLEASE"))
    assert normalized_question(one) == normalized_question(one, step=True) == "refund please"
    assert not is_step(one)


def test_a_stock_phrase_is_another_question_in_another_conversation():
    first = sample(("user", "my lamp is broken"), ("assistant", "sorry"), ("user", "thanks!"))
    other = sample(("user", "my tent is wet"), ("assistant", "sorry"), ("user", "thanks!"))
    alone = sample(("user", "thanks!"))
    assert is_step(first)
    assert len({normalized_question(one) for one in (first, other, alone)}) == 3
    again = sample(("user", "My lamp  is broken"), ("assistant", "oh no"), ("user", "Thanks!"))
    assert normalized_question(first) == normalized_question(again), "answers are not what is asked"


def test_results_of_tools_are_asked_and_their_field_names_are_not():
    result = json.dumps({"order": {"state": "lost", "days": [3, None]}})
    one = sample(("user", LONG), ("assistant", None), ("tool", result))
    assert last_turn(one) == "lost 3"
    assert asked_context(one) == f"{LONG}\nlost 3"
    assert all_asked(one) == LONG
    assert normalized_question(one) != normalized_question(sample(("user", LONG)))


CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q":"lamp"}'}}


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}, {"content": []}])
def test_a_turn_that_calls_needs_no_content(content):
    message = chat_message({"role": "assistant", "tool_calls": [CALL], **content})
    assert message.tool_calls == [CALL] and not message.content


def test_a_refusal_is_what_was_said():
    given = {"role": "assistant", "content": None, "refusal": "I can't do that."}
    assert chat_message(given).content == message_text(given) == refusal_of(given) == "I can't do that."
    parts = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert message_text(parts) == refusal_of(parts) == text_of(parts["content"]) == "No."
    assert refusal_of({"role": "assistant", "content": "No.", "refusal": None}) is None


def test_old_function_calls_are_tool_calls():
    function = {"name": "find", "arguments": "{}"}
    old = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "function_call": function},
        {"role": "function", "name": "find", "content": None},
    ]
    _, call, result = chat_messages(old)
    assert call.tool_calls[0]["function"] == function and call.content is None
    assert (result.role, result.content, result.tool_call_id) == ("tool", "", call.tool_calls[0]["id"])
    assert modern(old[:1]) == old[:1]
    response = {"choices": [{"message": {"role": "assistant", "function_call": function}}]}
    assert response_message(response)["tool_calls"][0]["function"] == function
