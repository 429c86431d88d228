"""Requests of OpenAI's Responses API, translated to the chat API."""

import json

import pytest

from freehold.wire.errors import ApiError
from freehold.wire.responses import (
    is_own_response,
    is_stateless,
    names_own,
    read_request,
    request_to_openai,
    without_own_ids,
)

TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}
USER = {"role": "user", "content": "where?"}


def asked(**more):
    return json.dumps({"model": "m", "input": "where?", **more}).encode()


def translated(**more):
    return json.loads(request_to_openai(asked(**more)))


@pytest.mark.parametrize(
    ("more", "words", "param", "code"),
    [
        (
            {"include": ["message.output_text.logprobs"]},
            "include message.output_text.logprobs",
            "include",
            None,
        ),
        ({"tools": [{"type": "file_search"}]}, "file_search runs at OpenAI", "tools", "hosted_tool"),
        ({"tools": [{"type": "custom", "name": "x"}]}, "type custom are not possible", "tools", None),
        ({"store": True}, "nothing is stored", "store", "needs_state"),
        ({"previous_response_id": "resp_1"}, "needs state", "previous_response_id", "needs_state"),
        ({"input": [{"type": "item_reference", "id": "i"}]}, "item_reference", "input", "needs_state"),
        ({"input": [{"type": "web_search_call"}]}, "type web_search_call", "input", None),
    ],
)
def test_what_the_chat_api_has_no_word_for_is_refused(more, words, param, code):
    with pytest.raises(ApiError, match=words) as error:
        translated(**more)
    assert (error.value.status, error.value.param, error.value.code) == (400, param, code)


def test_what_says_nothing_about_the_answer_is_no_reason_to_refuse():
    more = {
        "store": False,
        "truncation": "auto",
        "include": ["reasoning.encrypted_content"],
        "max_tool_calls": 3,
    }
    assert translated(**more) == translated()


def test_choices_of_tools_and_verbosity_are_words_of_both():
    chosen = translated(tools=[TOOL], tool_choice={"type": "function", "name": "find"})["tool_choice"]
    assert chosen == {"type": "function", "function": {"name": "find"}}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "find"}]}
    chosen = translated(tools=[TOOL], tool_choice=allowed)["tool_choice"]
    assert chosen["allowed_tools"]["mode"] == "required"
    assert chosen["allowed_tools"]["tools"] == [{"type": "function", "function": {"name": "find"}}]
    assert translated(text={"verbosity": "low"})["verbosity"] == "low"


def test_a_trace_leaves_out_what_a_chat_has_no_word_for():
    chat = json.loads(read_request(asked(store=True, background=True, reasoning={"summary": "auto"})))
    assert chat["messages"] == [USER]


def test_ids_that_were_issued_here_are_known_and_no_others():
    assert is_own_response("resp_fh_chatcmpl-1") and not is_own_response("resp_68af4030592c8193")
    assert names_own(b'{"previous_response_id": "resp_fh_1"}') and names_own(b'{"id":"fc_fh_1"}')
    assert not names_own(b'{"input": "my resp_fh_1", "id": "resp_1"}')


def test_items_go_on_without_the_ids_that_were_issued_here():
    call = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"}
    items = [USER, {**call, "id": "fc_fh_1"}, {"role": "assistant", "content": "x", "id": "msg_1"}]
    sent = json.loads(without_own_ids(asked(input=items, temperature=0.5)))
    assert sent == {"model": "m", "input": [USER, call, items[2]], "temperature": 0.5}
    body = asked(input=[USER])
    assert without_own_ids(body) is body
    said = asked(input='"resp_fh_1" is what it said')
    assert without_own_ids(said) is said


@pytest.mark.parametrize(
    "more", [{"previous_response_id": "resp_fh_1"}, {"input": [{"type": "item_reference", "id": "msg_fh_1"}]}]
)
def test_what_was_not_stored_cannot_be_named(more):
    with pytest.raises(ApiError) as error:
        without_own_ids(asked(**more))
    assert error.value.status == 400
    with pytest.raises(ApiError):
        request_to_openai(asked(**more))


@pytest.mark.parametrize(
    ("more", "stateless"),
    [
        ({}, False),
        ({"store": False}, True),
        ({"store": True}, False),
        ({"store": False, "previous_response_id": "resp_1"}, False),
        ({"store": False, "background": True}, False),
        ({"store": False, "input": [USER, {"type": "reasoning"}]}, False),
        ({"store": False, "input": [USER]}, True),
    ],
)
def test_what_neither_uses_nor_leaves_state(more, stateless):
    assert is_stateless(asked(**more)) is stateless


def test_text_and_calls_of_one_turn_are_one_message_in_whichever_order_they_were_told():
    call = {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"}
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]}
    refused = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    result = {"type": "function_call_output", "call_id": "c1", "output": "lost"}
    for told in ([text, call], [call, text]):
        made = json.loads(request_to_openai(asked(input=[USER, *told, result, refused])))["messages"]
        assert [one["role"] for one in made] == ["user", "assistant", "tool", "assistant"]
        assert made[1]["content"] == "I look." and made[1]["tool_calls"][0]["id"] == "c1"
        assert made[3]["content"] == "No."
