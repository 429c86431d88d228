import base64

import msgspec
import pytest

from freehold.datasets.messages import (
    blanked_text,
    chat_message,
    chat_messages,
    message_text,
    modern,
    refusal_of,
    response_message,
    text_of,
)

CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{"q":"lamp"}'}}
PICTURE = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 12_000).decode()


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


@pytest.mark.parametrize(
    "bad",
    [{"role": "user"}, {"role": "assistant"}, {"content": "x"}, "text", None, {"role": 1, "content": "x"}],
)
def test_what_the_api_does_not_allow_is_refused(bad):
    with pytest.raises(msgspec.ValidationError):
        chat_messages([bad])


def test_a_picture_is_named_by_a_short_hash():
    part = {"type": "image_url", "image_url": {"url": PICTURE}}
    asked = [{"type": "text", "text": "what is this?"}, part]
    other = [asked[0], {"type": "image_url", "image_url": {"url": PICTURE[:-9] + "AAAAAAAA="}}]
    assert blanked_text(asked).startswith("what is this?[image_url ") and len(blanked_text(asked)) < 60
    assert blanked_text(asked) != blanked_text(other)
    inside = blanked_text(f"look: ![x]({PICTURE}) there")
    assert inside.startswith("look: ![x]([data ") and inside.endswith("]) there") and len(inside) < 60
    assert blanked_text(None) == "" and blanked_text("base64, is a word") == "base64, is a word"
