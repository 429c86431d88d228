"""OpenAI's Responses API, translated to its chat API."""

import json

import pytest

from freehold.wire.errors import ApiError
from freehold.wire.responses import request_to_openai

TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}


def translated(**more):
    return json.loads(request_to_openai(json.dumps({"model": "m", "input": "where?", **more}).encode()))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"include": ["message.output_text.logprobs"]}, "include message.output_text.logprobs"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice web_search_preview"),
        ({"tools": [{"type": "file_search"}]}, "file_search runs at OpenAI"),
        ({"moderation": {"model": "x"}}, "moderation is not possible"),
    ],
)
def test_what_the_chat_api_has_no_word_for_is_refused(more, words):
    with pytest.raises(ApiError, match=words) as error:
        translated(**more)
    assert error.value.status == 400


def test_what_says_nothing_about_the_answer_is_no_reason_to_refuse():
    more = {"store": True, "truncation": "auto", "include": ["reasoning.encrypted_content"]}
    assert translated(**more) == translated()


def test_choices_of_tools_and_verbosity_are_words_of_both():
    chosen = translated(tools=[TOOL], tool_choice={"type": "function", "name": "find"})["tool_choice"]
    assert chosen == {"type": "function", "function": {"name": "find"}}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "find"}]}
    chosen = translated(tools=[TOOL], tool_choice=allowed)["tool_choice"]
    assert chosen["allowed_tools"]["mode"] == "required"
    assert chosen["allowed_tools"]["tools"] == [{"type": "function", "function": {"name": "find"}}]
    assert translated(text={"verbosity": "low"})["verbosity"] == "low"
