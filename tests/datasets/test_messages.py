import pytest

from freehold.datasets.messages import (
    chat_message,
    chat_messages,
    message_text,
    modern,
    refusal_of,
    response_message,
    text_of,
)

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
